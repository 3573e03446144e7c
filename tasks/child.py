"""What every worker process has of its own: a sender, a directory, and a sweep for when nobody else sweeps."""

from __future__ import annotations

import gc
import random
import threading
from typing import Any

import structlog
from celery.signals import worker_init, worker_process_init, worker_process_shutdown

from channels.registry import PROVIDERS, configured
from config.settings import SettingsError, settings
from models.engine import DATABASE_AWAY, dispose_inherited
from pipeline.directory import Directory
from pipeline.faces import SHIPPED
from tasks.bells import ringer
from tasks.sending import Sender

log = structlog.get_logger(__name__)


class Child:
    """The running parts of one worker process."""

    def __init__(self) -> None:
        self.sender = Sender(settings())
        self.directory = Directory()
        # The channels that exist here, and whether a provider is configured for each.
        self.built = {channel: channel in self.sender.channels for channel in PROVIDERS} | {"in_app": True}
        self._stop = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="sweeper", daemon=True)
        self._sweeper.start()

    def stop(self) -> None:
        """End in order: no new work, then what is under way, then the last bells."""
        self._stop.set()
        self.sender.stop()
        ringer().flush(2)

    def _sweep(self) -> None:
        """Sweep without the broker when the last round is long ago: beat is away, or its bells do not arrive."""
        from tasks.sweep import sweep_here

        interval = settings().sweep_interval
        while not self._stop.wait(interval * random.uniform(0.8, 1.2)):
            try:
                self.sender.alarms.look()
                sweep_here(self, interval * 2)
            except DATABASE_AWAY as error:
                log.warning("database_away", problem=type(error.orig).__name__)
            except Exception:  # a bug; later rounds must still be made
                log.exception("sweep_failed")


_child: Child | None = None


def child() -> Child:
    """The parts of this process, made at first use."""
    global _child
    if _child is None:
        _child = Child()
    return _child


def prepare(**_: Any) -> None:
    """Before the forks: compile the templates once for all, and keep what is shared from being copied page by page."""
    try:
        configured(settings())
    except SettingsError as error:
        raise SystemExit(f"worker: {error}") from None  # once, in words, instead of in every process for ever
    SHIPPED.warm()
    gc.collect()
    gc.freeze()


def start(**_: Any) -> None:
    """A fork: nothing of the parent's connections may be used here."""
    dispose_inherited()
    # Batches make and drop thousands of objects that are in no circle; at the default of 700 the collector would take
    # a quarter of the time to find that out.
    gc.set_threshold(50_000, 20, 100)
    child()


def stop(**_: Any) -> None:
    """The process is about to end."""
    if _child is not None:
        _child.stop()


worker_init.connect(prepare)
worker_process_init.connect(start)
worker_process_shutdown.connect(stop)
