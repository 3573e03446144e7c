"""Accept: which events are new, decided by the database in one statement a batch.

200 identical events that arrive at once meet at one row: the first to lock it leads, the others are folded into it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from domain.dedupe import rounds
from domain.event import Condition, Event
from pipeline.document import document

# Sorted, so that two batches with the same fingerprints lock them in the same order and never wait in a circle.
DECIDE = text("""
WITH incoming AS (
    SELECT * FROM jsonb_to_recordset(cast(:events AS jsonb)) AS r(
        id uuid, leader uuid, tenant text, fingerprint text, condition text, severity smallint, dedupe_window integer)
),
decided AS (
    INSERT INTO issues AS i (tenant, fingerprint, event_id, status, severity, window_until)
    SELECT tenant, decode(fingerprint, 'hex'), id, condition, severity, now() + dedupe_window * interval '1 second'
    FROM incoming WHERE id = leader AND dedupe_window > 0 ORDER BY tenant, fingerprint
    ON CONFLICT (tenant, fingerprint) DO UPDATE SET (event_id, previous_id, status, severity, window_until) = (
        SELECT n.event_id, n.previous_id, n.status, n.severity, n.window_until
        FROM (SELECT i.window_until <= now() OR excluded.status <> i.status OR excluded.severity > i.severity AS new) t,
        LATERAL (
            SELECT excluded.event_id, i.event_id AS previous_id, excluded.status, excluded.severity,
                   excluded.window_until WHERE t.new
            UNION ALL
            SELECT i.event_id, i.previous_id, i.status, i.severity, i.window_until WHERE NOT t.new) n)
    RETURNING tenant, fingerprint, event_id, previous_id
)
SELECT r.id::text, d.event_id::text AS first, d.previous_id::text AS previous,
       (SELECT array_agg(a.user_id) FROM acknowledgements a
        WHERE a.tenant = r.tenant AND a.fingerprint = decode(r.fingerprint, 'hex') AND a.until > now()) AS silenced
FROM incoming r LEFT JOIN decided d ON d.tenant = r.tenant AND d.fingerprint = decode(r.fingerprint, 'hex')
""")

# An issue that is resolved may be loud again.
END_SILENCE = text("""
DELETE FROM acknowledgements a USING jsonb_to_recordset(cast(:events AS jsonb)) AS r(tenant text, fingerprint text)
WHERE a.tenant = r.tenant AND a.fingerprint = decode(r.fingerprint, 'hex')
""")

COUNT_REPEATS = text("""
WITH more AS (
    SELECT * FROM jsonb_to_recordset(cast(:repeats AS jsonb)) AS r(id uuid, repeats integer)
),
locked AS (SELECT e.id FROM events e JOIN more USING (id) ORDER BY e.id FOR NO KEY UPDATE)
UPDATE events e SET repeats = e.repeats + more.repeats FROM more JOIN locked USING (id) WHERE e.id = more.id
""")


@dataclass(slots=True)
class Accepted:
    """An event with what was decided about it.

    Attributes:
        first: the event that it is folded into; its own id if it is new.
        previous: the event of the same issue before it, if any.
        silenced: users whom an acknowledgement of this issue keeps silent ("" is everyone).
        repeats: how many events of its own batch were folded into it.
        over: its issue was resolved before it was routed, so the alarm would come after the all-clear.
    """

    event: Event
    first: str
    previous: str | None
    silenced: frozenset[str]
    repeats: int = 0
    over: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it is to be routed."""
        return self.first == self.event.id


def accept(connection: Connection, events: Sequence[Event]) -> list[Accepted]:
    """Decide about a batch, in the order given. The decision counts once the caller's transaction commits."""
    decided: dict[str, Accepted] = {}
    for batch in rounds(events):
        decided.update(_decide(connection, batch))
    result = [decided[event.id] for event in events]
    _count(connection, result)
    _end_silence(connection, result)
    return result


def _decide(connection: Connection, batch: Sequence[tuple[Event, str]]) -> dict[str, Accepted]:
    incoming = document(
        [
            {
                "id": event.id,
                "leader": leader,
                "tenant": event.tenant,
                "fingerprint": event.fingerprint.hex(),
                "condition": event.condition,
                "severity": event.severity.rank,
                "dedupe_window": event.dedupe_window,
            }
            for event, leader in batch
        ]
    )
    rows = {row.id: row for row in connection.execute(DECIDE, {"events": incoming})}
    result = {}
    for event, _ in batch:
        row = rows[event.id]
        first = row.first or event.id
        previous = row.previous if first == event.id else None
        result[event.id] = Accepted(event, first, previous, frozenset(row.silenced or ()))
    return result


def _count(connection: Connection, accepted: Sequence[Accepted]) -> None:
    """Repeats of events in this batch are counted in memory, those of older events in the database."""
    here = {one.event.id: one for one in accepted if one.is_new}
    older: dict[str, int] = {}
    for one in accepted:
        if one.is_new:
            continue
        if one.first in here:
            here[one.first].repeats += 1
        else:
            older[one.first] = older.get(one.first, 0) + 1
    if older:
        repeats = json.dumps([{"id": id_, "repeats": count} for id_, count in older.items()])
        connection.execute(COUNT_REPEATS, {"repeats": repeats})


def _end_silence(connection: Connection, accepted: Sequence[Accepted]) -> None:
    """Whoever was silent hears that it is resolved, and all that follows, in this batch as in later ones."""
    ended: set[tuple[str, bytes]] = set()
    for one in accepted:
        issue = (one.event.tenant, one.event.fingerprint)
        if one.is_new and one.event.condition is Condition.RESOLVED:
            ended.add(issue)
        if issue in ended:
            one.silenced = frozenset()
    if ended:
        issues = [{"tenant": tenant, "fingerprint": fingerprint.hex()} for tenant, fingerprint in ended]
        connection.execute(END_SILENCE, {"events": json.dumps(issues)})
