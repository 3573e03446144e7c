"""Publish: accept and route a batch in one transaction; or accept now and route later, when the bell rings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.event import Condition, Event
from domain.states import EventStatus
from domain.vocabulary import Reason, Severity
from pipeline.accept import Accepted, accept
from pipeline.directory import Directory, Tenant
from pipeline.document import document
from pipeline.route import Bells, Told, route, store
from pipeline.secrets_of_events import store_secrets

COLUMNS = """
    id uuid, tenant text, type text, status text, reason text, condition text, severity text, fingerprint text,
    branch text, customer_id uuid, actor_id text, recipients jsonb, data jsonb, attachments jsonb,
    occurred_at timestamptz, expires_at timestamptz, send_at timestamptz, duplicate_of uuid, repeats integer,
    previous_id uuid, routing_id uuid, skipped jsonb"""

STORE_EVENTS = text(f"""
INSERT INTO events (id, tenant, type, status, reason, condition, severity, fingerprint, branch, customer_id, actor_id,
                    recipients, data, attachments, occurred_at, expires_at, send_at, duplicate_of, repeats,
                    previous_id, routing_id, skipped)
SELECT id, tenant, type, status, reason, condition, severity, decode(fingerprint, 'hex'), branch, customer_id, actor_id,
       recipients, data, attachments, occurred_at, expires_at, send_at, duplicate_of, repeats,
       previous_id, routing_id, skipped
FROM jsonb_to_recordset(cast(:events AS jsonb)) AS r({COLUMNS})
""")

# Taken by one worker only; what another one holds is left to it.
TAKE_ACCEPTED = text("""
SELECT id::text, tenant, type, condition, severity, fingerprint, branch, customer_id::text, actor_id, recipients,
       data, occurred_at, expires_at, send_at, previous_id::text,
       (SELECT array_agg(a.user_id) FROM acknowledgements a
        WHERE a.tenant = e.tenant AND a.fingerprint = e.fingerprint AND a.until > now()) AS silenced,
       e.condition = 'firing' AND coalesce((SELECT i.status = 'resolved' FROM issues i
           WHERE i.tenant = e.tenant AND i.fingerprint = e.fingerprint), false) AS over
FROM events e WHERE id = ANY(cast(:ids AS uuid[])) AND status = 'accepted' ORDER BY id FOR UPDATE SKIP LOCKED
""")

SETTLE_EVENTS = text("""
UPDATE events e SET status = r.status, reason = r.reason, routing_id = r.routing_id, skipped = r.skipped
FROM jsonb_to_recordset(cast(:events AS jsonb)) AS r(id uuid, status text, reason text, routing_id uuid, skipped jsonb)
WHERE e.id = r.id
""")


GIVE_UP = text("""
UPDATE events SET status = 'unrouted', reason = :reason WHERE id = cast(:id AS uuid) AND status = 'accepted'
""")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the publisher is told about one event."""

    id: str
    status: str
    duplicate_of: str | None
    fingerprint: str


def accept_only(connection: Connection, events: Sequence[Event]) -> list[Answer]:
    """Store a batch as accepted. Once the caller's transaction commits, nothing of it can be lost."""
    accepted = accept(connection, events)
    _store_events(connection, accepted, {})
    return [_answer(one) for one in accepted]


def accept_and_route(
    connection: Connection, tenants: Mapping[str, Tenant], events: Sequence[Event], built: Mapping[str, bool]
) -> tuple[list[Answer], Bells]:
    """Accept, route and store a batch at once. `tenants` has the tenant of every event."""
    accepted = accept(connection, events)
    told = route(connection, tenants, accepted, built)
    _store_events(connection, accepted, told)
    return [_answer(one) for one in accepted], store(connection, told.values(), accepted)


def route_accepted(
    connection: Connection, directory: Directory, ids: Collection[str], built: Mapping[str, bool]
) -> Bells:
    """Route events that were accepted before. Those that somebody else routed meanwhile are left alone."""
    accepted = [_accepted(row) for row in connection.execute(TAKE_ACCEPTED, {"ids": list(ids)})]
    if not accepted:
        return Bells()
    tenants = directory.look_up(connection, {one.event.tenant for one in accepted})
    told = route(connection, tenants, accepted, built)
    settled = document(
        [
            {
                "id": id_,
                "status": one.status,
                "reason": one.reason,
                "routing_id": str(one.routing_id),
                "skipped": one.skipped or None,
            }
            for id_, one in told.items()
        ]
    )
    connection.execute(SETTLE_EVENTS, {"events": settled})
    return store(connection, told.values(), accepted)


def give_up(connection: Connection, event_id: str) -> None:
    """Mark an accepted event that cannot be routed, so that the sweep does not come back to it for ever."""
    connection.execute(GIVE_UP, {"id": event_id, "reason": Reason.NOT_ROUTED.value})


def _answer(one: Accepted) -> Answer:
    return Answer(
        one.event.id,
        "accepted" if one.is_new else "duplicate",
        None if one.is_new else one.first,
        one.event.fingerprint.hex(),
    )


def _store_events(connection: Connection, accepted: Sequence[Accepted], told: Mapping[str, Told]) -> None:
    rows = "[" + ",".join(_row(one, told.get(one.event.id)) for one in accepted) + "]"
    connection.execute(STORE_EVENTS, {"events": rows})
    store_secrets(connection, (one.event for one in accepted if one.is_new))


def _row(one: Accepted, told: Told | None) -> str:
    """The event as JSON text. `data` is spliced in as it was checked: writing it twice would cost 3 us an event."""
    event = one.event
    status: str = EventStatus.ACCEPTED if one.is_new else EventStatus.DUPLICATE
    row: dict[str, Any] = {
        "id": event.id,
        "tenant": event.tenant,
        "type": event.type,
        "status": told.status if told else status,
        "condition": event.condition,
        "severity": event.severity,
        "fingerprint": event.fingerprint.hex(),
        "occurred_at": event.occurred_at.isoformat(),
        "repeats": one.repeats,
    }
    optional = {
        "branch": event.branch,
        "customer_id": event.customer_id,
        "actor_id": event.actor_id,
        "recipients": event.recipients,
        "attachments": event.attachments,
        "expires_at": event.expires_at and event.expires_at.isoformat(),
        "send_at": event.send_at and event.send_at.isoformat(),
        "duplicate_of": None if one.is_new else one.first,
        "previous_id": one.previous,
        "reason": told and told.reason,
        "routing_id": told and str(told.routing_id),
        "skipped": (told and told.skipped) or None,
    }
    row.update((name, value) for name, value in optional.items() if value is not None)
    return f'{document(row)[:-1]},"data":{event.data_json}}}'


def _accepted(row: Any) -> Accepted:
    event = Event(
        id=row.id,
        tenant=row.tenant,
        type=row.type,
        condition=Condition(row.condition),
        severity=Severity(row.severity),
        data=row.data,
        data_json="",
        fingerprint=row.fingerprint,
        dedupe_window=0,
        occurred_at=row.occurred_at,
        branch=row.branch,
        customer_id=row.customer_id,
        actor_id=row.actor_id,
        recipients=row.recipients,
        expires_at=row.expires_at,
        send_at=row.send_at,
    )
    return Accepted(event, row.id, row.previous_id, frozenset(row.silenced or ()), over=row.over)
