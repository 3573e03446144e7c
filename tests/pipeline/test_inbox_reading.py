"""The inbox as its user reads and changes it, and what that costs when it is large."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy import event as listening

from domain.errors import InvalidInputError
from models.engine import BATCH_OPTIONS, new_engine
from pipeline.identifiers import cursor_after
from pipeline.inbox_changes import delete_notification, mark_all_read, mark_read
from pipeline.inbox_reading import (
    MOST_LOOKED_AT,
    Reader,
    latest,
    list_notifications,
    mark_delivered,
    read_notification,
    since,
    unread,
)
from pipeline.setup import ensure_tenant
from tests.pipeline.test_indexes import EXPLAIN

ONE, TWO, OTHER = (f"6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a0{number}" for number in (1, 2, 3))
ANA = Reader("acme", "ana", (ONE, TWO), actor="user:ana", remote="192.0.2.1")
HER: dict[str, Any] = {"tenant": "acme", "user_id": "ana"}


@pytest.fixture
def told(world: Any) -> Any:
    """Ana was told of six things: the first two about no customer, then two each about customers one and another."""
    for user_id in ("ana", "ben"):
        world.user(user_id, email=f"{user_id}@example.org")
    for number, customer in enumerate((None, None, ONE, ONE, OTHER, OTHER)):
        world.publish(
            {"type": "task.made", "recipients": ["ana", "ben"], "customer_id": customer, "data": {"n": number}}
        )
    return world


def inbox(world: Any, reader: Reader = ANA, **asked: Any) -> dict[str, Any]:
    with world.begin() as connection:
        return list_notifications(connection, reader, **asked)


def numbers(page: dict[str, Any]) -> list[int]:
    """What was told, by the number that each event had."""
    return [int(one["content"].rsplit(" ", 1)[1]) for one in page["notifications"]]


def ids(world: Any, user_id: str = "ana") -> list[str]:
    """The user's notifications, the oldest first."""
    statement = "SELECT id::text FROM notifications WHERE user_id = :user ORDER BY sequence"
    return [row.id for row in world.execute(statement, user=user_id)]


def mark(world: Any, notification_id: str, reader: Reader = ANA, read: bool = True) -> Any:
    with world.begin() as connection:
        return mark_read(connection, reader, notification_id, read=read)


def delete(world: Any, notification_id: str, reader: Reader = ANA) -> bool | None:
    with world.begin() as connection:
        return delete_notification(connection, reader, notification_id)


@pytest.mark.mission("D-6")
def test_the_newest_come_first_with_their_counts(told: Any) -> None:
    page = inbox(told)
    assert numbers(page) == [3, 2, 1, 0]
    assert {name: page[name] for name in page if name != "notifications"} == {
        "total": 4,
        "unread": 4,
        "limit": 50,
        "offset": 0,
        "next_cursor": None,
    }


@pytest.mark.mission("D-6", "D-34")
@pytest.mark.parametrize(
    ("customers", "asked", "expected"),
    [
        ((), {}, [1, 0]),
        ((ONE,), {}, [3, 2, 1, 0]),
        ((ONE, OTHER), {}, [5, 4, 3, 2, 1, 0]),
        (None, {}, [5, 4, 3, 2, 1, 0]),
        ((ONE, OTHER), {"customer_id": ONE}, [3, 2]),
        ((ONE, OTHER), {"customer_id": ONE.upper()}, [3, 2]),
        ((ONE,), {"customer_id": OTHER}, []),
        ((ONE,), {"customer_id": TWO}, []),
    ],
)
@pytest.mark.parametrize("status", ["all", "unread"])
def test_what_is_about_a_customer_is_shown_to_those_who_may_see_the_customer(
    told: Any, customers: Any, asked: dict[str, Any], expected: list[int], status: str
) -> None:
    page = inbox(told, Reader("acme", "ana", customers), status=status, **asked)
    assert numbers(page) == expected
    assert (page["total"], page["unread"]) == (len(expected), len(expected))


@pytest.mark.parametrize(
    ("status", "expected", "total"), [("all", [3, 2, 1, 0], 4), ("read", [2, 0], 2), ("unread", [3, 1], 2)]
)
def test_a_status_leaves_what_has_it(told: Any, status: str, expected: list[int], total: int) -> None:
    for place in (0, 2):
        mark(told, ids(told)[place])
    page = inbox(told, status=status)
    assert (numbers(page), page["total"], page["unread"]) == (expected, total, 2)
    assert {one["read"] for one in page["notifications"]} == {number in (0, 2) for number in expected}


@pytest.mark.parametrize("status", ["all", "unread", "read"])
def test_pages_by_cursor_and_by_offset_have_everything_once(told: Any, status: str) -> None:
    if status == "read":
        for one in ids(told)[:4]:
            mark(told, one)
    by_cursor, cursor = [], None
    for _ in range(3):
        page = inbox(told, status=status, limit=2, cursor=cursor)
        by_cursor += numbers(page)
        cursor = page["next_cursor"]
        if cursor is None:
            break
    by_offset = [
        number for offset in (0, 2, 4) for number in numbers(inbox(told, status=status, limit=2, offset=offset))
    ]
    assert by_cursor == by_offset == [3, 2, 1, 0]
    assert cursor is None


def test_what_arrives_meanwhile_moves_no_page_that_is_reached_by_cursor(told: Any) -> None:
    first = inbox(told, limit=2)
    told.publish({"type": "task.made", "recipients": ["ana"], "data": {"n": 9}})
    assert numbers(inbox(told, limit=2, cursor=first["next_cursor"])) == [1, 0]


@pytest.mark.parametrize("status", ["all", "read", "unread"])
def test_a_large_inbox_is_read_on_by_cursor_from_where_a_page_stopped_looking(told: Any, status: str) -> None:
    for one in ids(told)[:2]:
        if status == "read":
            mark(told, one)
        elif status == "all":
            told.execute("UPDATE notifications SET deleted_at = now() WHERE id = cast(:id AS uuid)", id=one)
    found: list[int] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = inbox(told, Reader("acme", "ana", None), status=status, cursor=cursor, looked_at=2)
        found, cursor, pages = found + numbers(page), page["next_cursor"], pages + 1
    assert found == {"all": [5, 4, 3, 2], "read": [1, 0], "unread": [5, 4, 3, 2, 1, 0]}[status]
    assert pages == 3


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"status": "odd"}, "status"),
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 10_001}, "offset"),
        ({"offset": 1, "cursor": cursor_after("7")}, "offset"),
        ({"customer_id": "x"}, "customer_id"),
        *(({"cursor": cursor}, "cursor") for cursor in ("x", "////", *map(cursor_after, ("0", "-1", "²", "9" * 19)))),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(told: Any, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        inbox(told, **asked)
    assert refused.value.field == field


def test_an_inbox_that_never_had_anything_is_empty(world: Any) -> None:
    page = inbox(world)
    assert (page["notifications"], page["total"], page["unread"], page["next_cursor"]) == ([], 0, 0, None)
    with world.begin() as connection:
        assert latest(connection, **HER) == 0


@pytest.mark.mission("D-7", "D-34")
@pytest.mark.parametrize(
    "stranger",
    [Reader("acme", "ben", (ONE,)), Reader("other", "ana", (ONE,)), Reader("acme", "ana", (TWO,))],
    ids=["another-user", "another-tenant", "another-customer"],
)
def test_a_notification_exists_for_its_reader_and_for_nobody_else(told: Any, stranger: Reader) -> None:
    mine = ids(told)[2]
    with told.begin() as connection:
        assert read_notification(connection, ANA, mine)
        assert read_notification(connection, stranger, mine) is None
        assert mark_read(connection, stranger, mine, read=True) is None
        assert delete_notification(connection, stranger, mine) is None
        found = read_notification(connection, ANA, mine)
        assert found is not None
        assert found["read"] is False


def test_what_came_by_email_alone_is_found_by_its_id_and_not_in_the_inbox(told: Any) -> None:
    (one,) = ids(told)[:1]
    told.execute("UPDATE notifications SET sequence = NULL WHERE id = cast(:id AS uuid)", id=one)
    with told.begin() as connection:
        assert read_notification(connection, ANA, one)
    assert numbers(inbox(told)) == [3, 2, 1]


def test_what_is_to_appear_later_is_not_found_before(told: Any) -> None:
    told.publish({"type": "task.made", "recipients": ["ana"], "send_at": "2100-01-01T00:00:00Z"})
    (later,) = told.execute("SELECT id::text FROM notifications WHERE sequence IS NULL")
    with told.begin() as connection:
        assert read_notification(connection, ANA, later.id) is None
        assert mark_read(connection, ANA, later.id, read=True) is None


@pytest.mark.mission("D-8", "C-10")
def test_marking_touches_the_time_it_was_read_and_nothing_else(told: Any) -> None:
    one = ids(told)[0]
    everything = "SELECT to_jsonb(n) - 'read_at' AS rest, read_at FROM notifications n ORDER BY id"
    deliveries = "SELECT to_jsonb(d) AS rest FROM deliveries d ORDER BY id"
    before, sent = told.execute(everything), told.execute(deliveries)
    marked = mark(told, one)
    assert marked.changed
    assert (marked.notification["id"], marked.notification["read"], marked.notification["status"]) == (
        one,
        True,
        "read",
    )
    after = told.execute(everything)
    assert [row.rest for row in after] == [row.rest for row in before]
    assert [row.rest["id"] for row in after if row.read_at is not None] == [one]
    assert told.execute(deliveries) == sent


@pytest.mark.mission("D-8")
def test_marking_again_changes_nothing_and_is_not_in_the_audit(told: Any) -> None:
    one = ids(told)[0]
    first = mark(told, one)
    again = mark(told, one)
    assert (again.changed, again.notification) == (False, first.notification)
    back = mark(told, one, read=False)
    assert (back.changed, back.notification["read_at"]) == (True, None)
    assert not mark(told, one, read=False).changed
    done = [(row.actor, row.action, row.subject, row.remote_address) for row in told.audit()[-2:]]
    assert done == [
        ("user:ana", "notification.read", one, "192.0.2.1"),
        ("user:ana", "notification.unread", one, "192.0.2.1"),
    ]


@pytest.mark.mission("C-10")
def test_everything_is_marked_in_bounded_steps_but_for_what_came_later(told: Any) -> None:
    with told.begin() as connection:
        upto = latest(connection, **HER)
    told.publish({"type": "task.made", "recipients": ["ana"], "data": {"n": 9}})
    steps = []
    for _ in range(3):
        with told.begin() as connection:
            steps.append(mark_all_read(connection, ANA, upto=upto, most=3))
    assert steps == [3, 1, 0]
    assert numbers(inbox(told, Reader("acme", "ana", None), status="unread")) == [9, 5, 4]  # others' customer's stay
    assert inbox(told, Reader("acme", "ben", None))["unread"] == 6
    assert [row.after for row in told.audit() if row.action == "inbox.read"] == [
        {"updated": 3, "customer_id": None},
        {"updated": 1, "customer_id": None},
    ]


@pytest.mark.parametrize(("customer", "left"), [(ONE, [1, 0]), (OTHER, [3, 2, 1, 0])])
def test_what_is_about_one_customer_is_marked_alone(told: Any, customer: str, left: list[int]) -> None:
    with told.begin() as connection:
        mark_all_read(connection, ANA, upto=100, customer_id=customer)
    assert numbers(inbox(told, status="unread")) == left


@pytest.mark.mission("D-9")
def test_what_was_deleted_is_gone_and_may_be_deleted_again(told: Any) -> None:
    one = ids(told)[3]
    before = told.execute("SELECT to_jsonb(d) AS rest FROM deliveries d ORDER BY id")
    assert [delete(told, one), delete(told, one)] == [True, False]
    page = inbox(told)
    assert (numbers(page), page["total"], page["unread"]) == ([2, 1, 0], 3, 3)
    with told.begin() as connection:
        assert read_notification(connection, ANA, one) is None
        assert mark_read(connection, ANA, one, read=True) is None
        assert [frame.sequence for frame in since(connection, **HER, after=2, most=9, customers=(ONE,))] == [3]
        assert unread(connection, **HER) == 5
    assert told.execute("SELECT to_jsonb(d) AS rest FROM deliveries d ORDER BY id") == before
    assert [row.subject for row in told.audit() if row.action == "notification.delete"] == [one]


def test_what_came_since_a_number_is_in_its_order_and_bounded(told: Any) -> None:
    with told.begin() as connection:
        assert latest(connection, **HER) == 6
        assert [frame.sequence for frame in since(connection, **HER, after=1, most=3)] == [2, 3, 4]
        (last,) = since(connection, **HER, after=5, most=3)
        assert since(connection, **HER, after=6, most=3) == []
    assert (last.tenant, last.user_id, last.notification["id"]) == ("acme", "ana", ids(told)[5])


def test_unread_counts_stop_where_looking_does(told: Any) -> None:
    with told.begin() as connection:
        assert unread(connection, **HER) == 6
        assert unread(connection, **HER, customers=(ONE,)) == 4
        assert unread(connection, **HER, most=5) == 5


@pytest.mark.mission("C-9")
@pytest.mark.parametrize("by", ["ids", "sequences"])
def test_what_was_fetched_is_delivered_once_and_without_a_write_when_it_was_before(told: Any, by: str) -> None:
    which: dict[str, Any] = {"ids": ids(told)[:2]} if by == "ids" else {"sequences": [1, 2]}
    with told.begin() as connection:
        assert mark_delivered(connection, **HER, **which) == 2
    with told.begin() as connection:
        assert mark_delivered(connection, **HER, **which) == 0
        assert mark_delivered(connection, tenant="acme", user_id="ben", ids=ids(told)[2:]) == 0
        assert mark_delivered(connection, **HER) == 0
        assert connection.execute(text("SELECT pg_current_xact_id_if_assigned()")).scalar() is None
    rows = told.execute(
        "SELECT n.user_id, n.sequence, d.delivered_at FROM deliveries d JOIN notifications n ON n.id = notification_id "
        "WHERE d.status = 'delivered' AND d.channel = 'in_app' ORDER BY 2"
    )
    assert [(row.user_id, row.sequence) for row in rows] == [("ana", 1), ("ana", 2)]
    assert all(row.delivered_at for row in rows)
    (counted,) = told.execute("SELECT sum(count) AS n FROM statistics WHERE status = 'delivered'")
    assert counted.n == 2


def test_fetching_does_not_wait_for_what_somebody_else_is_changing(told: Any) -> None:
    locked = (
        "SELECT d.id FROM deliveries d JOIN notifications n ON n.id = d.notification_id WHERE n.id = cast(:id AS uuid)"
    )
    one, two = ids(told)[:2]
    with told.begin() as settling:
        settling.execute(text(f"{locked} FOR UPDATE OF d"), {"id": one})
        with told.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert mark_delivered(connection, **HER, ids=[one, two]) == 1
    with told.begin() as connection:
        assert mark_delivered(connection, **HER, ids=[one, two]) == 1


@pytest.mark.mission("D-31")
def test_a_page_costs_the_same_number_of_statements_at_every_size(told: Any) -> None:
    def count(limit: int) -> int:
        said: list[str] = []
        with told.begin() as connection:
            listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
            page = list_notifications(connection, ANA, limit=limit)
            mark_delivered(connection, **HER, ids=[one["id"] for one in page["notifications"]])
        return len(said)

    assert [count(1), count(200)] == [3, 3]  # the counts, the page, what arrived by it


STORED = 200_000  # notifications: half of them are one user's, the others belong to a thousand
HERS = STORED // 2

# A tenth of what she was told is unread, and a tenth about a customer.
FILL = """
INSERT INTO notifications (id, tenant, event_id, user_id, sequence, recipient, audience, event, group_name, customer_id,
                           title, content, priority, severity, status, read_at)
    SELECT gen_random_uuid(), 'acme', gen_random_uuid(), who, CASE who WHEN 'ana' THEN n / 2 ELSE 1 + n / 2000 END, who,
           'admin', 't', 'g', CASE WHEN n % 20 < 2 THEN cast(:customer AS uuid) END, 't', 'c', 'high', 'high',
           'delivered', CASE WHEN n % 20 > 3 THEN now() END
    FROM (SELECT n, CASE WHEN n % 2 = 0 THEN 'ana' ELSE 'u' || n % 2000 END AS who
          FROM generate_series(1, :stored) AS n) told;
INSERT INTO inboxes (tenant, user_id, last) SELECT tenant, user_id, max(sequence) FROM notifications GROUP BY 1, 2;
INSERT INTO deliveries (id, tenant, event_id, notification_id, channel, address, template, priority, status, sent_at)
    SELECT gen_random_uuid(), tenant, event_id, id, 'in_app', user_id, 'd', 2, 'sent', now() FROM notifications
    WHERE sequence % 5 = 0
"""


@pytest.fixture(scope="module")
def large(module_database_url: str) -> Iterator[Engine]:
    """A large inbox among many, read by connections that tell how each statement was carried out."""
    plain = new_engine(module_database_url)
    with plain.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("deliveries", "notifications", "inboxes"):
            connection.execute(text(f"TRUNCATE {table} CASCADE"))
        ensure_tenant(connection, "acme")
        for statement in FILL.split(";"):
            values = {"stored": STORED, "customer": ONE} if ":stored" in statement else {}
            connection.execute(text(statement), values)
    with plain.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) notifications"))
        connection.execute(text("ANALYZE"))
    plain.dispose()
    made = new_engine(module_database_url, options=f"{BATCH_OPTIONS} {EXPLAIN}")
    yield made
    made.dispose()


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """How a plan reads tables: the kind of scan, the table or index, the rows that it looked at."""
    if "Scan" in plan["Node Type"] and ("Relation Name" in plan or "Index Name" in plan):
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        rows = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
        read = "Index Name" if plan["Node Type"] == "Index Only Scan" else "Relation Name"
        yield plan["Node Type"], plan.get(read) or plan["Index Name"], int(rows)
    for inner in plan.get("Plans", ()):
        yield from scans(inner)


def page_of(**asked: Any) -> Callable[[Connection], Any]:
    return lambda connection: list_notifications(connection, ANA, **asked)


def fetch(connection: Connection) -> None:
    page = list_notifications(connection, ANA)
    assert mark_delivered(connection, **HER, ids=[one["id"] for one in page["notifications"]]) == 10
    assert mark_delivered(connection, **HER, sequences=range(HERS - 100, HERS)) == 11


def change(connection: Connection) -> None:
    page = list_notifications(connection, ANA, status="unread", limit=2)
    one, two = (found["id"] for found in page["notifications"])
    assert mark_read(connection, ANA, one, read=True)
    assert delete_notification(connection, ANA, two)


WORK: dict[str, Callable[[Connection], Any]] = {
    "all": page_of(),
    "unread": page_of(status="unread"),
    "read": page_of(status="read"),
    "of-a-customer": page_of(customer_id=ONE),
    "by-offset": page_of(offset=10_000),
    "by-cursor": page_of(cursor=cursor_after("50000")),
    "unread-count": lambda connection: unread(connection, **HER),
    "since": lambda connection: since(connection, **HER, after=HERS - 50, most=200),
    "latest": lambda connection: latest(connection, **HER),
    "fetch": fetch,
    "change": change,
    "read-all": lambda connection: mark_all_read(connection, ANA, upto=HERS),
}


def explained(large: Engine, work: Callable[[Connection], Any], plans: str) -> list[dict[str, Any]]:
    """How each statement of some work was carried out, all of which is undone."""
    said: list[dict[str, Any]] = []
    with large.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.add_notice_handler(lambda notice: said.append(json.loads(notice.message_primary.partition("plan:")[2])))
        connection.execute(text(f"SET LOCAL plan_cache_mode = {plans}"))
        said.clear()
        work(connection)
        connection.execute(text("SELECT 1"))  # a plan is told when the next statement begins
        connection.rollback()
        connection.invalidate()
    return said


@pytest.mark.mission("D-33")
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", WORK)
def test_of_a_large_inbox_no_more_is_looked_at_than_counts_are_exact_to(large: Engine, name: str, plans: str) -> None:
    found = [scan for plan in explained(large, WORK[name], plans) for scan in scans(plan["Plan"])]
    assert found
    assert [scan for scan in found if scan[0] == "Seq Scan"] == []
    most = 2 * MOST_LOOKED_AT  # the offset is bounded by as much again
    assert [scan for scan in found if scan[2] > most + 200] == []


@pytest.mark.mission("D-33")
@pytest.mark.parametrize("plans", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(
    ("name", "index"),
    [("all", "notifications_sequence"), ("all", "notifications_unread"), ("unread-count", "notifications_unread")],
)
def test_an_inbox_is_counted_from_an_index_without_reading_its_rows(
    large: Engine, name: str, index: str, plans: str
) -> None:
    read = [scan for plan in explained(large, WORK[name], plans) for scan in scans(plan["Plan"])]
    assert ("Index Only Scan", index) in {(kind, name) for kind, name, _ in read}
