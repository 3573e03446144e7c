"""Works off the outbox: every round takes what callers published in their own transactions."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

import structlog

from models.engine import DATABASE_AWAY, transaction
from pipeline.outbox import SOURCE, Row, publish, refuse, take
from tasks.child import Child
from tasks.publish import ring

log = structlog.get_logger(__name__)

LONGEST: Final = 5.0  # seconds for one round; what is left is for the next, which another process may make


def work_off_outbox(here: Child) -> set[str]:
    """Accept and route what waits there, batch by batch, and ring. The channels that were rung.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is away; what was not committed is still there.
    """
    until, rung = monotonic() + LONGEST, set[str]()
    while monotonic() < until:
        taken, channels = _batch(here, None)
        rung |= channels
        if not taken:
            break
    return rung


def _batch(here: Child, ids: Sequence[int] | None) -> tuple[int, set[str]]:
    """One transaction: how many rows it took, and the channels that were rung."""
    rows: list[Row] = []
    try:
        with transaction() as connection:
            rows = take(connection, ids)
            answers, bells = publish(connection, here.directory, rows, here.built) if rows else ([], None)
    except DATABASE_AWAY:
        raise
    except Exception as error:
        if not rows:
            raise
        return len(rows), _apart(here, [row.id for row in rows], error)
    if bells is None:
        return 0, set()
    ring(bells)
    log.info("events_accepted", source=SOURCE, events=len(answers), event_ids=[answer.id for answer in answers[:20]])
    return len(rows), set(bells.due)


def _apart(here: Child, ids: Sequence[int], error: Exception) -> set[str]:
    """A row that cannot be stored is kept for a person; those that came with it are published without it."""
    if len(ids) == 1:
        log.error("event_rejected", source=SOURCE, row=ids[0], problem=type(error).__name__)
        with transaction() as connection:
            refuse(connection, ids[0], f"cannot be stored: {type(error).__name__}")
        return set()
    middle = len(ids) // 2
    return _batch(here, ids[:middle])[1] | _batch(here, ids[middle:])[1]
