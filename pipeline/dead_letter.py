"""Dead letters: told to whoever watches the exchange, and counted by cause."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

UNANNOUNCED = text("""
SELECT l.delivery_id::text, l.tenant, l.channel, l.event, l.reason, l.created_at, d.event_id::text,
       d.notification_id::text, d.attempts
FROM dead_letters l JOIN deliveries d ON d.id = l.delivery_id
WHERE l.announced_at IS NULL ORDER BY l.created_at LIMIT 500 FOR UPDATE OF l SKIP LOCKED
""")

ANNOUNCED = text("""
UPDATE dead_letters SET announced_at = now() WHERE delivery_id = ANY(cast(:ids AS uuid[]))
""")


def unannounced(connection: Connection) -> list[dict[str, Any]]:
    """Dead letters that nobody was told of yet, locked for the caller: ids and reason, no address and no body."""
    return [
        {
            "delivery_id": row.delivery_id,
            "event_id": row.event_id,
            "notification_id": row.notification_id,
            "tenant": row.tenant,
            "channel": row.channel,
            "type": row.event,
            "reason": row.reason,
            "attempts": row.attempts,
            "at": row.created_at.isoformat(),
        }
        for row in connection.execute(UNANNOUNCED)
    ]


def mark_announced(connection: Connection, letters: list[dict[str, Any]]) -> None:
    """They were published. A crash between publishing and this publishes them twice, never not at all."""
    connection.execute(ANNOUNCED, {"ids": [letter["delivery_id"] for letter in letters]})
