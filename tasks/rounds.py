"""Rings for what a sweep found. Apart from the sweep itself, so that the API can do the same without any provider."""

from __future__ import annotations

from typing import Final

from config.queue import deliver_task
from config.settings import settings
from pipeline.sweep import Work
from tasks.bells import ring_ingest, ringer

MOST_BELLS: Final = 8  # a channel and round; each bell empties the channel, more of them only bring more workers


def ring_for(found: Work) -> None:
    """Ring through the broker, so that every worker may help."""
    size = settings().batch_size
    ring_ingest(found.forgotten)
    for channel, count in found.due.items():
        for _ in range(min(MOST_BELLS, -(-count // size))):
            ringer().ring(deliver_task(channel), [])
    if found.unannounced:
        ringer().ring("bellwire.announce")
