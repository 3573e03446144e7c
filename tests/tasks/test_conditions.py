"""Email only when nobody is there, and further channels when a notification stays unread, with real servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from models.engine import engine
from pipeline.acknowledge import acknowledge
from pipeline.cancel import cancel_event
from pipeline.routes import put_route
from tasks.live import presence_key
from workers.receivers.together import Receivers

MESSAGE = {"tenant": "acme", "type": "conversation.message_posted", "severity": "low", "recipients": ["u1"]}


def settings_for(receivers: Receivers) -> dict[str, str]:
    return {**receivers.whole_environment(), "BELLWIRE_SEEN_GRACE": "60"}


@pytest.fixture
def u1(process: Any) -> Any:
    """The process with a user, and routes that tell him of messages with the plan `offline_email` only."""
    process.user("u1", email="u1@example.org", phone="+4915123456789")
    route(process, plan="offline_email", channels=["in_app", "email"])
    return process


def route(process: Any, **body: Any) -> None:
    whole = {
        "match": {"event": "conversation.message_posted"},
        "recipients": {"resolver": "explicit"},
        "priority": "critical",
        "sms_severity": "low",
        **body,
    }
    with engine().begin() as connection:
        put_route(connection, tenant="acme", name="messages", body=whole, actor="cli")


def be(process: Any, *, there: bool, since: str = "2026-01-01T00:00:00.000Z") -> None:
    """u1 has a live connection, or has none any more."""
    with redis.Redis.from_url(process.child.sender.settings.redis_url.get_secret_value()) as client:
        key = presence_key("acme", "u1")
        client.hset(key, "c1", json.dumps({"serverId": "a", "connectedAt": since})) if there else client.delete(key)


def tell(process: Any, channel: str = "email") -> Any:
    number = process.execute("SELECT count(*) AS n FROM events")[0].n
    process.publish({**MESSAGE, "data": {"conversation_id": f"c{number}", "text": "Hello"}})
    return look(process, channel)


def look(process: Any, channel: str = "email") -> Any:
    process.ring(channel)
    return process.deliveries(channel)[-1]


def let_time_pass(process: Any, seconds: int) -> None:
    process.execute(
        "UPDATE deliveries SET created_at = created_at - :s * interval '1 second', "
        "due_at = due_at - :s * interval '1 second' WHERE due_at IS NOT NULL",
        s=seconds,
    )


def shown(process: Any) -> None:
    """As when the notification was written to a live connection."""
    process.execute(
        "UPDATE deliveries SET status = 'delivered', delivered_at = now() WHERE channel = 'in_app' AND status = 'sent'"
    )


@pytest.mark.mission("C-8")
def test_who_is_not_connected_gets_the_email_at_once(u1: Any) -> None:
    assert tell(u1).status == "sent"


@pytest.mark.mission("C-8")
def test_who_is_connected_and_stays_gets_no_email(u1: Any) -> None:
    be(u1, there=True)
    waiting = tell(u1)
    assert (waiting.status, waiting.reason) == ("held", "condition")
    shown(u1)
    let_time_pass(u1, 61)
    ended = look(u1)
    assert (ended.status, ended.reason, ended.attempts) == ("suppressed", "seen", 0)


@pytest.mark.mission("C-8")
def test_who_drops_in_between_gets_the_email_after_the_grace(u1: Any) -> None:
    be(u1, there=True)
    assert tell(u1).status == "held"
    shown(u1)
    be(u1, there=False)
    assert look(u1).status == "held"
    let_time_pass(u1, 61)
    assert look(u1).status == "sent"


@pytest.mark.mission("C-8")
def test_who_dropped_in_between_gets_the_email_even_if_he_is_back(u1: Any) -> None:
    be(u1, there=True)
    tell(u1)
    shown(u1)
    be(u1, there=False)
    be(u1, there=True, since="2100-01-01T00:00:00.000Z")
    let_time_pass(u1, 61)
    assert look(u1).status == "sent"


def test_who_reads_it_meanwhile_gets_no_email(u1: Any) -> None:
    be(u1, there=True)
    tell(u1)
    be(u1, there=False)
    u1.execute("UPDATE notifications SET read_at = now()")
    let_time_pass(u1, 61)
    assert look(u1).reason == "seen"


def test_while_nobody_knows_who_is_connected_the_email_goes_out(u1: Any) -> None:
    be(u1, there=True)
    with redis.Redis.from_url(u1.child.sender.settings.redis_url.get_secret_value()) as client:
        client.set(presence_key("acme", "u1"), "no hash")  # whatever stands there, it is no reason to fail
        assert tell(u1).status in {"held", "sent"}
        client.delete(presence_key("acme", "u1"))


@pytest.mark.mission("E-40")
@pytest.mark.parametrize(("read", "outcome"), [(False, ("sent", None)), (True, ("suppressed", "seen"))])
def test_a_text_message_follows_when_it_stays_unread(u1: Any, read: bool, outcome: tuple[str, str | None]) -> None:
    route(u1, channels=["in_app", "sms"], when={"sms": "unread for 15m"})
    waiting = tell(u1, "sms")
    assert (waiting.status, waiting.reason) == ("held", "condition")
    if read:
        u1.execute("UPDATE notifications SET read_at = now()")
    let_time_pass(u1, 901)
    followed = look(u1, "sms")
    assert (followed.status, followed.reason) == outcome


@pytest.mark.mission("C-8")
def test_what_was_to_be_told_later_waits_for_its_condition_from_then_on(u1: Any) -> None:
    be(u1, there=True)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    u1.publish({**MESSAGE, "data": {"conversation_id": "c", "text": "Hello"}, "send_at": later})
    u1.execute("UPDATE events SET send_at = now()")
    u1.execute("UPDATE deliveries SET due_at = now(), created_at = now() - interval '1 hour' WHERE channel = 'email'")
    assert look(u1).reason == "condition"


def test_what_may_stay_unread_for_some_time_may_so_from_when_it_is_shown(u1: Any) -> None:
    route(u1, channels=["in_app", "sms"], when={"sms": "unread for 15m"})
    later = datetime.now(UTC) + timedelta(hours=1)
    u1.publish({**MESSAGE, "data": {"conversation_id": "c", "text": "Hello"}, "send_at": later.isoformat()})
    assert u1.deliveries("sms")[-1].due_at == later + timedelta(minutes=15)


def one_that_carries_another(process: Any) -> Any:
    """Of two emails that wait because u1 is there, the first, into which the second was folded."""
    be(process, there=True)
    tell(process)
    tell(process)
    carrier, along = process.deliveries("email")
    process.execute(
        "UPDATE deliveries SET status = 'cancelled', reason = 'folded', due_at = NULL, folded_into = :carrier "
        "WHERE id = :along",
        carrier=carrier.id,
        along=along.id,
    )
    return carrier


def test_what_was_folded_into_a_message_is_told_though_its_own_news_were_read(u1: Any) -> None:
    carrier = one_that_carries_another(u1)
    u1.execute("UPDATE notifications SET read_at = now() WHERE id = :id", id=carrier.notification_id)
    let_time_pass(u1, 61)
    u1.ring("email")
    assert u1.deliveries("email")[0].status == "sent"


def test_what_a_person_sends_again_asks_for_no_condition(u1: Any) -> None:
    be(u1, there=True)
    tell(u1)
    u1.execute("UPDATE notifications SET read_at = now()")
    for status in ("processing", "dead_letter", "queued"):
        u1.execute("UPDATE deliveries SET status = :status WHERE channel = 'email'", status=status)
    u1.execute("UPDATE deliveries SET due_at = now(), replayed_at = now() WHERE channel = 'email'")
    assert look(u1).status == "sent"


@pytest.mark.parametrize("how", ["resolved", "cancelled", "acknowledged"])
def test_what_was_folded_into_a_message_is_told_though_its_own_issue_is_over(u1: Any, how: str) -> None:
    carrier = one_that_carries_another(u1)
    match how:
        case "resolved":
            data = {"conversation_id": "c0", "text": "Hello"}
            u1.publish({**MESSAGE, "status": "resolved", "data": data})
        case "cancelled":
            with engine().begin() as connection:
                cancel_event(connection, tenant="acme", event_id=str(carrier.event_id), actor="cli")
        case "acknowledged":
            with engine().begin() as connection:
                acknowledge(
                    connection,
                    tenant="acme",
                    notification_id=str(carrier.notification_id),
                    by_user_id="u1",
                    everyone=None,
                    note=None,
                    actor="u1",
                )
    let_time_pass(u1, 61)
    u1.ring("email")
    assert u1.deliveries("email")[0].status == "sent"
    assert u1.deliveries("email")[0].reason is None
