"""A notification as the contract shows it (N)."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row

from domain.states import NotificationStatus
from pipeline.moments import written

COLUMNS: Final = """
    n.id::text AS id, n.group_name, n.event, n.title, n.content, n.link_url, n.link_text, n.priority, n.severity,
    n.customer_id::text AS customer_id, n.read_at, n.status, n.reason, n.ack_by_user_id, n.ack_at, n.ack_note,
    n.created_at"""
"""What `notification_of` reads; a fragment for statements that call the table ``n``."""


def notification_of(row: Row[Any]) -> dict[str, Any]:
    """N of the contract."""
    return {
        "id": row.id,
        "type": row.group_name,
        "event": row.event,
        "title": row.title,
        "content": row.content,
        "link_url": row.link_url,
        "link_text": row.link_text,
        "priority": row.priority,
        "severity": row.severity,
        "customer_id": row.customer_id,
        "read": row.read_at is not None,
        "read_at": written(row.read_at),
        "status": _status(row),
        "reason": row.reason,
        "ack_by_user_id": row.ack_by_user_id,
        "ack_at": written(row.ack_at),
        "ack_note": row.ack_note,
        "created_at": written(row.created_at),
    }


def _status(row: Row[Any]) -> str:
    """The lifecycle is stored; that somebody took it is shown above all (B-9), then that it was read (C-9)."""
    if row.ack_at is not None:
        return NotificationStatus.ACKNOWLEDGED
    if row.read_at is not None:
        return NotificationStatus.READ
    return str(row.status)
