"""Events published inside a caller's own transaction: they exist if and only if it commits, and once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError, ProgrammingError

from pipeline import outbox
from pipeline.envelope import MOST_BODY_BYTES
from tests.pipeline.conftest import BUILT

PUBLISH = "SELECT bellwire_publish(:tenant, cast(:event AS jsonb)) AS id"
SSL = {"type": "ssl_expiry", "data": {"host": "shop"}}


def call(world: Any, event: Any, tenant: str = "acme") -> int:
    """Publish as a caller does, in a transaction of its own."""
    body = event if isinstance(event, str) else json.dumps(event)
    return int(world.execute(PUBLISH, tenant=tenant, event=body)[0].id)


def work(world: Any) -> int:
    """One transaction of a worker; how many rows it took."""
    with world.begin() as connection:
        rows = outbox.take(connection)
        outbox.publish(connection, world.directory, rows, BUILT)
    return len(rows)


def stored(world: Any) -> list[tuple[str, str, str]]:
    rows = world.execute("SELECT tenant, type, data->>'host' AS host FROM events ORDER BY id")
    return [(row.tenant, row.type, row.host) for row in rows]


def rejected(world: Any) -> list[tuple[str, str, str]]:
    rows = world.execute("SELECT source, tenant, error FROM rejections ORDER BY id")
    return [(row.source, row.tenant, row.error) for row in rows]


def left(world: Any) -> int:
    return int(world.execute("SELECT count(*) AS n FROM outbox")[0].n)


def test_what_the_caller_commits_becomes_an_event_and_tells_people(world: Any) -> None:
    world.user("ada", email="ada@example.org", roles=["operations"])
    call(world, SSL)
    assert work(world) == 1
    assert stored(world) == [("acme", "ssl_expiry", "shop")]
    assert {row["channel"] for row in world.deliveries()} >= {"email", "in_app"}
    assert left(world) == 0


def test_what_the_caller_rolls_back_never_happened(world: Any) -> None:
    with pytest.raises(KeyError), world.begin() as connection:
        connection.exec_driver_sql("SELECT bellwire_publish('acme', '{\"type\": \"ssl_expiry\"}')")
        raise KeyError
    assert work(world) == 0
    assert stored(world) == []


def test_what_is_not_committed_yet_is_left_alone(world: Any) -> None:
    with world.begin() as connection:
        connection.exec_driver_sql("SELECT bellwire_publish('acme', '{\"type\": \"ssl_expiry\"}')")
        assert work(world) == 0
    assert work(world) == 1


def test_rows_are_taken_in_their_order_and_answered_with_a_number(world: Any) -> None:
    first, second = (call(world, {**SSL, "data": {"host": host}}) for host in ("a", "b"))
    assert first < second
    work(world)
    assert [host for _, _, host in stored(world)] == ["a", "b"]


def test_a_list_of_events_may_be_given(world: Any) -> None:
    call(world, [{**SSL, "data": {"host": host}} for host in ("a", "b")])
    work(world)
    assert [host for _, _, host in stored(world)] == ["a", "b"]


@pytest.mark.parametrize(
    ("tenant", "event", "problem"),
    [
        ("acme", {"type": "ssl_expiry", "severity": "worst"}, "severity: must be"),
        ("acme", {"data": {}}, "type: is required"),
        ("acme", {"type": "ssl_expiry", "tenant": "other"}, "tenant: is not the tenant"),
        ("acme", [], "events: must hold at least one event"),
        ("acme", "7", "must be a JSON object"),
        ("acme", "null", "must be a JSON object"),
        ("acme", '{"type": "ssl_expiry", "data": {"n": ' + "9" * 5000 + "}}", "is not valid JSON"),
        ("nobody", SSL, "tenant: is not a tenant of this installation"),
    ],
    ids=["severity", "no-type", "other-tenant", "empty", "number", "null", "too-many-digits", "no-tenant"],
)
def test_what_is_no_event_is_kept_for_a_person_and_holds_up_no_other(
    world: Any, tenant: str, event: Any, problem: str
) -> None:
    call(world, event, tenant)
    call(world, SSL)
    work(world)
    ((source, whose, said),) = rejected(world)
    assert (source, whose) == ("outbox", tenant)
    assert problem in said
    assert stored(world) == [("acme", "ssl_expiry", "shop")]
    assert left(world) == 0


def test_what_is_too_large_is_kept_in_part(world: Any) -> None:
    call(world, {**SSL, "branch": "x" * (MOST_BODY_BYTES + 1)})
    work(world)
    assert "is larger than" in rejected(world)[0][2]
    assert work(world) == 0


def test_a_transaction_takes_no_more_than_its_share(world: Any) -> None:
    for number in range(3):
        call(world, {**SSL, "data": {"host": str(number), "much": "x" * 100_000}})
    with world.begin() as connection:
        connection.exec_driver_sql("SELECT bellwire_publish('acme', jsonb_build_object('x', repeat('y', 5000000)))")
    call(world, SSL)
    assert [work(world), work(world), work(world)] == [4, 1, 0]


def test_a_worker_that_dies_before_its_commit_leaves_everything_as_it_was(world: Any) -> None:
    call(world, SSL)
    with pytest.raises(KeyError), world.begin() as connection:
        outbox.publish(connection, world.directory, outbox.take(connection), BUILT)
        raise KeyError
    assert (stored(world), left(world)) == ([], 1)
    work(world)
    assert (len(stored(world)), left(world)) == (1, 0)


def test_many_workers_at_once_take_each_event_once(world: Any) -> None:
    count = 3 * outbox.MOST_ROWS
    world.execute(
        "SELECT bellwire_publish('acme', jsonb_build_object('type', 'ssl_expiry', "
        "'data', jsonb_build_object('host', n))) FROM generate_series(1, :count) n",
        count=count,
    )
    start = threading.Barrier(4)

    def until_empty() -> int:
        start.wait(10)
        return sum(iter(lambda: work(world), 0))

    with ThreadPoolExecutor(4) as workers:
        taken = sum(one.result(60) for one in [workers.submit(until_empty) for _ in range(4)])
    assert taken == count
    assert sorted(int(host) for _, _, host in stored(world)) == list(range(1, count + 1))


@pytest.fixture
def shop(world: Any) -> Any:
    """A service with a role of its own in the same database: `as_shop` runs a statement with its rights."""
    world.execute("DROP ROLE IF EXISTS shop")
    world.execute("CREATE ROLE shop")

    def as_shop(*statements: str) -> None:
        with world.begin() as connection:
            connection.exec_driver_sql("SET LOCAL ROLE shop")
            for statement in statements:
                connection.exec_driver_sql(statement)

    yield as_shop
    world.execute("DROP OWNED BY shop")
    world.execute("DROP ROLE shop")


def test_nobody_publishes_without_being_allowed_to(shop: Callable[..., None]) -> None:
    with pytest.raises(ProgrammingError, match="permission denied for function bellwire_publish"):
        shop("SELECT bellwire_publish('acme', '{}')")


def test_whoever_may_publish_may_do_nothing_else(world: Any, shop: Callable[..., None]) -> None:
    world.execute("GRANT EXECUTE ON FUNCTION bellwire_publish(text, jsonb) TO shop")
    shop("SELECT bellwire_publish('acme', '{\"type\": \"ssl_expiry\"}')")
    assert work(world) == 1
    for statement in ("SELECT * FROM outbox", "INSERT INTO outbox (tenant, event) VALUES ('acme', '{}')"):
        with pytest.raises(ProgrammingError, match="permission denied for table outbox"):
            shop(statement)


def test_a_table_of_the_callers_own_does_not_lead_the_event_astray(world: Any, shop: Callable[..., None]) -> None:
    world.execute("GRANT EXECUTE ON FUNCTION bellwire_publish(text, jsonb) TO shop")
    shop(
        "CREATE TEMPORARY TABLE outbox (id bigint, tenant text, event jsonb) ON COMMIT DROP",
        "SET LOCAL search_path = pg_temp, public",
        "SELECT bellwire_publish('acme', '{\"type\": \"ssl_expiry\"}')",
    )
    assert left(world) == 1


def test_a_caller_who_gives_nothing_is_told_so_at_once(world: Any) -> None:
    with pytest.raises(IntegrityError) as problem:
        world.execute("SELECT bellwire_publish('acme', NULL)")
    assert isinstance(problem.value.orig, psycopg.errors.NotNullViolation)
