"""The preview mailbox: what channels without a provider would have sent, for the person who tries things out."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, text

from domain.event import masked
from pipeline.identifiers import check_limit, check_uuid, is_uuid
from pipeline.moments import written

COLUMNS = """
    p.delivery_id::text AS delivery, p.tenant, p.channel, n.recipient, p.address, p.title, p.created_at,
    e.type AS event"""
OF_PREVIEW = """
    previews p LEFT JOIN deliveries d ON d.id = p.delivery_id LEFT JOIN events e ON e.id = d.event_id
    LEFT JOIN notifications n ON n.id = d.notification_id"""
LIST = f"""
SELECT {COLUMNS} FROM {OF_PREVIEW} WHERE {{conditions}} ORDER BY p.delivery_id DESC LIMIT :most
"""
READ = f"SELECT {COLUMNS}, p.text, p.html FROM {OF_PREVIEW} WHERE p.delivery_id = cast(:id AS uuid) AND {{owner}}"


def list_previews(
    connection: Connection, *, tenant: str | None, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of messages without their texts, those of the newest deliveries first, and the cursor of the next."""
    most = check_limit(limit)
    wanted, values = ["true"], {"most": most + 1, "tenant": tenant, "cursor": cursor}
    if tenant is not None:
        wanted.append("p.tenant = :tenant")
    if cursor is not None:
        check_uuid(cursor, "cursor")
        wanted.append("p.delivery_id < cast(:cursor AS uuid)")
    asked = {name: value for name, value in values.items() if value is not None}
    rows = connection.execute(text(LIST.format(conditions=" AND ".join(wanted))), asked).all()
    return [_shown(row) for row in rows[:most]], rows[most - 1].delivery if len(rows) > most else None


def read_preview(connection: Connection, *, tenant: str | None, delivery_id: str) -> dict[str, Any] | None:
    """One message with its ``text`` and ``html``, or None."""
    if not is_uuid(delivery_id):
        return None
    owner = "true" if tenant is None else "p.tenant = :tenant"
    values = {"id": delivery_id} if tenant is None else {"id": delivery_id, "tenant": tenant}
    row = connection.execute(text(READ.format(owner=owner)), values).first()
    return None if row is None else {**_shown(row), "text": row.text, "html": row.html}


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "delivery": row.delivery,
        "tenant": row.tenant,
        "event": row.event,
        "channel": row.channel,
        "recipient": row.recipient,
        "address": masked(row.address) if row.address else row.address,
        "title": row.title,
        "at": written(row.created_at),
    }
