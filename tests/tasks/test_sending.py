"""What one process does when a channel's bell rings, with real receivers at the other end."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from channels.breaker import Breakers
from config.connections import redis_client
from models.engine import new_engine
from tests.support.waiting import wait_until
from workers.receivers.script import Fault, Reply


@pytest.fixture
def send(process: Any, ssl: dict[str, Any]) -> Callable[..., list[Any]]:
    """Publishes an event for each host to one webhook, rings, and gives the deliveries as they are then."""
    process.hook("/hook")

    def send(*replies: Reply, hosts: tuple[str, ...] = ("shop",)) -> list[Any]:
        process.receivers.webhook.script("/hook", *replies)
        process.publish(*({**ssl, "data": {"host": host}} for host in hosts))
        assert process.ring()
        return list(process.deliveries())

    return send


@pytest.mark.mission("B-5", "B-9", "A-27", "E-24")
@pytest.mark.parametrize(
    ("reply", "status", "reason", "outcome"),
    [
        pytest.param(Reply(204), "sent", None, "sent", id="accepted"),
        pytest.param(Reply(503), "failed", "retry", "failed", id="failed"),
        pytest.param(Reply(410), "dead_letter", "refused", "refused", id="refused"),
        pytest.param(Reply(fault=Fault.HANG_UP), "failed", "retry", "unknown", id="nobody-can-say"),
    ],
)
def test_what_the_receiver_did_is_what_is_stored(
    process: Any, send: Callable[..., list[Any]], reply: Reply, status: str, reason: str | None, outcome: str
) -> None:
    (row,) = send(reply)
    assert (row.status, row.reason, row.attempts) == (status, reason, 1)
    assert process.outcomes() == [outcome]
    assert row.lease_token is None


@pytest.mark.mission("B-5", "E-38")
def test_the_receiver_gets_the_event_signed(process: Any, send: Callable[..., list[Any]]) -> None:
    (row,) = send(Reply())
    (received,) = process.receivers.webhook.received
    assert received.key == str(row.id)
    assert json.loads(received.body)["data"] == {"host": "shop"}
    assert received.headers["webhook-signature"].startswith("v1,")


@pytest.mark.mission("B-10", "B-11")
def test_a_retry_is_due_after_the_schedules_wait_with_its_jitter(process: Any, send: Callable[..., list[Any]]) -> None:
    send(Reply(503))
    (row,) = process.execute("SELECT extract(epoch FROM due_at - failed_at)::float AS wait FROM deliveries")
    assert 59 <= row.wait <= 67


@pytest.mark.mission("D-31")
def test_everything_that_is_due_is_sent_by_one_bell(process: Any, send: Callable[..., list[Any]]) -> None:
    rows = send(Reply(), hosts=tuple(f"h{number}" for number in range(300)))
    assert {row.status for row in rows} == {"sent"}
    assert len(process.receivers.webhook.times_accepted()) == 300


@pytest.mark.mission("A-24", "D-4")
def test_a_slow_receiver_holds_up_only_its_own_delivery(process: Any, ssl: dict[str, Any]) -> None:
    process.hook("/slow")
    process.hook("/quick")
    process.receivers.webhook.script("/slow", Reply(wait=2.0))
    process.publish(ssl)
    assert not process.ring(timeout=0.1)

    def states() -> dict[str, str]:
        return {row.name: row.status for row in process.deliveries()}

    wait_until(lambda: states() == {"slow": "processing", "quick": "sent"}, "the quick one to be settled", 1.8)
    assert process.ring()
    assert states() == {"slow": "sent", "quick": "sent"}


@pytest.mark.mission("A-23", "A-24", "A-26")
def test_an_open_breaker_postpones_uses_no_attempt_and_leaves_other_endpoints_alone(
    process: Any, send: Callable[..., list[Any]], ssl: dict[str, Any]
) -> None:
    send(Reply(500), hosts=("a", "b", "c", "d", "e"))
    process.hook("/other")
    process.publish({**ssl, "data": {"host": "f"}})
    process.ring()
    rows = {(row.name, row.data["host"]): row for row in process.deliveries()}
    held = rows["hook", "f"]
    assert (held.status, held.reason, held.attempts) == ("queued", "breaker_open", 0)
    assert rows["other", "f"].status == "sent"
    assert len(process.receivers.webhook.received) == 6


@pytest.mark.mission("A-23")
def test_a_breaker_that_another_process_opened_is_open_here_too(
    process: Any, send: Callable[..., list[Any]], redis_url: str
) -> None:
    (row,) = send(Reply())
    other = Breakers(redis_client(redis_url, "breakers"))
    other.record([(f"acme:webhook:{row.webhook_id}", False)] * 5)
    held = send(Reply(), hosts=("blog",))[-1]
    assert (held.status, held.reason, held.attempts) == ("queued", "breaker_open", 0)
    assert len(process.receivers.webhook.received) == 1


@pytest.mark.mission("B-15")
def test_what_nobody_wants_any_more_is_settled_without_being_sent(process: Any, ssl: dict[str, Any]) -> None:
    process.hook("/hook")
    process.publish(ssl)
    process.execute("UPDATE events SET expires_at = now()")
    process.ring()
    assert [(row.status, row.reason, row.attempts) for row in process.deliveries()] == [("expired", "expired", 0)]
    assert process.receivers.webhook.received == []


def test_a_delivery_that_cannot_be_put_into_words_ends_and_the_others_are_sent(
    process: Any, ssl: dict[str, Any]
) -> None:
    process.hook("/good")
    bad = process.hook("/bad")
    process.execute("UPDATE webhooks SET secret = 'sealed with another key' WHERE id = cast(:id AS uuid)", id=bad)
    process.publish(ssl)
    process.ring()
    rows = {row.name: (row.status, row.reason) for row in process.deliveries()}
    assert rows == {"good": ("sent", None), "bad": ("dead_letter", "not_rendered")}


def test_a_bug_in_putting_one_into_words_costs_the_others_nothing(process: Any, ssl: dict[str, Any]) -> None:
    process.user("u1", email="u1@example.org", roles=["operations"])
    process.publish(*({**ssl, "data": {"host": host}} for host in ("good", "bad")))
    process.execute("UPDATE events SET severity = 'of no kind' WHERE data->>'host' = 'bad'")
    process.ring("email")
    rows = {row.data["host"]: (row.status, row.reason, row.attempts) for row in process.deliveries("email")}
    assert rows == {"good": ("sent", None, 1), "bad": ("dead_letter", "not_rendered", 1)}


def test_a_bug_in_a_provider_costs_the_others_nothing_and_nobody_knows_what_left(
    process: Any, ssl: dict[str, Any]
) -> None:
    process.hook("/good")
    bad = process.hook("/bad")
    process.execute("UPDATE webhooks SET headers = '[1]' WHERE id = cast(:id AS uuid)", id=bad)
    process.publish(ssl)
    process.ring()
    rows = {row.name: (row.status, row.reason, row.attempts) for row in process.deliveries()}
    assert rows == {"good": ("sent", None, 1), "bad": ("failed", "retry", 1)}
    assert sorted(process.outcomes()) == ["sent", "unknown"]


@pytest.mark.mission("A-26", "D-4")
def test_a_database_that_restarts_while_it_is_sent_loses_nothing_and_doubles_nothing(
    process: Any, module_database_url: str, ssl: dict[str, Any]
) -> None:
    process.hook("/hook")
    process.receivers.webhook.script("/hook", Reply(wait=0.5))
    process.publish(ssl)
    other = new_engine(module_database_url)
    with ThreadPoolExecutor(1) as thread:
        ringing = thread.submit(process.ring)
        assert process.receivers.webhook.wait_for(lambda hooks: bool(hooks.received))
        with other.connect() as connection:
            ended = connection.execute(
                text(
                    "SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            ).scalar_one()
        assert ended > 0
        assert ringing.result(20)
    other.dispose()
    assert [(row.status, row.attempts) for row in process.deliveries()] == [("sent", 1)]
    assert len(process.receivers.webhook.received) == 1


@pytest.mark.mission("A-26")
def test_a_delivery_whose_worker_died_is_sent_again_and_the_lost_attempt_is_recorded(
    process: Any, ssl: dict[str, Any]
) -> None:
    from time import monotonic

    from models.engine import engine
    from pipeline.claim import claim

    process.hook("/hook")
    process.publish(ssl)
    with engine().begin() as connection:
        claim(connection, "webhook", 10, 0.0, monotonic())
    process.ring()
    assert process.outcomes() == ["lost", "sent"]


@pytest.mark.mission("B-2", "A-25")
def test_email_goes_out_through_the_shared_slots_and_gives_them_back(process: Any, ssl: dict[str, Any]) -> None:
    for number in range(12):
        process.user(f"u{number}", email=f"u{number}@example.org", roles=["operations"])
    process.publish(ssl)
    assert process.ring("email")
    assert {(row.status, row.reason) for row in process.deliveries("email")} == {("sent", None)}
    rows = process.execute("SELECT count(*) AS slots, count(token) AS held FROM bulkhead_slots WHERE channel = 'email'")
    assert tuple(rows[0]) == (5, 0)


@pytest.mark.mission("A-25")
def test_while_other_workers_hold_every_slot_nothing_is_claimed(process: Any, ssl: dict[str, Any]) -> None:
    process.user("u1", email="u1@example.org", roles=["operations"])
    process.publish(ssl)
    process.execute(
        "INSERT INTO bulkhead_slots (channel, number, token, held_until) "
        "SELECT 'email', n, 1, now() + interval '1 minute' FROM generate_series(1, 5) AS n "
        "ON CONFLICT (channel, number) DO UPDATE SET token = excluded.token, held_until = excluded.held_until"
    )
    assert process.ring("email")
    assert [row.status for row in process.deliveries("email")] == ["queued"]
    process.execute("UPDATE bulkhead_slots SET held_until = now() - interval '1 second'")
    assert process.ring("email")
    assert [row.status for row in process.deliveries("email")] == ["sent"]


def test_a_bell_for_a_channel_without_provider_is_answered_at_once(process: Any) -> None:
    assert process.ring("whatsapp", 1.0)
