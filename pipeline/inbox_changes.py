"""The inbox as its user changes it: read, unread, all read, deleted; each in the audit, and nothing else touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from pipeline.audit import record
from pipeline.identifiers import check_uuid
from pipeline.inbox_reading import ASKED_FOR, MINE, Reader, find
from pipeline.notification import COLUMNS, notification_of

MOST_MARKED: Final = 5_000  # in one transaction, whose locks others wait for

MARK: Final = text(f"""
UPDATE notifications n SET read_at = CASE WHEN :read THEN now() END WHERE n.id = cast(:id AS uuid) RETURNING {COLUMNS}
""")
DELETE: Final = text("UPDATE notifications SET deleted_at = now() WHERE id = cast(:id AS uuid)")

# In the order of their ids, as everybody locks notifications.
MARK_ALL: Final = text(f"""
WITH unread AS MATERIALIZED (
    SELECT n.id FROM notifications n
    WHERE {MINE} AND n.sequence IS NOT NULL AND n.read_at IS NULL AND n.deleted_at IS NULL AND n.sequence <= :upto
      AND {ASKED_FOR} LIMIT :most
),
locked AS (
    SELECT n.id FROM notifications n JOIN unread ON unread.id = n.id WHERE n.read_at IS NULL
    ORDER BY n.id FOR NO KEY UPDATE OF n
)
UPDATE notifications n SET read_at = now() FROM locked WHERE n.id = locked.id
""")


@dataclass(frozen=True, slots=True)
class Marked:
    """A notification after it was marked, and whether that changed anything."""

    notification: dict[str, Any]
    changed: bool


def mark_read(connection: Connection, reader: Reader, notification_id: str, *, read: bool) -> Marked | None:
    """Mark a notification read or unread. Marking it again keeps the time; nothing else of it changes.

    None when there is no such notification for this reader.
    """
    row = find(connection, reader, notification_id, lock=True)
    if row is None or row.deleted_at is not None:
        return None
    if (row.read_at is not None) == read:
        return Marked(notification_of(row), False)
    marked = connection.execute(MARK, {"id": row.id, "read": read}).one()
    _record(connection, reader, "notification.read" if read else "notification.unread", row.id)
    return Marked(notification_of(marked), True)


def mark_all_read(
    connection: Connection, reader: Reader, *, upto: int, customer_id: str | None = None, most: int = MOST_MARKED
) -> int:
    """Mark at most `most` of the unread notifications up to that number. Fewer, if there are no more; how many."""
    customer = None if customer_id is None else check_uuid(customer_id, "customer_id")
    values = reader.values(customer_id=customer, upto=upto, most=most)
    marked = connection.execute(MARK_ALL, values).rowcount
    if marked:
        _record(connection, reader, "inbox.read", reader.user_id, {"updated": marked, "customer_id": customer})
    return marked


def delete_notification(connection: Connection, reader: Reader, notification_id: str) -> bool | None:
    """Take a notification out of the inbox; what is still to be sent of it is sent all the same.

    Returns:
        True; False when it was deleted before; None when there never was one for this reader.
    """
    row = find(connection, reader, notification_id, lock=True)
    if row is None:
        return None
    if row.deleted_at is not None:
        return False
    connection.execute(DELETE, {"id": row.id})
    _record(connection, reader, "notification.delete", row.id)
    return True


def _record(
    connection: Connection, reader: Reader, action: str, subject: str, after: Mapping[str, Any] | None = None
) -> None:
    record(
        connection,
        tenant=reader.tenant,
        actor=reader.actor,
        action=action,
        subject=subject,
        after=after,
        remote=reader.remote,
    )
