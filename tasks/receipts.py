"""Takes in what providers say: kept and committed first, then applied; what must wait is left to the sweep."""

from __future__ import annotations

from time import monotonic
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from channels.receipts.base import Heard
from models.engine import DATABASE_AWAY, transaction
from pipeline.receipts import Applied, Position, apply, open_sessions, store, waiting
from tasks.bells import ringer

log = structlog.get_logger(__name__)

AT_ONCE: Final = 500  # receipts in one transaction, while whose deliveries are locked
PAGES: Final = 4  # of what waits, at least, in one round
LONGEST: Final = 5.0  # seconds of one round

_position = Position()


def take_in(provider: str, account: str, heard: Heard) -> None:
    """Keep what was heard, and apply it as far as possible.

    Args:
        account: the tenant whose own account it came from; empty: the installation's.

    Raises:
        DBAPIError: nothing was kept; the provider must send it again.
    """
    with transaction() as connection:
        ids = store(connection, provider, account, heard.receipts)
        open_sessions(connection, account, heard.inbound)
    try:
        for start in range(0, len(ids), AT_ONCE):
            _apply(ids[start : start + AT_ONCE])
    except DBAPIError as error:  # they are kept, so the sweep finds them
        log.warning("receipts_not_applied", provider=provider, problem=type(error.orig).__name__)


def work_off() -> None:
    """Apply what waits, going on where the last round of this process stopped.

    A round ends after some pages without effect: what waits may be of another system that shares our account, and
    others must not wait behind it.
    """
    global _position
    until, fruitless = monotonic() + LONGEST, 0
    while fruitless < PAGES and monotonic() < until:
        with transaction() as connection:
            ids, _position = waiting(connection, _position, AT_ONCE)
        if not ids:
            return
        fruitless = 0 if _apply_or_split(ids) else fruitless + 1


def _apply_or_split(ids: list[int]) -> int:
    """How many were applied. What the database refuses is narrowed down to the one at fault; the others go on."""
    try:
        return _apply(ids).applied
    except DATABASE_AWAY:
        raise
    except DBAPIError as error:
        if len(ids) == 1:
            log.error("receipt_not_applied", receipt=ids[0], problem=type(error.orig).__name__)  # noqa: TRY400
            return 0
    half = len(ids) // 2
    return _apply_or_split(ids[:half]) + _apply_or_split(ids[half:])


def _apply(ids: list[int]) -> Applied:
    with transaction() as connection:
        applied = apply(connection, ids)
    if applied.dead_letters:
        ringer().ring("bellwire.announce")
    return applied
