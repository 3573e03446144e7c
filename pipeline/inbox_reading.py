"""The inbox as its user reads it: pages, counts, what is new, and that it was fetched.

Every statement is about one user of one tenant, and none costs more because an inbox is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.fields import check_word
from domain.errors import InvalidInputError
from pipeline.counts import shard
from pipeline.identifiers import check_limit, check_uuid, cursor_after, is_uuid, key_of
from pipeline.inbox import Frame
from pipeline.notification import COLUMNS, notification_of

STATUSES: Final = ("read", "unread", "all")
MOST_OFFSET: Final = 10_000

# Rows that a count or a page looks at. An inbox with more says so by its cursor; a person who never reads must not make
# each request of his clients slower.
MOST_LOOKED_AT: Final = 10_000

MINE: Final = "n.tenant = :tenant AND n.user_id = :user_id"

# What is about a customer is shown to whoever may see that customer; null: to the user at any rate.
VISIBLE: Final = """(n.customer_id IS NULL OR cast(:customers AS uuid[]) IS NULL
     OR n.customer_id = ANY(cast(:customers AS uuid[])))"""
ASKED_FOR: Final = f"""{VISIBLE}
    AND (cast(:customer_id AS uuid) IS NULL OR n.customer_id = cast(:customer_id AS uuid))"""

# As the partial index has it, so that it is the one that answers, without a look at the rows themselves; the newest
# first, as it is kept.
UNREAD: Final = f"""
SELECT n.sequence, n.customer_id FROM notifications n
WHERE {MINE} AND n.sequence IS NOT NULL AND n.read_at IS NULL AND n.deleted_at IS NULL
ORDER BY n.sequence DESC LIMIT :looked_at"""

# Numbers have no gaps, so a range of them bounds the rows that are looked at.
COUNT: Final = text(f"""
WITH inbox AS (SELECT i.last FROM inboxes i WHERE i.tenant = :tenant AND i.user_id = :user_id),
unread AS (SELECT count(*) AS looked_at, count(*) FILTER (WHERE {ASKED_FOR}) AS unread FROM ({UNREAD}) n)
SELECT coalesce((SELECT last FROM inbox), 0) AS last, unread.looked_at, unread.unread,
       (SELECT count(*) FROM notifications n WHERE {MINE} AND n.sequence > (SELECT last FROM inbox) - :looked_at
            AND n.read_at IS NOT NULL AND n.deleted_at IS NULL AND {ASKED_FOR}) AS read
FROM unread
""")
COUNT_UNREAD: Final = text(f"SELECT count(*) FILTER (WHERE {VISIBLE}) FROM ({UNREAD}) n")
LATEST: Final = text("SELECT i.last FROM inboxes i WHERE i.tenant = :tenant AND i.user_id = :user_id")

PAGE: Final = text(f"""
SELECT {COLUMNS}, n.sequence FROM notifications n
WHERE {MINE} AND n.sequence < :before AND n.sequence >= :floor AND n.deleted_at IS NULL AND {ASKED_FOR}
  AND (cast(:read AS boolean) IS NULL OR (n.read_at IS NOT NULL) = cast(:read AS boolean))
ORDER BY n.sequence DESC OFFSET :offset LIMIT :most
""")
# The few unread ones may lie far back among those that were read.
PAGE_OF_UNREAD: Final = text(f"""
WITH picked AS (SELECT n.sequence FROM ({UNREAD}) n WHERE n.sequence < :before AND {ASKED_FOR}
                ORDER BY n.sequence DESC OFFSET :offset LIMIT :most)
SELECT {COLUMNS}, n.sequence FROM picked JOIN notifications n ON {MINE} AND n.sequence = picked.sequence
ORDER BY n.sequence DESC
""")
SINCE: Final = text(f"""
SELECT {COLUMNS}, n.sequence FROM notifications n
WHERE {MINE} AND n.sequence > :after AND n.deleted_at IS NULL AND {VISIBLE} ORDER BY n.sequence LIMIT :most
""")

# What somebody was told over another channel only is no part of the inbox, but its message leads here.
FIND: Final = f"""
SELECT {COLUMNS}, n.deleted_at FROM notifications n
WHERE n.id = cast(:id AS uuid) AND {MINE} AND {VISIBLE} AND (n.sequence IS NOT NULL OR n.status <> 'created')"""
READ_ONE: Final = text(FIND)
LOCK_ONE: Final = text(f"{FIND} FOR NO KEY UPDATE")

# What somebody holds locked is being settled just now, and the next fetch finds it.
_MARK_DELIVERED: Final = f"""
WITH seen AS (
    SELECT d.id FROM notifications n JOIN deliveries d ON d.event_id = n.event_id AND d.notification_id = n.id
    WHERE {MINE} AND {{which}} AND d.channel = 'in_app' AND d.status = 'sent'
    ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
),
moved AS (
    UPDATE deliveries d SET status = 'delivered', delivered_at = now() FROM seen WHERE d.id = seen.id RETURNING d.id
),
counted AS (
    INSERT INTO statistics AS s (hour, tenant, channel, status, reason, shard, count)
    SELECT date_trunc('hour', now(), 'UTC'), :tenant, 'in_app', 'delivered', '', cast(:shard AS smallint), count(*)
    FROM moved HAVING count(*) > 0
    ON CONFLICT (hour, tenant, channel, status, reason, shard) DO UPDATE SET count = s.count + excluded.count
)
SELECT count(*) FROM moved
"""
MARK_DELIVERED: Final = text(_MARK_DELIVERED.format(which="n.id = ANY(cast(:ids AS uuid[]))"))
MARK_NUMBERS_DELIVERED: Final = text(_MARK_DELIVERED.format(which="n.sequence = ANY(cast(:numbers AS bigint[]))"))


@dataclass(frozen=True, slots=True)
class Reader:
    """Whose inbox, and by whom.

    Attributes:
        customers: those that the reader may see; None: all that the user was told of.
        actor, remote: as the audit names them.
    """

    tenant: str
    user_id: str
    customers: Sequence[str] | None
    actor: str = ""
    remote: str | None = None

    def values(self, **more: Any) -> dict[str, Any]:
        """What the statements take. An array as text: the driver would take 20 us for each entry."""
        customers = None if self.customers is None else "{" + ",".join(self.customers) + "}"
        return {"tenant": self.tenant, "user_id": self.user_id, "customers": customers, **more}


def list_notifications(
    connection: Connection,
    reader: Reader,
    *,
    status: str = "all",
    customer_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
    offset: int = 0,
    looked_at: int = MOST_LOOKED_AT,
) -> dict[str, Any]:
    """A page of the inbox, the newest first, with the counts of what is read and unread in it.

    `total` is of what was asked for, `unread` of the same customers whatever the status. Both are exact up to
    `looked_at` notifications. A customer whom the reader may not see has none.

    Raises:
        InvalidInputError: naming the field.
    """
    check_word(status, "status", STATUSES)
    check_limit(limit)
    customer = None if customer_id is None else check_uuid(customer_id, "customer_id")
    if not 0 <= offset <= MOST_OFFSET:
        raise InvalidInputError("offset", f"must be from 0 to {MOST_OFFSET}; further pages are reached by cursor")
    if cursor is not None and offset:
        raise InvalidInputError("offset", "cannot be given together with cursor")
    before = None if cursor is None else _number(cursor)
    values = reader.values(customer_id=customer, looked_at=looked_at)
    counts = connection.execute(COUNT, values).one()
    asked = {**values, "before": before or counts.last + 1, "offset": offset, "most": limit + 1}
    if status == "unread" and counts.looked_at < looked_at:
        floor = 1
        rows = connection.execute(PAGE_OF_UNREAD, asked).all()
    else:
        floor = max(1, asked["before"] - looked_at - offset)
        read = {"all": None, "read": True, "unread": False}[status]
        rows = connection.execute(PAGE, {**asked, "floor": floor, "read": read}).all()
    totals = {"read": counts.read, "unread": counts.unread, "all": counts.read + counts.unread}
    return {
        "notifications": [notification_of(row) for row in rows[:limit]],
        "total": totals[status],
        "unread": counts.unread,
        "limit": limit,
        "offset": offset,
        "next_cursor": _next_cursor(rows, limit, floor, offset),
    }


def read_notification(connection: Connection, reader: Reader, notification_id: str) -> dict[str, Any] | None:
    """One notification; None when there is none, or it is another's, another customer's or deleted."""
    row = find(connection, reader, notification_id)
    return None if row is None or row.deleted_at is not None else notification_of(row)


def find(connection: Connection, reader: Reader, notification_id: str, *, lock: bool = False) -> Row[Any] | None:
    """The row of a notification, deleted or not, that the reader may see; locked until the transaction ends."""
    if not is_uuid(notification_id):
        return None
    return connection.execute(LOCK_ONE if lock else READ_ONE, reader.values(id=notification_id)).first()


def latest(connection: Connection, *, tenant: str, user_id: str) -> int:
    """The number of the latest notification in the inbox; 0 when there never was one."""
    return int(connection.execute(LATEST, {"tenant": tenant, "user_id": user_id}).scalar() or 0)


def since(
    connection: Connection,
    *,
    tenant: str,
    user_id: str,
    after: int,
    most: int,
    customers: Sequence[str] | None = None,
) -> list[Frame]:
    """The first `most` notifications after number `after`, in their order, as they are now."""
    values = Reader(tenant, user_id, customers).values(after=after, most=most)
    rows = connection.execute(SINCE, values)
    return [Frame(tenant, user_id, row.sequence, notification_of(row)) for row in rows]


def unread(
    connection: Connection,
    *,
    tenant: str,
    user_id: str,
    customers: Sequence[str] | None = None,
    most: int = MOST_LOOKED_AT,
) -> int:
    """How many notifications are unread: exact up to `most`, which is answered for any more."""
    values = Reader(tenant, user_id, customers).values(looked_at=most)
    return int(connection.execute(COUNT_UNREAD, values).scalar_one())


def mark_delivered(
    connection: Connection, *, tenant: str, user_id: str, ids: Sequence[str] = (), sequences: Sequence[int] = ()
) -> int:
    """What was fetched or written to a live connection has arrived: its in-app deliveries that are `sent` still.

    Nothing is written when there are none. Returns how many there were.
    """
    if not ids and not sequences:
        return 0
    values = {"tenant": tenant, "user_id": user_id, "shard": shard()}
    if ids:
        return int(connection.execute(MARK_DELIVERED, {**values, "ids": _array(ids)}).scalar_one())
    return int(connection.execute(MARK_NUMBERS_DELIVERED, {**values, "numbers": _array(sequences)}).scalar_one())


def _number(cursor: str) -> int:
    """The number that a page ended with."""
    key = key_of(cursor)
    if not (key.isascii() and key.isdigit() and len(key) <= 18 and int(key)):
        raise InvalidInputError("cursor", "is none that a list has answered")
    return int(key)


def _next_cursor(rows: Sequence[Row[Any]], limit: int, floor: int, offset: int) -> str | None:
    """A page may be short, or empty, with a cursor that leads on: it ended where it had looked at enough."""
    if len(rows) > limit:
        return cursor_after(str(rows[limit - 1].sequence))
    past_the_end = not rows and offset > 0
    return None if floor == 1 or past_the_end else cursor_after(str(floor))


def _array(values: Sequence[str] | Sequence[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
