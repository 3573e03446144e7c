"""Resend's receipts: who signed them, and what each event says."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.receipts.base import Call, ForgedError, MalformedError
from channels.receipts.resend import ResendReceiver
from domain.vocabulary import ReceiptKind
from tests.support.receipts import SECRETS, call

DELIVERY = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
NOW = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
K = ReceiptKind
RECEIVER = ResendReceiver()


def event(kind: str, **data: Any) -> bytes:
    """As Resend's documentation shows it."""
    said = {
        "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
        "from": "Acme <onboarding@resend.dev>",
        "to": ["delivered@resend.dev"],
        "subject": "Sending this example",
        "created_at": "2026-11-20T09:00:00.000Z",
        "tags": {"delivery_id": DELIVERY, "tenant": "acme"},
    } | data
    return json.dumps({"type": kind, "created_at": "2026-11-20T09:00:01.000Z", "data": said}).encode()


def hear(body: bytes, **headers: str | None) -> Any:
    return RECEIVER.hear(call("resend", body, now=NOW, **headers), SECRETS["resend"])


# https://docs.svix.com/receiving/verifying-payloads/how-manual
VECTOR = Call(
    {
        "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "svix-timestamp": "1614265330",
        "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    b'{"test": 2432232314}',
    "",
    datetime.fromtimestamp(1614265330, UTC),
)
VECTOR_SECRET = {"webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


@pytest.mark.mission("E-26")
def test_the_published_example_is_genuine() -> None:
    RECEIVER.authenticate(VECTOR, VECTOR_SECRET)


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"test": 2432232315}'},
        {"now": VECTOR.now + timedelta(minutes=5, seconds=1)},
        {"now": VECTOR.now - timedelta(minutes=5, seconds=1)},
    ],
    ids=["another-body", "aged", "of-the-future"],
)
def test_the_published_example_with_one_thing_changed_is_not(change: dict[str, Any]) -> None:
    values = {"headers": VECTOR.headers, "body": VECTOR.body, "url": "", "now": VECTOR.now} | change
    with pytest.raises(ForgedError):
        RECEIVER.authenticate(Call(**values), VECTOR_SECRET)


def test_one_good_signature_among_several_is_enough() -> None:
    body = event("email.delivered")
    good = call("resend", body, now=NOW).headers["svix-signature"]
    other = "v1," + b64encode(b"x" * 32).decode()
    assert hear(body, svix_signature=f"v1a,zzz {other} {good}").events == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"svix_id": None},
        {"svix_id": "msg_other"},
        {"svix_timestamp": None},
        {"svix_timestamp": "soon"},
        {"svix_timestamp": "9" * 30},
        {"svix_timestamp": "-5"},
        {"svix_timestamp": "\N{ARABIC-INDIC DIGIT ONE}614265330"},
        {"svix_signature": None},
        {"svix_signature": ""},
        {"svix_signature": "v1,"},
        {"svix_signature": "v1,%%%"},
        {"svix_signature": "v1,ü"},
        {"svix_signature": "v2," + b64encode(b"x" * 32).decode()},
        {"svix_signature": "v1," + b64encode(b"x" * 32).decode()},
    ],
    ids=str,
)
def test_credentials_that_are_missing_malformed_or_wrong_are_forged(headers: dict[str, str | None]) -> None:
    with pytest.raises(ForgedError):
        hear(event("email.delivered"), **headers)


def test_with_another_secret_it_is_forged() -> None:
    with pytest.raises(ForgedError):
        RECEIVER.hear(call("resend", event("email.delivered")), VECTOR_SECRET)


PERMANENT = {"bounce": {"type": "Permanent", "subType": "General", "message": "550 5.1.1 <a.b@x.org> is unknown"}}
TRANSIENT = {"bounce": {"type": "Transient", "subType": "MailboxFull", "message": "full"}}


@pytest.mark.mission("E-27", "E-28")
@pytest.mark.parametrize(
    ("kind", "data", "expected", "permanent"),
    [
        ("email.delivered", {}, K.DELIVERED, False),
        ("email.bounced", PERMANENT, K.BOUNCED, True),
        ("email.bounced", TRANSIENT, K.BOUNCED, False),
        ("email.bounced", {"bounce": {"type": "Undetermined"}}, K.BOUNCED, False),
        ("email.bounced", {"bounce": {"message": "The recipient's address is on the list"}}, K.BOUNCED, True),
        ("email.suppressed", {"suppressed": {"type": "OnAccountSuppressionList"}}, K.BOUNCED, True),
        ("email.failed", {"failed": {"reason": "reached_daily_quota"}}, K.BOUNCED, False),
        ("email.complained", {}, K.COMPLAINED, False),
        ("email.opened", {}, K.OPENED, False),
        ("email.clicked", {"click": {"link": "https://x.org"}}, K.CLICKED, False),
    ],
)
def test_an_event_says_what_became_of_the_message(
    kind: str, data: dict[str, Any], expected: ReceiptKind, permanent: bool
) -> None:
    (said,) = hear(event(kind, **data)).receipts
    assert (said.kind, said.permanent) == (expected, permanent)
    assert (said.delivery_id, said.tenant) == (DELIVERY, "acme")
    assert said.message_id == "56761188-7520-42d8-8898-ff6fc54ce618"
    assert said.occurred_at == datetime(2026, 11, 20, 9, 0, 1, tzinfo=UTC)
    assert "@" not in said.detail


def test_what_failed_on_our_side_says_nothing_of_the_address() -> None:
    assert hear(event("email.failed")).receipts[0].address == ""
    assert hear(event("email.bounced")).receipts[0].address == "delivered@resend.dev"


def test_the_same_event_has_the_same_key_and_another_has_another() -> None:
    first, again, other = (hear(event(kind)) for kind in ("email.opened", "email.opened", "email.clicked"))
    assert first.receipts[0].key == again.receipts[0].key != other.receipts[0].key


def test_a_contact_that_unsubscribed_is_known_by_its_address() -> None:
    body = json.dumps({"type": "contact.updated", "data": {"email": "a@x.org", "unsubscribed": True}}).encode()
    (said,) = hear(body).receipts
    assert (said.kind, said.address, said.message_id) == (K.UNSUBSCRIBED, "a@x.org", None)


def test_tags_as_they_were_sent_are_understood_too() -> None:
    (said,) = hear(event("email.delivered", tags=[{"name": "delivery_id", "value": DELIVERY}, "x", {}])).receipts
    assert said.delivery_id == DELIVERY


@pytest.mark.parametrize("kind", ["email.sent", "email.delivery_delayed", "contact.updated", "domain.created", ""])
def test_other_events_mean_nothing_here(kind: str) -> None:
    assert hear(event(kind)).events == 0


def test_an_authentic_body_that_is_no_json_is_malformed() -> None:
    with pytest.raises(MalformedError):
        hear(b"{")
