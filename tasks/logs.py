"""Worker and beat log as the API does: Celery is told to leave logging alone."""

from __future__ import annotations

from typing import Any

from celery.signals import setup_logging

from config.logging import configure
from config.settings import settings


def set_up(**_: Any) -> None:
    """Celery asks for this instead of configuring logging itself; `--loglevel` is BELLWIRE_LOG_LEVEL."""
    configure(settings().log_level)


setup_logging.connect(set_up)
