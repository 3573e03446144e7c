"""The ledger as people read it: an event with all that became of it, deliveries, dead letters, the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.event import masked
from pipeline.event_types import event_types_of
from pipeline.explain import explained
from pipeline.filters import DEAD_LETTER_FILTERS, DELIVERY_FILTERS, EVENT_FILTERS, Conditions, conditions
from pipeline.identifiers import check_limit, check_uuid, is_uuid
from pipeline.moments import written
from pipeline.notification import COLUMNS as NOTIFICATION
from pipeline.notification import notification_of
from pipeline.receipts import receipts_of
from pipeline.suppressed import suppressions_of
from pipeline.wording import mask

# Rows that one page looks at when a filter leaves most of them out. The page may then be short, or empty, with a cursor
# that leads on: no page takes longer because a table is large.
MOST_LOOKED_AT = 20_000

EVENT = """
    e.id::text AS id, e.tenant, e.type, e.status, e.reason, e.condition, e.severity, e.fingerprint, e.branch,
    e.customer_id::text AS customer_id, e.actor_id, e.occurred_at, e.accepted_at, e.expires_at, e.send_at,
    e.duplicate_of::text AS duplicate_of, e.repeats"""

DELIVERY = """
    d.id::text AS id, d.tenant, d.event_id::text AS event_id, d.notification_id::text AS notification_id, d.channel,
    d.provider, d.address, d.name, d.status, d.reason, d.created_at, d.sent_at, d.delivered_at, d.failed_at,
    d.folded_into::text AS folded_into, e.type AS event, n.recipient,
    CASE WHEN d.status = 'held' AND d.due_at IS NULL
        THEN (SELECT h.release_at FROM holds h WHERE h.delivery_id = d.id) ELSE d.due_at END AS due_at"""

OF_DELIVERY = "JOIN events e ON e.id = d.event_id LEFT JOIN notifications n ON n.id = d.notification_id"

READ_EVENT = f"""
SELECT {EVENT}, e.data, e.skipped, r.routes FROM events e LEFT JOIN routings r ON r.id = e.routing_id
WHERE e.id = cast(:id AS uuid) AND {{owner}}
"""
READ_NOTIFICATIONS = text(f"""
SELECT {NOTIFICATION}, n.recipient, n.audience FROM notifications n WHERE n.event_id = cast(:id AS uuid) ORDER BY n.id
""")
READ_DELIVERIES = text(
    f"SELECT {DELIVERY} FROM deliveries d {OF_DELIVERY} WHERE e.id = cast(:id AS uuid) ORDER BY d.id"
)
READ_DELIVERY = f"SELECT {DELIVERY} FROM deliveries d {OF_DELIVERY} WHERE d.id = cast(:id AS uuid) AND {{owner}}"
READ_ATTEMPTS = text("""
SELECT delivery_id::text, number, provider, started_at, duration_ms, outcome, detail FROM attempts
WHERE delivery_id = ANY(cast(:ids AS uuid[])) ORDER BY delivery_id, number
""")

CAUSES = f"""
SELECT l.reason, l.channel, count(*) AS count, (array_agg(l.delivery_id::text ORDER BY l.delivery_id DESC))[1] AS id,
       (array_agg(l.event ORDER BY l.delivery_id DESC))[1] AS event,
       (array_agg(l.detail ORDER BY l.delivery_id DESC))[1] AS detail
FROM dead_letters l JOIN deliveries d ON d.id = l.delivery_id {OF_DELIVERY}
WHERE {{owner}} AND {{conditions}} GROUP BY l.reason, l.channel ORDER BY count(*) DESC, l.reason, l.channel
"""

Page = tuple[list[dict[str, Any]], str | None]


def read_event(connection: Connection, *, tenant: str | None, event_id: str) -> dict[str, Any] | None:
    """An event with its routes, notifications, deliveries and attempts; None when there is none. `tenant` None: any."""
    if not is_uuid(event_id):
        return None
    row = connection.execute(_owned(READ_EVENT, "e", tenant), _values(tenant, id=event_id)).first()
    if row is None:
        return None
    deliveries = _deliveries(connection, connection.execute(READ_DELIVERIES, {"id": event_id}).all())
    told: dict[str | None, list[dict[str, Any]]] = {}
    for delivery in deliveries:
        told.setdefault(delivery["notification_id"], []).append(delivery)
    notifications = [
        {
            **notification_of(one),
            "recipient": one.recipient,
            "audience": one.audience,
            "deliveries": told.get(one.id, []),
        }
        for one in connection.execute(READ_NOTIFICATIONS, {"id": event_id})
    ]
    return {
        **_event(row),
        "data": _shown_data(connection, row),
        "routes": row.routes or [],
        "skipped": row.skipped or [],
        "notifications": notifications,
        "deliveries": told.get(None, []),
    }


def explain_event(connection: Connection, *, tenant: str | None, event_id: str) -> dict[str, Any] | None:
    """Why an event came to what it came to, in words; None when there is no such event."""
    event = read_event(connection, tenant=tenant, event_id=event_id)
    return None if event is None else explained(event, suppressions_of(connection, event_id))


def list_events(
    connection: Connection,
    *,
    tenant: str | None,
    filters: Mapping[str, Any] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """A page of events, the newest first, and the cursor of the next. See `EVENT_FILTERS`."""
    asked = conditions(filters, EVENT_FILTERS)
    rows, following = _page(connection, "events", "e", EVENT, "", tenant, asked, cursor, limit)
    return [_event(row) for row in rows], following


def read_delivery(connection: Connection, *, tenant: str | None, delivery_id: str) -> dict[str, Any] | None:
    """One delivery with its attempts, or None."""
    if not is_uuid(delivery_id):
        return None
    rows = connection.execute(_owned(READ_DELIVERY, "d", tenant), _values(tenant, id=delivery_id)).all()
    return next(iter(_deliveries(connection, rows)), None)


def list_deliveries(
    connection: Connection,
    *,
    tenant: str | None,
    filters: Mapping[str, Any] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """A page of deliveries, the newest first, and the cursor of the next. See `DELIVERY_FILTERS`."""
    asked = conditions(filters, DELIVERY_FILTERS)
    rows, following = _page(connection, "deliveries", "d", DELIVERY, OF_DELIVERY, tenant, asked, cursor, limit)
    return _deliveries(connection, rows), following


def list_dead_letters(
    connection: Connection,
    *,
    tenant: str | None,
    filters: Mapping[str, Any] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> dict[str, Any]:
    """A page of what waits for a person, the newest first, with the causes of all that the filters leave.

    A cause names how many there are and the newest of them as an example. `detail`: what made it one; of what bounced,
    the receipt's.
    """
    asked = conditions(filters, DEAD_LETTER_FILTERS)
    most = check_limit(limit)
    values = {**asked.values, **_values(tenant, most=most + 1)}
    before = "true"
    if cursor is not None:
        before, values["cursor"] = "l.delivery_id < cast(:cursor AS uuid)", check_uuid(cursor, "cursor")
    where = " AND ".join((_owner("l", tenant), before, *asked.range, *asked.rest))
    page = f"""SELECT {DELIVERY}, l.detail FROM dead_letters l JOIN deliveries d ON d.id = l.delivery_id {OF_DELIVERY}
        WHERE {where} ORDER BY l.delivery_id DESC LIMIT :most"""
    rows = connection.execute(text(page), values).all()
    return {
        "dead_letters": [
            {**letter, "detail": row.detail}
            for letter, row in zip(_deliveries(connection, rows[:most]), rows, strict=False)
        ],
        "causes": _causes(connection, tenant, asked),
        "next_cursor": rows[most - 1].id if len(rows) > most else None,
    }


def _causes(connection: Connection, tenant: str | None, asked: Conditions) -> list[dict[str, Any]]:
    left = " AND ".join(("true", *asked.range, *asked.rest))
    statement = text(CAUSES.format(owner=_owner("l", tenant), conditions=left))
    return [
        {
            "reason": row.reason,
            "channel": row.channel,
            "count": row.count,
            "example": {"id": row.id, "event": row.event, "detail": row.detail},
        }
        for row in connection.execute(statement, {**asked.values, **_values(tenant)})
    ]


def _page(
    connection: Connection,
    table: str,
    alias: str,
    columns: str,
    joins: str,
    tenant: str | None,
    asked: Conditions,
    cursor: str | None,
    limit: int,
) -> tuple[Sequence[Row[Any]], str | None]:
    """A page in the order of the ids, backwards, from at most `MOST_LOOKED_AT` rows."""
    most = check_limit(limit)
    values = {**asked.values, **_values(tenant, most=most + 1, looked_at=MOST_LOOKED_AT)}
    bounds = [_owner(alias, tenant), *asked.range]
    if cursor is not None:
        bounds.append(f"{alias}.id < cast(:cursor AS uuid)")
        values["cursor"] = check_uuid(cursor, "cursor")
    window = f"SELECT * FROM {table} {alias} WHERE {' AND '.join(bounds)} ORDER BY {alias}.id DESC LIMIT :looked_at"
    rest = " AND ".join(asked.rest) or "true"
    page = f"""SELECT {columns} FROM ({window}) {alias} {joins}
        WHERE {rest} ORDER BY {alias}.id DESC LIMIT :most"""
    rows = connection.execute(text(page), values).all()
    if len(rows) > most:
        return rows[:most], rows[most - 1].id
    if not asked.rest:
        return rows, None
    end = connection.execute(text(f"SELECT count(*), min({alias}.id::text) FROM ({window}) {alias}"), values).one()
    return rows, end[1] if end[0] == MOST_LOOKED_AT else None


def _owner(alias: str, tenant: str | None) -> str:
    return "true" if tenant is None else f"{alias}.tenant = :tenant"


def _owned(statement: str, alias: str, tenant: str | None) -> Any:
    return text(statement.format(owner=_owner(alias, tenant)))


def _values(tenant: str | None, **values: Any) -> dict[str, Any]:
    return values if tenant is None else {**values, "tenant": tenant}


def _event(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "type": row.type,
        "tenant": row.tenant,
        "severity": row.severity,
        "fingerprint": row.fingerprint.hex(),
        "status": row.status,
        "reason": row.reason,
        "condition": row.condition,
        "duplicate_of": row.duplicate_of,
        "repeats": row.repeats,
        "branch": row.branch,
        "customer_id": row.customer_id,
        "actor_id": row.actor_id,
        "occurred_at": written(row.occurred_at),
        "accepted_at": written(row.accepted_at),
        "expires_at": written(row.expires_at),
        "send_at": written(row.send_at),
    }


def _shown_data(connection: Connection, row: Row[Any]) -> Mapping[str, Any]:
    """Without what is secret as of now; what was secret when the event was accepted is not in it at all."""
    return mask(row.data, event_types_of(connection, row.tenant).entry(row.type).secret)


def _deliveries(connection: Connection, rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    """D of the contract, with the type and the recipient of what it delivers, and what providers said of it later."""
    rows = list(rows)
    tried: dict[str, list[dict[str, Any]]] = {row.id: [] for row in rows}
    if tried:
        for row in connection.execute(READ_ATTEMPTS, {"ids": list(tried)}):
            tried[row.delivery_id].append(_attempt(row))
    said = receipts_of(connection, tried)
    return [{**_delivery(row, tried[row.id]), "receipts": said.get(row.id, [])} for row in rows]


def _delivery(row: Row[Any], attempts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": row.id,
        "tenant": row.tenant,
        "event_id": row.event_id,
        "event": row.event,
        "notification_id": row.notification_id,
        "recipient": row.recipient,
        "channel": row.channel,
        "webhook": row.name if row.channel == "webhook" else None,
        "provider": row.provider,
        # In the inbox the address is the user's own id; one that was erased is empty.
        "address": row.address if row.channel == "in_app" or not row.address else masked(row.address),
        "status": row.status,
        "reason": row.reason,
        "due_at": written(row.due_at),
        "created_at": written(row.created_at),
        "sent_at": written(row.sent_at),
        "delivered_at": written(row.delivered_at),
        "failed_at": written(row.failed_at),
        "folded_into": row.folded_into,
        "attempts": attempts,
    }


def _attempt(row: Row[Any]) -> dict[str, Any]:
    return {
        "number": row.number,
        "provider": row.provider,
        "started_at": written(row.started_at),
        "duration_ms": row.duration_ms,
        "outcome": row.outcome,
        "detail": row.detail,
    }
