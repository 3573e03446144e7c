"""Several providers for one channel: who is asked first, who takes over and when, and when nobody may."""

from __future__ import annotations

from typing import Any

import pytest

from channels.breaker import Breakers
from workers.receivers.desks.postmark import TOKEN as POSTMARK_TOKEN
from workers.receivers.desks.resend import KEY as RESEND_KEY
from workers.receivers.desks.sendgrid import KEY as SENDGRID_KEY
from workers.receivers.lab import json_reply
from workers.receivers.script import Fault, Reply
from workers.receivers.together import Receivers

EVENT = {"tenant": "acme", "type": "order.created", "severity": "low", "recipients": ["u1"], "data": {"order": "1"}}
REJECTED = json_reply(401, {"statusCode": 401, "name": "invalid_api_key", "message": "API key is invalid"})
THROTTLED = Reply(
    429, b'{"statusCode":429,"name":"rate_limit_exceeded","message":"Too many requests"}', {"Retry-After": "7"}
)


def settings_for(receivers: Receivers) -> dict[str, str]:
    """Three providers in an order of their own."""
    lab = receivers.lab
    return {
        "BELLWIRE_EMAIL_PROVIDERS": "resend,sendgrid,postmark",
        "BELLWIRE_EMAIL_FROM": "Bellwire <bellwire@example.org>",
        "BELLWIRE_EMAIL_SENDERS": "billing.*=Billing <billing@example.org>",
        "BELLWIRE_RESEND_URL": lab.url_of("resend"),
        "BELLWIRE_RESEND_API_KEY": RESEND_KEY,
        "BELLWIRE_SENDGRID_URL": lab.url_of("sendgrid"),
        "BELLWIRE_SENDGRID_API_KEY": SENDGRID_KEY,
        "BELLWIRE_POSTMARK_URL": lab.url_of("postmark"),
        "BELLWIRE_POSTMARK_TOKEN": POSTMARK_TOKEN,
        "BELLWIRE_RECIPIENT_CAPS": "",
        "BELLWIRE_RATE_LIMITS": "resend=1000/1,sendgrid=1000/1,postmark=1000/1",
    }


@pytest.fixture
def mail(process: Any) -> Any:
    """The process with one user who has an email address."""
    process.user("u1", email="u1@example.org")
    return process


def send(mail: Any, **fields: Any) -> Any:
    """Publish one event, send its email, and the delivery as it is then."""
    mail.publish({**EVENT, **fields})
    mail.ring("email")
    return mail.deliveries("email")[-1]


def attempts(mail: Any) -> list[tuple[int, str, str]]:
    rows = mail.execute("SELECT number, provider, outcome FROM attempts ORDER BY number")
    return [(row.number, row.provider, row.outcome) for row in rows]


def asked(mail: Any) -> list[str]:
    """The desks that were asked to send, in their order."""
    return [one.headers["host"] and _desk(one) for one in mail.receivers.lab.received]


def _desk(received: Any) -> str:
    if "idempotency-key" in received.headers:
        return "resend"
    return "postmark" if "x-postmark-server-token" in received.headers else "sendgrid"


@pytest.mark.mission("E-23", "A-3")
def test_the_first_provider_of_the_order_is_asked_and_no_other(mail: Any) -> None:
    assert send(mail).status == "sent"
    assert attempts(mail) == [(1, "resend", "sent")]
    assert asked(mail) == ["resend"]


@pytest.mark.mission("E-23", "E-24", "E-44")
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Reply(503), id="an-error-of-the-provider"),
        pytest.param(REJECTED, id="an-account-that-is-not-accepted"),
        pytest.param(THROTTLED, id="too-fast-for-it"),
    ],
)
def test_the_next_one_takes_over_at_once_when_nothing_was_certainly_sent(mail: Any, failure: Reply) -> None:
    mail.receivers.lab.script("resend", failure)
    delivery = send(mail)
    assert (delivery.status, delivery.provider, delivery.attempts, delivery.failures) == ("sent", "sendgrid", 2, 0)
    assert attempts(mail) == [(1, "resend", "failed"), (2, "sendgrid", "sent")]


@pytest.mark.mission("E-23")
def test_all_are_tried_and_a_retry_is_used_up_once(mail: Any) -> None:
    for desk in ("resend", "sendgrid", "postmark"):
        mail.receivers.lab.script(desk, Reply(503))
    delivery = send(mail)
    assert (delivery.status, delivery.reason, delivery.failures, delivery.attempts) == ("failed", "retry", 1, 3)
    assert attempts(mail) == [(1, "resend", "failed"), (2, "sendgrid", "failed"), (3, "postmark", "failed")]


@pytest.mark.mission("E-23")
def test_nobody_takes_over_what_may_have_been_sent(mail: Any) -> None:
    mail.receivers.lab.script("resend", Reply(fault=Fault.HANG_UP))
    delivery = send(mail)
    assert (delivery.status, delivery.unsure) == ("failed", True)
    assert attempts(mail) == [(1, "resend", "unknown")]
    assert asked(mail) == ["resend"]


@pytest.mark.mission("E-23", "A-3")
def test_what_may_have_been_sent_is_tried_again_with_the_same_provider_and_the_same_key(mail: Any) -> None:
    desk = mail.receivers.lab.desks["resend"]
    mail.receivers.lab.script("resend", Reply(fault=Fault.HANG_UP), Reply(200))
    first = send(mail)
    mail.execute("UPDATE deliveries SET due_at = now()")
    mail.ring("email")
    assert attempts(mail) == [(1, "resend", "unknown"), (2, "resend", "sent")]
    keys = {one.headers["idempotency-key"] for one in mail.receivers.lab.received}
    assert keys == {str(first.id)}
    bodies = {one.body for one in mail.receivers.lab.received}
    assert len(bodies) == 1, "the provider would refuse another content under the same key"
    assert str(first.id) in desk.sent


@pytest.mark.mission("E-23")
def test_a_provider_that_sends_the_same_thing_once_is_waited_for(mail: Any) -> None:
    mail.receivers.lab.script("resend", Reply(fault=Fault.HANG_UP), Reply(503))
    send(mail)
    mail.execute("UPDATE deliveries SET due_at = now()")
    mail.ring("email")
    assert attempts(mail) == [(1, "resend", "unknown"), (2, "resend", "failed")]


def test_a_refusal_of_the_message_is_not_taken_to_another_provider(mail: Any) -> None:
    problem = {"statusCode": 422, "name": "validation_error", "message": "Invalid `subject` field."}
    mail.receivers.lab.script("resend", json_reply(422, problem))
    delivery = send(mail)
    assert (delivery.status, delivery.reason) == ("dead_letter", "refused")
    assert asked(mail) == ["resend"]


@pytest.mark.mission("A-23", "E-23")
def test_while_its_breaker_is_open_a_provider_is_passed_over_without_an_attempt(mail: Any) -> None:
    for _ in range(5):
        mail.child.sender.breakers.record([("acme:resend", False)])
    delivery = send(mail)
    assert attempts(mail) == [(1, "sendgrid", "sent")]
    assert delivery.status == "sent"


@pytest.mark.mission("E-45")
def test_a_provider_that_is_asked_too_fast_is_left_alone_for_as_long_as_it_says(mail: Any) -> None:
    mail.receivers.lab.script("resend", THROTTLED)
    send(mail)
    send(mail, data={"order": "2"})
    assert asked(mail) == ["resend", "sendgrid", "sendgrid"]


@pytest.mark.mission("E-45")
def test_where_all_ask_for_patience_the_delivery_waits_and_uses_up_no_retry(mail: Any) -> None:
    for desk in ("resend", "sendgrid", "postmark"):
        mail.receivers.lab.script(desk, THROTTLED)
    delivery = send(mail)
    assert (delivery.status, delivery.reason, delivery.failures) == ("queued", "rate_limited", 0)
    waits = mail.execute("SELECT extract(epoch FROM due_at - now()) AS wait FROM deliveries WHERE channel = 'email'")
    assert 4 < waits[0].wait <= 7


def test_accounts_that_nobody_accepts_pause_the_channel_with_one_alarm_and_no_dead_letter(mail: Any) -> None:
    mail.user("ops", email="ops@example.org", roles=["operations"])
    for desk in ("resend", "sendgrid", "postmark"):
        mail.receivers.lab.script(desk, REJECTED)
    for number in range(30):
        mail.publish({**EVENT, "data": {"order": str(number)}})
    mail.ring("email")
    mail.child.sender._telling.submit(lambda: None).result(10)  # the alarm is told beside the sends
    rows = mail.execute(
        "SELECT DISTINCT d.status, d.failures FROM deliveries d JOIN events e ON e.id = d.event_id "
        "WHERE e.type = 'order.created' AND d.channel = 'email'"
    )
    assert [(row.status, row.failures) for row in rows] == [("queued", 0)]
    alarms = mail.execute("SELECT data->>'provider' AS provider FROM events WHERE type LIKE 'bellwire.%' ORDER BY 1")
    assert [row.provider for row in alarms] == ["postmark", "resend", "sendgrid"]
    assert mail.execute("SELECT count(*) AS found FROM dead_letters")[0].found == 0


def told_of_accounts(mail: Any) -> list[str]:
    mail.child.sender._telling.submit(lambda: None).result(10)  # alarms are told beside the sends
    rows = mail.execute("SELECT condition FROM events WHERE type = 'bellwire.account-rejected' ORDER BY id")
    return [row.condition for row in rows]


def test_when_the_account_is_accepted_again_the_alarm_is_over_and_the_next_one_rings(mail: Any) -> None:
    mail.receivers.lab.script("resend", REJECTED)
    send(mail)
    assert told_of_accounts(mail) == ["firing"]
    assert [row.provider for row in mail.execute("SELECT provider FROM rejected_accounts")] == ["resend"]
    mail.receivers.lab.script("resend", Reply(200))
    send(mail, data={"order": "2"})
    assert told_of_accounts(mail) == ["firing", "resolved"]
    assert mail.execute("SELECT FROM rejected_accounts") == []
    mail.receivers.lab.script("resend", REJECTED)
    send(mail, data={"order": "3"})
    assert told_of_accounts(mail) == ["firing", "resolved", "firing"]
    assert mail.execute("SELECT DISTINCT status FROM events WHERE status = 'duplicate'") == []


def test_a_process_that_did_not_raise_the_alarm_ends_it_too(mail: Any) -> None:
    mail.execute(
        "INSERT INTO rejected_accounts (tenant, provider, channel, problem) VALUES ('acme', 'resend', 'email', 'no')"
    )
    mail.child.sender.alarms.look()
    send(mail)
    assert told_of_accounts(mail) == ["resolved"]


@pytest.mark.mission("E-22")
def test_the_sender_is_chosen_by_the_type_of_the_event(mail: Any) -> None:
    send(mail)
    send(mail, type="billing.invoice-generated", data={"invoice": "7"})
    bodies = [one.body for one in mail.receivers.lab.received]
    assert b"Bellwire <bellwire@example.org>" in bodies[0]
    assert b"Billing <billing@example.org>" in bodies[1]


@pytest.mark.mission("E-47")
def test_what_each_provider_accepted_is_counted(mail: Any) -> None:
    mail.receivers.lab.script("resend", Reply(503))
    send(mail)
    rows = mail.execute("SELECT provider, kind, count FROM deliverability")
    assert [(row.provider, row.kind, row.count) for row in rows] == [("sendgrid", "accepted", 1)]


@pytest.mark.mission("A-23", "E-23")
def test_what_waits_for_its_turn_when_a_breaker_opens_goes_to_the_next_provider(mail: Any) -> None:
    mail.receivers.lab.script("resend", Reply(503))
    for number in range(40):
        mail.publish({**EVENT, "data": {"order": str(number)}})
    mail.ring("email", 40)
    assert {(one.status, one.provider) for one in mail.deliveries("email")} == {("sent", "sendgrid")}
    assert asked(mail).count("resend") < 35, "once the breaker is known to be open, nobody asks it any more"


@pytest.mark.mission("A-23")
def test_a_breaker_that_another_process_opened_is_heeded_when_another_provider_takes_over(mail: Any) -> None:
    other = Breakers(mail.child.sender._breaking)
    other.record([("acme:sendgrid", False)] * 5)
    mail.receivers.lab.script("resend", Reply(503))
    assert send(mail).provider == "postmark"
    assert attempts(mail) == [(1, "resend", "failed"), (2, "postmark", "sent")]


@pytest.mark.mission("E-45")
def test_nobody_makes_a_delivery_wait_for_longer_than_an_hour(mail: Any) -> None:
    for desk in ("resend", "sendgrid", "postmark"):
        mail.receivers.lab.script(desk, Reply(429, b"{}", {"Retry-After": "999999999"}))
    send(mail)
    (row,) = mail.execute(
        "SELECT due_at - now() < interval '61 minutes' AS soon FROM deliveries WHERE channel = 'email'"
    )
    assert row.soon


def test_whoever_was_never_unsure_is_not_clung_to(mail: Any) -> None:
    lab = mail.receivers.lab
    lab.script("resend", Reply(503))
    lab.script("sendgrid", Reply(fault=Fault.HANG_UP), Reply(503), Reply(202))
    lab.script("postmark", Reply(503))
    delivery = send(mail)
    assert (delivery.provider, delivery.unsure) == ("sendgrid", True)
    for _ in range(2):
        mail.child.sender.start_counting()
        mail.execute("UPDATE deliveries SET due_at = now() WHERE due_at IS NOT NULL")
        mail.ring("email")
    assert mail.deliveries("email")[0].status == "sent"
    assert attempts(mail)[-1][1:] == ("sendgrid", "sent")


def test_what_a_provider_answers_can_never_make_the_others_of_a_batch_go_out_again(mail: Any) -> None:
    lab = mail.receivers.lab
    lab.script("u1@example.org", json_reply(200, {"id": "x" * 9000}), json_reply(200, {"id": "y" * 9000}))
    for number in range(4):
        mail.publish({**EVENT, "data": {"order": str(number)}})
    mail.ring("email")
    assert [one.status for one in mail.deliveries("email")] == ["sent"] * 4
    assert len(lab.received) == 4
    assert {row.length for row in mail.execute("SELECT length(message_id) AS length FROM attempts")} == {255}


def test_an_event_that_is_withdrawn_while_it_is_sent_is_not_tried_again(mail: Any) -> None:
    for desk in ("resend", "sendgrid", "postmark"):
        mail.receivers.lab.script(desk, Reply(503))
    send(mail)
    (event,) = mail.execute("SELECT id::text FROM events")
    # As if the withdrawal had come while a worker held the lease: it finds nothing that waits.
    mail.execute("UPDATE events SET status = 'cancelled' WHERE id = cast(:id AS uuid)", id=event.id)
    mail.execute("UPDATE deliveries SET due_at = now() WHERE due_at IS NOT NULL")
    mail.ring("email")
    (delivery,) = mail.deliveries("email")
    assert (delivery.status, delivery.reason, delivery.attempts) == ("cancelled", "cancelled", 3)


def test_an_address_that_no_provider_takes_is_for_a_person(mail: Any) -> None:
    mail.user("u1", email="ünal@example.org")
    delivery = send(mail)
    assert (delivery.status, delivery.reason) == ("dead_letter", "not_rendered")
    (attempt,) = mail.execute("SELECT detail FROM attempts")
    assert "no provider that is configured takes this kind of address" in attempt.detail


def test_a_crash_long_ago_does_not_count_once_an_attempt_has_ended(mail: Any) -> None:
    mail.receivers.lab.script("resend", Reply(fault=Fault.HANG_UP))
    mail.publish(EVENT)
    mail.execute("UPDATE deliveries SET crashes = 2 WHERE channel = 'email'")
    mail.ring("email")
    assert mail.deliveries("email")[0].crashes == 0
