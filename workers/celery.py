"""Where `celery -A workers` finds the application."""

from __future__ import annotations

from tasks.app import app

__all__ = ["app"]
