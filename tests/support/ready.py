"""Included by workers of tests (`celery worker -I`): says that the worker takes messages now."""

from __future__ import annotations

from celery.signals import worker_ready

from workers.stack.readiness import announce


def say_ready(**_: object) -> None:
    """Tell `NOTIFY_SOCKET`."""
    announce()


worker_ready.connect(say_ready)
