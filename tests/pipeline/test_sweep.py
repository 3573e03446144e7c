"""Sweep: it finds what is due, stalled or forgotten, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from config.catalogue import shipped
from domain import verdict
from pipeline.envelope import parse_many
from pipeline.publish import accept_only
from pipeline.sweep import MOST_DUE, Work, forget_seen, look, take_round

SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "shop"}}
NOTHING = Work({}, [], False)


@pytest.fixture
def ops(world: Any) -> Any:
    world.user("u1", email="u1@example.org", telegram_chat_id="7", roles=["operations"])
    return world


def find(world: Any, *channels: str, age: float = 2.0) -> Work:
    with world.begin() as connection:
        return look(connection, channels or ("email", "telegram", "webhook"), age)


def accept(world: Any) -> str:
    with world.begin() as connection:
        (answer,) = accept_only(connection, parse_many(SSL, tenant="acme", catalogue=shipped().event_types))
    return answer.id


def change(world: Any, what: str) -> None:
    world.execute(f"UPDATE deliveries SET {what} WHERE channel = 'email'")


@pytest.mark.mission("B-13", "A-26", "D-4")
@pytest.mark.parametrize(
    ("state", "found"),
    [
        pytest.param("reason = NULL", True, id="due-and-its-bell-was-lost"),
        pytest.param("due_at = now() - interval '1 day'", True, id="due-since-yesterday"),
        pytest.param("due_at = now() + interval '1 minute'", False, id="due-in-a-minute"),
        pytest.param("lease_until = now() + interval '30 seconds'", False, id="held-by-a-worker"),
        pytest.param("lease_until = now() - interval '1 second'", True, id="its-worker-died"),
        pytest.param("status = 'cancelled', due_at = NULL", False, id="cancelled"),
    ],
)
def test_a_delivery_is_found_when_it_is_due_and_nobody_has_it(ops: Any, state: str, found: bool) -> None:
    ops.publish(SSL)
    change(ops, state)
    assert find(ops, "email") == (Work({"email": 1}, [], False) if found else NOTHING)


@pytest.mark.parametrize("found", [verdict.sent(0), verdict.failed(0, (60,), 0.0, None)], ids=["sent", "retry-later"])
def test_what_was_settled_is_not_found(ops: Any, found: Any) -> None:
    ops.publish(SSL)
    ops.settle("email", found)
    assert find(ops, "email") == NOTHING


@pytest.mark.mission("B-10", "B-13")
def test_a_retry_is_found_when_its_time_has_come(ops: Any) -> None:
    ops.publish(SSL)
    ops.settle("email", verdict.failed(0, (60,), 0.0, None))
    change(ops, "due_at = due_at - interval '61 seconds'")
    assert find(ops, "email").due == {"email": 1}


def test_what_is_due_is_counted_by_channel(ops: Any) -> None:
    ops.publish(SSL, {**SSL, "data": {"host": "blog"}})
    ops.send("telegram")
    ops.publish({**SSL, "data": {"host": "docs"}})
    assert find(ops).due == {"email": 3, "telegram": 1}


def test_only_channels_that_have_a_provider_here_are_looked_at(ops: Any) -> None:
    ops.publish(SSL)
    assert find(ops, "telegram").due == {"telegram": 1}


def test_all_priorities_are_looked_at(ops: Any) -> None:
    for priority in range(4):
        ops.publish({**SSL, "data": {"host": f"h{priority}"}})
        ops.execute(
            "UPDATE deliveries SET priority = :rank WHERE event_id = (SELECT max(id::text)::uuid FROM events)",
            rank=priority,
        )
    assert find(ops, "email").due == {"email": 4}


def test_a_flood_is_counted_no_further_than_needed(ops: Any) -> None:
    ops.publish(SSL)
    ops.execute(
        "INSERT INTO deliveries (id, tenant, event_id, channel, address, template, priority, status, due_at) "
        "SELECT gen_random_uuid(), 'acme', event_id, 'email', 'a', 'default', 1, 'queued', now() "
        "FROM deliveries, generate_series(1, 2100) WHERE channel = 'email'"
    )
    assert find(ops, "email").due == {"email": MOST_DUE}


@pytest.mark.mission("D-4", "A-26")
def test_an_event_that_was_accepted_and_not_routed_is_found_once_its_bell_should_have_come(ops: Any) -> None:
    id_ = accept(ops)
    assert find(ops).forgotten == []
    ops.execute("UPDATE events SET accepted_at = now() - interval '3 seconds'")
    assert find(ops).forgotten == [id_]


def test_an_event_that_was_routed_is_not_forgotten(ops: Any) -> None:
    ops.publish(SSL, SSL)
    assert find(ops, age=-1).forgotten == []


def test_dead_letters_that_nobody_was_told_of_are_found(ops: Any) -> None:
    ops.publish(SSL)
    ops.refuse("email")
    assert find(ops).unannounced
    ops.execute("UPDATE dead_letters SET announced_at = now()")
    assert not find(ops).unannounced


@pytest.mark.mission("B-13")
def test_of_many_workers_that_could_make_the_round_one_does(world: Any) -> None:
    ready = Barrier(6)

    def work(_: int) -> bool:
        ready.wait(10)
        with world.begin() as connection:
            return take_round(connection, "sweep", 5.0)

    with ThreadPoolExecutor(6) as workers:
        assert sum(workers.map(work, range(6))) == 1


@pytest.mark.parametrize(("ago", "taken"), [("4 seconds", False), ("6 seconds", True)])
def test_the_next_round_is_made_when_the_last_is_long_enough_ago(world: Any, ago: str, taken: bool) -> None:
    world.execute(f"INSERT INTO rounds (name, at) VALUES ('sweep', now() - interval '{ago}')")
    with world.begin() as connection:
        assert take_round(connection, "sweep", 5.0) is taken


def test_another_round_is_another_matter(world: Any) -> None:
    with world.begin() as connection:
        assert take_round(connection, "sweep", 5.0)
        assert take_round(connection, "another", 5.0)


@pytest.mark.parametrize(("age", "left"), [("23 hours", 1), ("25 hours", 0)])
def test_answers_to_requests_are_kept_for_a_day(world: Any, age: str, left: int) -> None:
    world.execute(
        "INSERT INTO idempotency_keys (tenant, endpoint, key, body_hash, status, response, created_at) "
        f"VALUES ('acme', '/v1/events', 'k', '', 202, '{{}}', now() - interval '{age}')"
    )
    with world.begin() as connection:
        forget_seen(connection)
    assert len(world.execute("SELECT FROM idempotency_keys")) == left
