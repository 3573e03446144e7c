"""The round: with the broker it rings, without it the process does the work itself; dead letters are announced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.settings import settings
from tests.support.waiting import wait_until
from workers.receivers.script import Reply

TASK = {"tenant": "acme", "type": "task.completed", "data": {"owner_id": "u1", "task_id": "t"}}


@pytest.fixture
def hooked(process: Any, ssl: dict[str, Any]) -> Any:
    """An event for a webhook is published, and its bell was lost."""
    process.hook("/hook")
    process.publish(ssl)
    flush()
    process.broker.client.flushdb()
    return process


def flush() -> None:
    from tasks.bells import ringer

    assert ringer().flush()


def next_round(process: Any) -> None:
    process.execute("UPDATE rounds SET at = now() - interval '1 hour'")


@pytest.mark.mission("B-13", "A-26")
def test_what_is_due_is_rung_for(hooked: Any) -> None:
    from tasks.sweep import sweep

    sweep()
    flush()
    assert hooked.broker.bells("deliver.webhook") == [[[]]]


def test_a_second_round_right_after_the_first_rings_nothing(hooked: Any) -> None:
    from tasks.sweep import sweep

    sweep()
    sweep()
    flush()
    assert len(hooked.broker.bells("deliver.webhook")) == 1


@pytest.mark.mission("B-13", "D-4")
def test_without_the_broker_the_process_sends_what_is_due_itself(hooked: Any) -> None:
    from tasks.sweep import sweep_here

    sweep_here(hooked.child, 0.0)
    wait_until(lambda: [row.status for row in hooked.deliveries()] == ["sent"], "the delivery", 10)


@pytest.mark.mission("D-4", "A-26")
def test_without_the_broker_the_process_routes_what_was_forgotten_and_sends_it(
    process: Any, ssl: dict[str, Any]
) -> None:
    from config.catalogue import shipped
    from models.engine import engine
    from pipeline.envelope import parse_many
    from pipeline.publish import accept_only
    from tasks.sweep import sweep_here

    process.hook("/hook")
    with engine().begin() as connection:
        accept_only(connection, parse_many(ssl, tenant="acme", catalogue=shipped().event_types))
    process.execute("UPDATE events SET accepted_at = now() - interval '1 minute'")
    sweep_here(process.child, 0.0)
    wait_until(lambda: [row.status for row in process.deliveries()] == ["sent"], "the delivery", 10)


@pytest.mark.mission("D-4", "C-9")
@pytest.mark.parametrize("with_broker", [True, False])
def test_a_scheduled_notification_appears_with_the_round(process: Any, with_broker: bool) -> None:
    from tasks.sweep import sweep, sweep_here

    process.user("u1", email="u1@example.org")
    process.publish({**TASK, "send_at": "2099-01-01T00:00:00Z"})
    process.execute("UPDATE deliveries SET due_at = now() WHERE channel = 'in_app'")
    sweep() if with_broker else sweep_here(process.child, 0.0)
    assert [row.status for row in process.deliveries("in_app")] == ["sent"]


def kill(process: Any, ssl: dict[str, Any], *hosts: str) -> None:
    """Dead letters: the receiver refuses them."""
    process.hook("/gone")
    process.receivers.webhook.script("/gone", Reply(410))
    process.publish(*({**ssl, "data": {"host": host}} for host in hosts))
    process.ring()
    assert {row.status for row in process.deliveries()} == {"dead_letter"}


@pytest.mark.mission("B-12")
def test_dead_letters_are_published_for_others_to_watch(process: Any, ssl: dict[str, Any]) -> None:
    from tasks.sweep import announce

    kill(process, ssl, "a", "b")
    announce()
    letters = process.broker.messages("bellwire.dead_letter")
    assert [(one["channel"], one["reason"], one["type"]) for one in letters] == [
        ("webhook", "refused", "ssl_expiry")
    ] * 2
    assert "/gone" not in json.dumps(letters)
    announce()
    assert len(process.broker.messages("bellwire.dead_letter")) == 2


def test_the_queue_of_dead_letters_keeps_the_newest_and_the_table_all(process: Any, ssl: dict[str, Any]) -> None:
    from tasks.sweep import announce

    assert settings().dead_letter_queue_length == 3
    kill(process, ssl, "a", "b", "c", "d", "e")
    announce()
    kept = [one["delivery_id"] for one in process.broker.messages("bellwire.dead_letter")]
    rows = process.execute("SELECT delivery_id::text AS id FROM dead_letters ORDER BY created_at, delivery_id")
    assert len(rows) == 5
    assert len(kept) == 3


@pytest.mark.mission("B-12")
def test_with_the_broker_away_dead_letters_are_announced_in_a_later_round(process: Any, ssl: dict[str, Any]) -> None:
    from tasks.app import app
    from tasks.sweep import announce, sweep

    kill(process, ssl, "a")
    good = app.conf.broker_url
    app.conf.update(broker_url="redis+socket:///nowhere/at/all?virtual_host=0")
    announce()
    app.conf.update(broker_url=good)
    next_round(process)
    process.broker.client.flushdb()
    sweep()
    flush()
    assert [1 for _ in process.broker.bells("sweep")] == [1]
    announce()
    assert len(process.broker.messages("bellwire.dead_letter")) == 1
