"""Retention: finished events go with all that hangs on them once their days are over; what is live never goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

FIRST: Final = str(UUID(int=0))
MOST: Final = 500  # events that a batch looks at
MOST_ROWS: Final = 5_000  # of anything else
COUNTED_DAYS: Final = 400  # how long counts by hour are kept, at least: a year, and the month to compare it with

# Ids are of version 7, so their order is that of time, and no index over times is needed. Whatever somebody else is at
# work on is left for the next round: a batch waits for nobody, so it can be part of no deadlock.
PICK = text("""
WITH looked AS (
    SELECT id FROM events WHERE id > cast(:after AS uuid) AND id < cast(:before AS uuid) ORDER BY id LIMIT :most
),
over AS (
    SELECT e.id FROM looked JOIN events e USING (id)
    WHERE e.status <> 'accepted'
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = e.id
                      AND (d.due_at IS NOT NULL
                           OR d.status IN ('queued', 'held', 'processing', 'failed', 'dead_letter')))
      AND NOT EXISTS (SELECT FROM issues i WHERE i.tenant = e.tenant AND i.fingerprint = e.fingerprint
                      AND i.event_id = e.id AND i.window_until > now())
    ORDER BY e.id FOR UPDATE OF e SKIP LOCKED
)
SELECT (SELECT count(*) FROM looked) AS looked, (SELECT id::text FROM looked ORDER BY id DESC LIMIT 1) AS last,
       ARRAY(SELECT id::text FROM over) AS over
""")

FORGET = text("""
WITH over AS (SELECT id, tenant, fingerprint FROM events WHERE id = ANY(cast(:ids AS uuid[]))),
sent AS (DELETE FROM deliveries WHERE event_id = ANY(cast(:ids AS uuid[])) RETURNING id),
tried AS (DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM sent)),
heard AS (DELETE FROM receipts WHERE delivery_id IN (SELECT id FROM sent)),
shown AS (DELETE FROM previews WHERE delivery_id IN (SELECT id FROM sent)),
dead AS (DELETE FROM dead_letters WHERE delivery_id IN (SELECT id FROM sent)),
told AS (DELETE FROM notifications WHERE event_id = ANY(cast(:ids AS uuid[]))),
hidden AS (DELETE FROM event_secrets WHERE event_id = ANY(cast(:ids AS uuid[]))),
closed AS (
    SELECT i.tenant, i.fingerprint FROM over JOIN issues i USING (tenant, fingerprint)
    WHERE i.event_id = over.id AND i.window_until <= now() FOR UPDATE OF i SKIP LOCKED
),
issue AS (DELETE FROM issues i USING closed c WHERE i.tenant = c.tenant AND i.fingerprint = c.fingerprint),
silence AS (
    DELETE FROM acknowledgements a USING closed c
    WHERE a.tenant = c.tenant AND a.fingerprint = c.fingerprint AND a.until <= now()
)
DELETE FROM events WHERE id = ANY(cast(:ids AS uuid[]))
""")

# What hangs on no event.
FORGET_COUNTS = text("""
DELETE FROM statistics WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM statistics WHERE hour < cast(:counted AS timestamptz)
    ORDER BY hour LIMIT :most FOR UPDATE SKIP LOCKED))
""")
FORGET_DELIVERABILITY = text("""
DELETE FROM deliverability WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM deliverability WHERE hour < cast(:counted AS timestamptz)
    ORDER BY hour LIMIT :most FOR UPDATE SKIP LOCKED))
""")
FORGET_RECEIPTS = text("""
DELETE FROM receipts WHERE id = ANY(ARRAY(
    SELECT id FROM receipts WHERE delivery_id IS NULL AND received_at < cast(:moment AS timestamptz)
    ORDER BY received_at LIMIT :most FOR UPDATE SKIP LOCKED))
""")
FORGET_REJECTIONS = text("""
DELETE FROM rejections WHERE id = ANY(ARRAY(
    SELECT id FROM rejections WHERE id < cast(:before AS uuid) ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED))
""")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a batch came to: how many events are gone, and from where on to look next; None at the end."""

    events: int
    after: str | None


def forget_events(connection: Connection, now: datetime, days: int, after: str = FIRST, most: int = MOST) -> Forgotten:
    """Delete what is finished among the events after `after` that are older than `days`; at most two statements.

    What is live, held, scheduled or an open dead letter stays, and what the same issue is still folded into.
    """
    values = {"after": after, "before": _first_id_of(now - timedelta(days=days)), "most": most}
    row = connection.execute(PICK, values).one()
    if row.over:
        connection.execute(FORGET, {"ids": row.over})
    return Forgotten(len(row.over), row.last if row.looked == most else None)


def forget_the_rest(connection: Connection, now: datetime, days: int) -> None:
    """Delete old messages that were no events, receipts of nothing, and counts: four statements, so many rows each."""
    moment = now - timedelta(days=days)
    counted = now - timedelta(days=max(days, COUNTED_DAYS))
    connection.execute(FORGET_REJECTIONS, {"before": _first_id_of(moment), "most": MOST_ROWS})
    connection.execute(FORGET_RECEIPTS, {"moment": moment, "most": MOST_ROWS})
    for statement in (FORGET_COUNTS, FORGET_DELIVERABILITY):
        connection.execute(statement, {"counted": counted, "most": MOST_ROWS})


def _first_id_of(moment: datetime) -> str:
    """The least id of version 7 that a moment can have (RFC 9562, section 5.7: 48 bits of milliseconds first)."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return str(UUID(int=max(0, since // timedelta(milliseconds=1)) << 80))
