"""Included by the worker (`celery worker -I`): says that it is ready when it is."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready

from workers.stack.readiness import announce


def say_ready(**_: Any) -> None:
    """The consumer listens on its queues."""
    announce()


worker_ready.connect(say_ready)
