"""What the pipeline does with the word of each channel's provider: devices, addresses, sessions, parts, folding."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import redis

from domain.vocabulary import Suppression
from models.engine import engine
from pipeline.provider_accounts import put_account
from pipeline.push_tokens import register
from pipeline.replay import replay
from pipeline.suppressions import Suppressed, suppress
from pipeline.users import delete_user
from workers.receivers.apns import problem as apns_problem
from workers.receivers.desks.twilio import problem as twilio_problem
from workers.receivers.together import VAPID_KEY, Receivers

PHONE = "+4915123456789"
IOS = "1f0c7a3e5b9d2846a1c3e5f7092b4d6e8fa0c2d4e6f8091a2b3c4d5e6f708192"
EVENT = {"tenant": "acme", "type": "ssl_failure", "severity": "critical", "recipients": ["u1"]}


def settings_for(receivers: Receivers) -> dict[str, str]:
    """An account at every provider, and room for three messages to one address."""
    caps = "email=3/60,sms=3/60,push=100/60,whatsapp=100/60,telegram=100/60"
    return {**receivers.whole_environment(), "BELLWIRE_RECIPIENT_CAPS": caps, "BELLWIRE_TELEGRAM_UPDATES": "polling"}


@pytest.fixture
def u1(process: Any) -> Any:
    """The process with a user who can be reached on every channel."""
    process.user("u1", email="u1@example.org", phone=PHONE, whatsapp=PHONE, telegram_chat_id="42")
    return process


def device(process: Any, platform: str = "ios", token: str = IOS, user: str = "u1") -> None:
    body = {"platform": platform, "token": token}
    with engine().begin() as connection:
        register(connection, tenant="acme", user_id=user, body=body, actor="cli")


def suppressed(address: str, event: str) -> Suppressed:
    return Suppressed(
        tenant="acme", channel="email", address=address, event=event, reason=Suppression.MANUAL, source="cli"
    )


def begin_a_new_window(process: Any) -> None:
    """As if the time of all limits and caps were over."""
    process.child.sender.start_counting()
    with redis.Redis.from_url(process.child.sender.settings.redis_url.get_secret_value()) as client:
        client.flushdb()


def tell(process: Any, channel: str, *, count: int = 1, **fields: Any) -> list[Any]:
    """Publish, ring, and the deliveries of the channel."""
    number = process.execute("SELECT count(*) AS n FROM events")[0].n
    for event in range(count):
        process.publish({**EVENT, "data": {"host": f"shop-{number + event}"}, **fields})
    process.ring(channel)
    return list(process.deliveries(channel))


@pytest.mark.mission("C-7", "E-12", "E-13", "E-14", "E-15")
def test_a_push_carries_the_words_the_ids_and_the_unread_count(u1: Any) -> None:
    device(u1)
    (first,) = tell(u1, "push")
    assert (first.status, first.provider) == ("sent", "apns")
    tell(u1, "push")
    sent = [json.loads(one.body) for one in u1.receivers.apns.received]
    assert [one["aps"]["badge"] for one in sent] == [1, 2]
    assert sent[0]["data"]["notificationId"] == str(first.notification_id)
    assert sent[0]["data"]["type"] == "ssl_failure"
    assert "shop-0" in sent[0]["aps"]["alert"]["title"]


@pytest.mark.mission("E-18", "E-43")
def test_a_token_that_is_no_more_is_put_to_sleep_and_never_tried_again(u1: Any) -> None:
    device(u1)
    u1.receivers.apns.script(IOS, apns_problem(410, "Unregistered"))
    (delivery,) = tell(u1, "push")
    assert (delivery.status, delivery.reason) == ("suppressed", "no_tokens")
    assert [row.is_active for row in u1.execute("SELECT is_active FROM push_tokens")] == [False]
    assert len(tell(u1, "push")) == 1, "no further delivery is made for it"
    assert len(u1.receivers.apns.received) == 1
    (counted,) = u1.execute("SELECT provider, kind, count FROM deliverability")
    assert tuple(counted) == ("apns", "deactivated", 1)


@pytest.mark.mission("E-19", "E-43")
def test_a_device_that_moved_to_another_user_is_not_told_of_the_first_ones_affairs(u1: Any) -> None:
    device(u1)
    u1.user("u2", email="u2@example.org")
    u1.publish({**EVENT, "data": {"host": "shop"}})
    device(u1, user="u2")
    u1.ring("push")
    assert [(one.status, one.reason) for one in u1.deliveries("push")] == [("suppressed", "no_tokens")]
    assert not u1.receivers.apns.received


@pytest.mark.mission("D-2", "D-43", "E-31", "E-35", "E-47")
def test_a_text_message_is_sent_with_its_parts_and_what_they_cost(u1: Any) -> None:
    (delivery,) = tell(u1, "sms")
    assert (delivery.status, delivery.provider) == ("sent", "twilio")
    (attempt,) = u1.execute("SELECT segments, cost, message_id FROM attempts")
    assert (attempt.segments, attempt.cost) == (1, Decimal("0.0083"))
    assert attempt.message_id.startswith("SM")
    counted = u1.execute("SELECT provider, kind, count, cost FROM deliverability ORDER BY kind")
    assert [tuple(row) for row in counted] == [
        ("twilio", "accepted", 1, Decimal("0.0083")),
        ("twilio", "segments", 1, Decimal(0)),
    ]


@pytest.mark.mission("E-28", "E-44")
def test_an_address_that_the_provider_refuses_for_good_is_suppressed_with_its_answer(u1: Any) -> None:
    u1.receivers.lab.script(PHONE, twilio_problem(400, 21610, "Attempt to send to unsubscribed recipient"))
    (delivery,) = tell(u1, "sms")
    assert (delivery.status, delivery.reason) == ("dead_letter", "refused")
    (row,) = u1.execute("SELECT channel, address, source, provider, delivery_id FROM suppressions")
    assert (row.channel, row.address, row.source, row.provider) == ("sms", PHONE, "refusal", "twilio")
    assert row.delivery_id == delivery.id
    assert [one.status for one in tell(u1, "sms")] == ["dead_letter", "suppressed"]


@pytest.mark.mission("E-21", "E-46")
@pytest.mark.parametrize("event", ["", "ssl_failure"])
def test_an_address_that_was_suppressed_after_routing_is_not_written_to(u1: Any, event: str) -> None:
    u1.publish({**EVENT, "data": {"host": "shop"}})
    with engine().begin() as connection:
        suppress(connection, [suppressed("U1@example.org", event)])
    u1.ring("email")
    assert [(one.status, one.reason) for one in u1.deliveries("email")] == [("suppressed", "user_suppressed")]
    assert not u1.receivers.mail.received


@pytest.mark.mission("E-46")
def test_a_suppression_of_one_event_type_stops_no_other(u1: Any) -> None:
    with engine().begin() as connection:
        suppress(connection, [suppressed("u1@example.org", "digest")])
    assert [one.status for one in tell(u1, "email")] == ["sent"]


@pytest.mark.mission("E-21", "E-46", "E-30")
def test_a_channel_that_was_switched_off_after_routing_is_not_used(u1: Any) -> None:
    u1.publish({**EVENT, "data": {"host": "shop"}})
    u1.user("u1", disabled_channels=["email"])
    u1.ring("email")
    assert [(one.status, one.reason) for one in u1.deliveries("email")] == [("suppressed", "email_disabled")]


@pytest.mark.mission("B-12", "E-46")
def test_a_replay_asks_the_suppression_list_first(u1: Any) -> None:
    u1.receivers.lab.script(PHONE, twilio_problem(400, 21610, "Attempt to send to unsubscribed recipient"))
    (delivery,) = tell(u1, "sms")
    with engine().begin() as connection:
        answer = replay(connection, tenant="acme", ids=[str(delivery.id)], actor="cli")
    assert answer["left_out"] == [{"id": str(delivery.id), "reason": "user_suppressed"}]
    assert u1.deliveries("sms")[0].status == "dead_letter", "once it is lifted, it can be replayed"


@pytest.mark.mission("B-4")
@pytest.mark.parametrize(
    ("account", "hours", "kind"),
    [
        pytest.param("", 1, "text", id="they-wrote-an-hour-ago"),
        pytest.param("", 25, "template", id="they-wrote-yesterday"),
        pytest.param("acme", 1, "template", id="they-wrote-to-another-number"),
        pytest.param(None, 0, "template", id="they-never-wrote"),
    ],
)
def test_whatsapp_takes_free_words_only_within_the_24_hours(
    u1: Any, account: str | None, hours: int, kind: str
) -> None:
    if account is not None:
        u1.execute(
            "INSERT INTO whatsapp_sessions VALUES (:account, :phone, now() - :hours * interval '1 hour')",
            account=account,
            phone=PHONE,
            hours=hours,
        )
    assert [one.status for one in tell(u1, "whatsapp")] == ["sent"]
    (received,) = u1.receivers.lab.received
    assert json.loads(received.body)["type"] == kind


@pytest.mark.mission("B-3", "B-14")
def test_what_somebody_has_to_take_comes_with_a_button(u1: Any) -> None:
    tell(u1, "telegram")
    begin_a_new_window(u1)
    tell(u1, "telegram", status="resolved")
    with_button = [b"reply_markup" in one.body for one in u1.receivers.telegram.received]
    assert with_button == [True, False]


@pytest.mark.mission("E-22")
def test_an_email_that_is_not_owed_can_be_unsubscribed_with_one_click(u1: Any) -> None:
    tell(u1, "email")
    u1.publish({"tenant": "acme", "type": "identity.password-changed", "data": {"user_id": "u1"}})
    u1.ring("email")
    headers = [
        b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click" in one.body for one in u1.receivers.mail.received
    ]
    transactional = u1.execute("SELECT type FROM events ORDER BY id")
    assert [row.type for row in transactional] == ["ssl_failure", "identity.password-changed"]
    assert headers == [True, False]


@pytest.mark.mission("E-45")
def test_a_storm_becomes_one_message_that_says_how_many_more(u1: Any) -> None:
    deliveries = tell(u1, "email", count=8)
    assert sorted(one.status for one in deliveries) == ["held"] * 5 + ["sent"] * 3
    assert {one.reason for one in deliveries if one.status == "held"} == {"too_many"}
    u1.execute("UPDATE deliveries SET due_at = now() WHERE status = 'held'")
    begin_a_new_window(u1)
    u1.ring("email")
    after = u1.deliveries("email")
    assert sorted(one.status for one in after) == ["cancelled"] * 4 + ["sent"] * 4
    assert len(u1.receivers.mail.received) == 4
    assert b"and 4 more" in u1.receivers.mail.received[-1].body
    told = u1.execute("SELECT DISTINCT status FROM notifications")
    assert [row.status for row in told] == ["delivered"]


def test_whoever_is_erased_while_a_push_is_under_way_costs_nobody_else_anything(u1: Any) -> None:
    device(u1)
    u1.user("u2", email="u2@example.org")
    device(u1, token=IOS[::-1], user="u2")
    u1.receivers.apns.script(IOS, apns_problem(503, "ServiceUnavailable"))
    assert [one.status for one in tell(u1, "push")] == ["failed"]
    with engine().begin() as connection:
        delete_user(connection, tenant="acme", user_id="u1", actor="cli")
    # As if it had been under way when the user was erased: it is due again, without an address.
    u1.execute(
        "INSERT INTO deliveries (id, tenant, event_id, channel, address, template, priority, status, due_at) "
        "SELECT gen_random_uuid(), 'acme', id, 'push', '', 'default', 1, 'queued', now() FROM events LIMIT 1"
    )
    begin_a_new_window(u1)
    tell(u1, "push", recipients=["u2"])
    ends = {one.address: (one.status, one.reason) for one in u1.deliveries("push") if one.status != "cancelled"}
    assert [end for end in ends.values() if end[0] == "sent"] == [("sent", None)]
    empty = u1.execute("SELECT DISTINCT status FROM deliveries WHERE channel = 'push' AND address = ''")
    assert [row.status for row in empty] == ["cancelled"]


@pytest.mark.mission("E-16")
def test_a_tenant_with_an_account_for_one_make_of_device_keeps_the_installations_for_the_others(u1: Any) -> None:
    device(u1)
    with engine().begin() as connection:
        credentials = {"private_key": VAPID_KEY, "subject": "mailto:push@acme.example"}
        put_account(connection, tenant="acme", provider="web_push", body={"credentials": credentials}, actor="cli")
    assert [(one.status, one.provider) for one in tell(u1, "push")] == [("sent", "apns")]


@pytest.mark.mission("E-45")
def test_what_may_have_left_with_a_worker_that_died_is_not_held_back_for_its_recipient(u1: Any) -> None:
    assert [one.status for one in tell(u1, "email", count=3)] == ["sent"] * 3, "the cap is full"
    u1.publish({**EVENT, "data": {"host": "under-way"}})
    u1.execute(
        "UPDATE deliveries SET status = 'processing', lease_token = 1, lease_until = now() - interval '1 second' "
        "WHERE channel = 'email' AND status = 'queued'"
    )
    u1.ring("email")
    assert [one.status for one in u1.deliveries("email")] == ["sent"] * 4
