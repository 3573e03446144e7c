"""What is said of a delivery to somebody who asks: its attempts, its receipts, where it stands and why."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest

from channels.receipts.base import LaterReceipt
from domain import verdict
from domain.verdict import Verdict
from domain.vocabulary import Outcome, Reason, ReceiptKind, Suppression
from pipeline.claim import claim
from pipeline.explain_delivery import delivery_in_words
from pipeline.ledger import explain_event, list_dead_letters
from pipeline.receipts import apply, store
from pipeline.settle import Earlier, Result, settle
from pipeline.suppressions import Suppressed, lift, suppress

SSL = {"type": "ssl_failure", "data": {"host": "shop.example.org"}}
DUE = "2026-11-20T10:00:00.000Z"
SINCE = "2026-11-19T08:00:00.000Z"

Try = tuple[str, str, str]
RESEND_503 = ("resend", "failed", "HTTP 503")
RESEND_429 = ("resend", "failed", "HTTP 429: too many requests")
SENDGRID = ("sendgrid", "sent", "HTTP 202")
NO_ANSWER = ("twilio", "unknown", "no answer within 10 s")


def said(status: str, *tries: Try, receipts: tuple[tuple[str, str], ...] = (), **about: Any) -> str:
    """The words for a delivery of the ledger."""
    suppression = about.pop("suppression", None)
    delivery = {
        "channel": "email",
        "status": status,
        "reason": None,
        "due_at": None,
        "folded_into": None,
        "attempts": [
            {"number": number, "provider": provider, "outcome": outcome, "detail": detail}
            for number, (provider, outcome, detail) in enumerate(tries, 1)
        ],
        "receipts": [{"kind": kind, "at": SINCE, "detail": detail} for kind, detail in receipts],
    }
    return delivery_in_words(delivery | about, suppression)


@pytest.mark.mission("A-27")
@pytest.mark.parametrize(
    ("tries", "words"),
    [
        ([SENDGRID], "sendgrid accepted it."),
        ([RESEND_503, SENDGRID], "resend: HTTP 503, certainly not sent; then sendgrid accepted it."),
        (
            [RESEND_429, SENDGRID],
            "resend: HTTP 429: too many requests, certainly not sent; then sendgrid accepted it.",
        ),
        (
            [NO_ANSWER, ("twilio", "sent", "HTTP 201")],
            "twilio: no answer within 10 s, nobody can say whether it was sent; then twilio accepted it.",
        ),
        (
            [("smtp", "lost", "the worker stopped"), ("smtp", "sent", "250")],
            "smtp: the worker stopped, it may have been sent; then smtp accepted it.",
        ),
        ([RESEND_503] * 3 + [SENDGRID], "resend: HTTP 503, certainly not sent (3 times); then sendgrid accepted it."),
    ],
)
def test_every_attempt_is_told_with_its_provider(tries: list[Try], words: str) -> None:
    assert said("sent", *tries) == words


def test_an_endpoint_that_answers_with_an_error_has_seen_the_request() -> None:
    tries = (("webhook", "failed", "HTTP 500"), ("webhook", "sent", "HTTP 200"))
    assert said("sent", *tries, channel="webhook") == (
        "the endpoint: HTTP 500, not accepted; then the endpoint accepted it."
    )


def test_an_account_that_is_tried_for_days_fills_no_page() -> None:
    tries = [("resend", "failed", f"HTTP 401 request {number}") for number in range(100)]
    words = said("queued", *tries, reason="account_rejected", due_at=DUE)
    assert words.startswith("92 other answers; then resend: HTTP 401 request 92, certainly not sent; then")
    assert len(words) < 1000


@pytest.mark.parametrize(
    ("status", "about", "words"),
    [
        ("queued", {"due_at": DUE}, f"It waits for its turn, due at {DUE}."),
        (
            "held",
            {"reason": Reason.SCHEDULED, "due_at": DUE},
            f"It waits, due at {DUE}: the event asked to be sent later.",
        ),
        (
            "queued",
            {"reason": Reason.RATE_LIMITED, "due_at": DUE},
            f"It waits, due at {DUE}: the provider's rate limit is used up for now.",
        ),
        (
            "queued",
            {"reason": Reason.NO_PROVIDER, "due_at": DUE},
            "The channel has no provider; it waits until one is configured.",
        ),
        ("cancelled", {"reason": Reason.CANCELLED}, "It was withdrawn before it was sent."),
        ("cancelled", {"reason": Reason.RESOLVED}, "The issue was resolved before this was sent."),
        (
            "cancelled",
            {"reason": Reason.ACKNOWLEDGED},
            "Withdrawn before it was sent: somebody has acknowledged the issue.",
        ),
        ("expired", {"reason": Reason.EXPIRED}, "Its time passed before it could be sent."),
        ("suppressed", {"reason": Reason.PREFERENCE}, "Not sent: the user does not want this on this channel."),
        ("processing", {}, "A worker holds the lease and is sending it."),
        ("delivered", {}, "A receipt or a connected client confirmed that it arrived."),
        ("sent", {"channel": "in_app"}, "It is in the inbox."),
        (
            "dead_letter",
            {"reason": Reason.WORKER_LOST},
            "The worker that was sending it died, too many times; it waits for a person.",
        ),
    ],
)
def test_where_it_stands_is_told_once(status: str, about: dict[str, Any], words: str) -> None:
    assert said(status, **about) == words


def test_accounts_that_are_not_accepted_are_named_with_the_time_of_the_next_try() -> None:
    tries = (
        ("resend", "failed", "HTTP 403 invalid_api_key: the API key is not accepted"),
        ("sendgrid", "failed", "HTTP 401: the API key is not accepted"),
    )
    assert said("queued", *tries, reason="account_rejected", due_at=DUE) == (
        "resend: HTTP 403 invalid_api_key: the API key is not accepted, certainly not sent; then "
        "sendgrid: HTTP 401: the API key is not accepted, certainly not sent. "
        f"No account that could carry it is accepted; it waits until that is mended, and is tried again at {DUE}."
    )


def test_a_retry_names_its_time() -> None:
    assert said("failed", RESEND_503, reason="retry", due_at=DUE) == (
        f"resend: HTTP 503, certainly not sent. The last attempt failed; the next is due at {DUE}."
    )


@pytest.mark.mission("E-26")
@pytest.mark.parametrize(
    ("status", "receipts", "words"),
    [
        (
            "dead_letter",
            [("bounced", "HardBounce; smtp; 550")],
            "It bounced (HardBounce; smtp; 550). It waits for a person.",
        ),
        ("sent", [("complained", "")], "Its recipient called it spam."),
        ("delivered", [("delivered", "")], "A receipt confirmed that it arrived."),
        (
            "delivered",
            [("bounced", "SoftBounce"), ("delivered", "")],
            "It bounced (SoftBounce); then a receipt confirmed that it arrived.",
        ),
        (
            "delivered",
            [("opened", ""), ("clicked", ""), ("clicked", "")],
            "It was opened; then a link in it was followed.",
        ),
    ],
)
def test_what_receipts_say_is_told(status: str, receipts: list[tuple[str, str]], words: str) -> None:
    reason = "bounced" if status == "dead_letter" else None
    assert said(status, SENDGRID, receipts=tuple(receipts), reason=reason) == f"sendgrid accepted it. {words}"


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("undelivered, 30005", "It bounced (undelivered, 30005; an unknown number)."),
        ("undelivered, 30003", "It bounced (undelivered, 30003; the handset cannot be reached)."),
        ("undelivered, 39999", "It bounced (undelivered, 39999)."),
    ],
)
def test_a_code_of_a_text_message_is_put_into_words(detail: str, words: str) -> None:
    tries = ("twilio", "sent", "HTTP 201")
    assert words in said("dead_letter", tries, receipts=(("bounced", detail),), reason="bounced", channel="sms")


@pytest.mark.mission("E-17")
def test_nobody_is_said_to_refuse_what_could_not_be_put_into_words() -> None:
    wrong = ("preview", "refused", "template of ssl_failure: line 2: raised ZeroDivisionError")
    words = "It could not be put into words: template of ssl_failure: line 2: raised ZeroDivisionError"
    for tries, times in (([wrong], ""), ([wrong, wrong], " (2 times)")):
        assert said("dead_letter", *tries, reason="not_rendered") == f"{words}{times}. It waits for a person."


@pytest.mark.mission("E-17")
def test_a_device_that_is_gone_is_not_called_unregistered() -> None:
    tried = said("suppressed", ("apns", "refused", "HTTP 410: Unregistered"), channel="push", reason=Reason.NO_TOKENS)
    assert tried == "apns refused it for good: HTTP 410: Unregistered. This device is gone."
    assert said("suppressed", channel="push", reason=Reason.NO_TOKENS) == (
        "This device has been signed off, is gone or is another user's now."
    )


# In a real ledger


@pytest.fixture
def team(world: Any) -> Any:
    world.user("bo", email="Bo@example.org", roles=["operations"])
    return world


def explained(world: Any, event_id: str) -> Any:
    with world.begin() as connection:
        return explain_event(connection, tenant="acme", event_id=event_id)


def mail(world: Any, event_id: str) -> Any:
    """The one email of an event, with its words."""
    (found,) = [one for one in explained(world, event_id)["deliveries"] if one["channel"] == "email"]
    return found


def carry(world: Any, outcome: Verdict, provider: str, detail: str, *earlier: Earlier) -> str:
    """Settle the one email that is due as a provider's answer has it; its id."""
    with world.begin() as connection:
        taken = claim(connection, "email", 10, 30.0, monotonic())
        (row,) = taken.rows
        result = Result(row.id, outcome, provider, datetime.now(UTC), 7, detail, earlier=list(earlier))
        settle(connection, taken.token, [result], "email")
    return str(row.id)


def hear(world: Any, delivery: str, kind: ReceiptKind, detail: str) -> None:
    receipt = LaterReceipt(
        key=f"{delivery}:{kind}",
        kind=kind,
        occurred_at=datetime.now(UTC),
        permanent=kind is ReceiptKind.BOUNCED,
        delivery_id=delivery,
        detail=detail,
    )
    with world.begin() as connection:
        apply(connection, store(connection, "sendgrid", "", [receipt]))


def test_a_failover_is_told_from_the_ledger(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    first = Earlier("resend", datetime.now(UTC), 5, Outcome.FAILED, "HTTP 503")
    carry(team, verdict.sent(0), "sendgrid", "HTTP 202", first)
    assert mail(team, event_id)["words"] == "resend: HTTP 503, certainly not sent; then sendgrid accepted it."


@pytest.mark.mission("E-28")
@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        (ReceiptKind.BOUNCED, "HardBounce; smtp; 550", "It bounced (HardBounce; smtp; 550). It waits for a person."),
        (ReceiptKind.COMPLAINED, "abuse", "Its recipient called it spam (abuse)."),
    ],
)
def test_a_bounce_and_a_complaint_are_told_with_what_follows_for_the_address(
    team: Any, kind: ReceiptKind, detail: str, words: str
) -> None:
    (event_id,) = team.publish(SSL)
    hear(team, carry(team, verdict.sent(0), "sendgrid", "HTTP 202"), kind, detail)
    told = mail(team, event_id)["words"]
    assert told.startswith(f"sendgrid accepted it. {words} The address is told no more since 20")
    assert told.endswith("by a receipt of sendgrid.")


def test_a_dead_letter_that_bounced_shows_what_its_receipt_says(team: Any) -> None:
    team.publish(SSL)
    hear(team, carry(team, verdict.sent(0), "sendgrid", "HTTP 202"), ReceiptKind.BOUNCED, "HardBounce; smtp; 550")
    with team.begin() as connection:
        (letter,) = list_dead_letters(connection, tenant="acme")["dead_letters"]
    assert letter["detail"] == "HardBounce; smtp; 550"


@pytest.mark.parametrize(
    ("reason", "about", "words"),
    [
        (
            Suppression.PERMANENT_BOUNCE,
            {"source": "refusal", "provider": "ses"},
            "nothing arrives there, ever (permanent_bounce), by what ses answered.",
        ),
        (
            Suppression.REPEATED_SOFT_BOUNCES,
            {"source": "auto_suppression", "provider": "ses"},
            "too many messages bounced in a short time (repeated_soft_bounces), counted from receipts of ses.",
        ),
        (
            Suppression.UNSUBSCRIBED,
            {"source": "unsubscribe", "event": "ssl_failure"},
            "its owner unsubscribed (unsubscribed, for ssl_failure only), by the link in a message.",
        ),
        (
            Suppression.MANUAL,
            {"source": "key:ops"},
            "an operator put it on the list (manual), by key:ops.",
        ),
    ],
)
def test_a_suppressed_address_is_told_with_why_by_whom_and_since_when(
    team: Any, reason: Suppression, about: dict[str, Any], words: str
) -> None:
    (event_id,) = team.publish(SSL)
    entry = Suppressed(tenant="acme", channel="email", address="Bo@example.org", reason=reason, **about)
    with team.begin() as connection:
        suppress(connection, [entry])
    team.execute("UPDATE suppressions SET created_at = :since", since=SINCE)
    team.execute("UPDATE deliveries SET status = 'suppressed', reason = 'user_suppressed' WHERE channel = 'email'")
    assert mail(team, event_id)["words"] == f"The address is told no more since {SINCE}: {words}"
    body = {"channel": "email", "address": "bo@example.org", "event": about.get("event")}
    with team.begin() as connection:
        lift(connection, tenant="acme", body={name: value for name, value in body.items() if value}, actor="cli")
    assert mail(team, event_id)["words"] == "The address was on the suppression list; it has been lifted since."


def test_an_entry_for_another_event_type_is_not_the_cause(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    address = {"tenant": "acme", "channel": "email", "address": "bo@example.org", "event": "obligation_due"}
    with team.begin() as connection:
        suppress(connection, [Suppressed(reason=Suppression.MANUAL, source="cli", **address)])
    team.execute("UPDATE deliveries SET status = 'suppressed', reason = 'user_suppressed' WHERE channel = 'email'")
    assert mail(team, event_id)["words"] == "The address was on the suppression list; it has been lifted since."


def test_an_entry_that_stops_other_messages_is_not_told_of_one_that_was_sent(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    carry(team, verdict.sent(0), "sendgrid", "HTTP 202")
    entry = Suppressed(
        tenant="acme", channel="email", address="bo@example.org", reason=Suppression.MANUAL, source="cli"
    )
    with team.begin() as connection:
        suppress(connection, [entry])
    assert mail(team, event_id)["words"] == "sendgrid accepted it."


def test_channels_that_a_critical_event_adds_for_everybody_are_among_what_was_left_out(team: Any) -> None:
    (event_id,) = team.publish({"type": "ssl_failure", "severity": "critical", "recipients": [{"email": "x@y.org"}]})
    left_out = explained(team, event_id)["skipped"]
    assert {"recipient": "x•••@y.org", "channel": "telegram", "reason": "no_address"} in [
        {name: one[name] for name in ("recipient", "channel", "reason")} for one in left_out
    ]
