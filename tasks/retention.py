"""Forgets finished work that is older than BELLWIRE_RETENTION_DAYS, a little in each round."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import Final

import structlog

from config.settings import settings
from models.engine import transaction
from pipeline.retention import FIRST, forget_events, forget_the_rest
from pipeline.sweep import take_round

log = structlog.get_logger(__name__)

EVERY: Final = 60.0  # seconds
BUDGET: Final = 5.0  # seconds of them; the rest is for the work at hand


class _Place:
    """From where on this process looks next, so that what has to stay does not keep it from what may go."""

    def __init__(self) -> None:
        self.after = FIRST


_PLACE: Final = _Place()


def forget_finished() -> int:
    """Make the round, if nobody made it within a minute, in transactions of a few hundred events. How many went."""
    with transaction() as connection:
        if not take_round(connection, "retention", EVERY):
            return 0
        forget_the_rest(connection, datetime.now(UTC), settings().retention_days)
    began, gone = monotonic(), 0
    while monotonic() - began < BUDGET:
        with transaction() as connection:
            found = forget_events(connection, datetime.now(UTC), settings().retention_days, _PLACE.after)
        gone += found.events
        _PLACE.after = found.after or FIRST
        if found.after is None:
            break
    if gone:
        log.info("events_forgotten", events=gone)
    return gone
