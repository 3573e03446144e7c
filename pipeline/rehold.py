"""Look again at what is held for a user whose quiet hours, digests, preferences or addresses have just changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.settings import settings
from domain.event import Person
from domain.hold import DigestDefaults, Hold, Subject, hold
from domain.preferences import wants
from domain.vocabulary import Reason, Severity
from pipeline.digest_defaults import defaults_of
from pipeline.document import document
from pipeline.people import own_time, preference_entries

# In the order of the deliveries, as everybody locks them. Whoever gathers them just now has locked them, and is waited
# for: what he tells of is no longer held afterwards.
_LOOK: Final = """
SELECT d.id::text, h.tenant, h.user_id, h.channel, h.reason, h.release_at, e.type, e.severity, e.customer_id::text,
       n.group_name, greatest(e.send_at, h.not_before, now()) AS at, u.time_zone, u.quiet_hours, u.digest,
       u.disabled_channels, t.digest AS defaults,
       (SELECT jsonb_agg(jsonb_build_array(p.group_name, p.event, p.customer_id, p.channels, p.cadence, p.cadences))
        FROM preferences p WHERE p.tenant = h.tenant AND p.user_id = h.user_id) AS preferences
FROM holds h
JOIN deliveries d ON d.id = h.delivery_id
JOIN events e ON e.id = d.event_id
JOIN notifications n ON n.id = d.notification_id
JOIN users u ON u.tenant = h.tenant AND u.id = h.user_id
JOIN tenants t ON t.id = h.tenant
WHERE {which} AND d.status = 'held' AND d.due_at IS NULL
ORDER BY d.id FOR NO KEY UPDATE OF d
"""
LOOK: Final = text(_LOOK.format(which="h.tenant = :tenant AND h.user_id = :user_id"))
LOOK_AT: Final = text(_LOOK.format(which="h.delivery_id = ANY(cast(:ids AS uuid[]))"))

# Nobody is told a week's news at an address that is his no longer. One that has none at the end is not told.
READDRESS: Final = text("""
WITH r AS (
    SELECT channel, coalesce(address, '') AS address
    FROM jsonb_to_recordset(cast(:addresses AS jsonb)) AS r(channel text, address text)
),
held AS (
    SELECT d.id, r.address FROM holds h JOIN r ON r.channel = h.channel AND r.address <> h.address
    JOIN deliveries d ON d.id = h.delivery_id
    WHERE h.tenant = :tenant AND h.user_id = :user_id AND d.status = 'held' AND d.due_at IS NULL
    ORDER BY d.id FOR NO KEY UPDATE OF d
),
moved AS (UPDATE deliveries d SET address = held.address FROM held WHERE d.id = held.id)
UPDATE holds h SET address = held.address FROM held WHERE h.delivery_id = held.id
""")

# The reason of a delivery and that of its hold are one.
CHANGE: Final = text("""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:changes AS jsonb)) AS r(id uuid, reason text, release_at timestamptz)
),
named AS (UPDATE deliveries d SET reason = r.reason FROM r WHERE d.id = r.id AND d.reason <> r.reason)
UPDATE holds h SET reason = r.reason, release_at = r.release_at FROM r WHERE h.delivery_id = r.id
""")


def reconsider(connection: Connection, tenant: str, user_id: str) -> None:
    """Decide anew until when each held delivery of a user waits; two statements, however many there are.

    What need not wait any more, or is not wanted, is released by the next round: several as one message.
    """
    _store(connection, _decided(connection.execute(LOOK, {"tenant": tenant, "user_id": user_id}).all()))


def readdress(connection: Connection, tenant: str, user_id: str, addresses: Mapping[str, str | None]) -> None:
    """Send what is held for a user to where he is reached now, by channel; None: nowhere. One statement."""
    listed = [{"channel": channel, "address": address} for channel, address in addresses.items()]
    connection.execute(READDRESS, {"tenant": tenant, "user_id": user_id, "addresses": document(listed)})


def put_off(connection: Connection, ids: Sequence[str]) -> None:
    """Decide the same of these deliveries, whosever they are; two statements.

    Whoever has them locked waits for nobody, as looking at all that is held for their users would.
    """
    owners: dict[tuple[str, str], list[Row[Any]]] = {}
    for row in connection.execute(LOOK_AT, {"ids": list(ids)}):
        owners.setdefault((row.tenant, row.user_id), []).append(row)
    _store(connection, [one for rows in owners.values() for one in _decided(rows)])


def _store(connection: Connection, decided: Iterable[tuple[Row[Any], Hold]]) -> None:
    changes = [change for row, found in decided if (change := _change(row, found)) is not None]
    if changes:
        connection.execute(CHANGE, {"changes": document(changes)})


def _decided(rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Hold]]:
    """What is held for one user. Much is of the same kind, and each kind is decided once."""
    if not rows:
        return []
    person, defaults = _person(rows[0]), defaults_of(rows[0].defaults)
    now = datetime.now(UTC)

    @cache
    def decide(
        group: str, kind: str, severity: str, customer: str | None, channel: str, reason: str, at: datetime
    ) -> Hold:
        return _decide(person, defaults, group, kind, severity, customer, channel, reason, max(at, now))

    return [
        (row, decide(row.group_name, row.type, row.severity, row.customer_id, row.channel, row.reason, row.at))
        for row in rows
    ]


def _person(row: Row[Any]) -> Person:
    return Person(
        row.user_id,
        None,
        None,
        {},
        preferences=preference_entries(row.preferences),
        disabled=frozenset(row.disabled_channels),
        **own_time(row),
    )


def _decide(
    person: Person,
    defaults: DigestDefaults,
    group: str,
    kind: str,
    severity: str,
    customer: str | None,
    channel: str,
    reason: str,
    at: datetime,
) -> Hold:
    """The hold of a delivery as of now. One that need not wait keeps its reason, which says how it is told."""
    subject = Subject(Severity(severity), False, group, kind, customer)  # what is owed to somebody is never held
    wanted = channel not in person.disabled and wants(
        person.preferences, group=group, event=kind, customer_id=customer, channel=channel
    )
    found = hold(subject, person, channel, at, defaults) if wanted else None
    return found or Hold(Reason(reason), at)


def _change(row: Row[Any], found: Hold) -> dict[str, Any] | None:
    # Gathering for some minutes goes on, unless it was to go on until the end of quiet hours that are no more.
    gathers = row.reason == Reason.BATCH and row.release_at <= found.until + timedelta(seconds=settings().batch_wait)
    if found.reason == row.reason and (found.until == row.release_at or gathers):
        return None
    return {"id": row.id, "reason": found.reason, "release_at": found.until.isoformat()}
