"""Postmark's receipts: whose credentials they carry, and what each record says."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.receipts.base import ForgedError, MalformedError
from channels.receipts.postmark import PostmarkReceiver
from domain.vocabulary import ReceiptKind
from tests.support.receipts import SECRETS, call

DELIVERY = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
MESSAGE = "883953f4-6105-42a2-a16a-77a8eac79483"
NOW = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
K = ReceiptKind
RECEIVER = PostmarkReceiver()


def record(kind: str, **more: Any) -> bytes:
    """As Postmark's documentation shows it."""
    said = {"RecordType": kind, "MessageID": MESSAGE, "Metadata": {"delivery_id": DELIVERY, "tenant": "acme"}}
    return json.dumps(said | more).encode()


def bounce(kind: str, **more: Any) -> bytes:
    about = {"ID": 4323372036854775807, "Type": kind, "Email": "john@example.com", "BouncedAt": "2026-11-20T09:00:00Z"}
    return record("Bounce", Details="smtp;550 john@example.com unknown", **about | more)


def hear(body: bytes, **headers: str | None) -> Any:
    return RECEIVER.hear(call("postmark", body, now=NOW, **headers), SECRETS["postmark"])


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        "",
        "Basic",
        "Basic %%%",
        "Basic " + b64encode(b"postmark:wrong").decode(),
        "Basic " + b64encode(b"").decode(),
        "Bearer " + b64encode(SECRETS["postmark"]["webhook_secret"].encode()).decode(),
        SECRETS["postmark"]["webhook_secret"],
        "Basic \N{SNOWMAN}",
        "Basic \udcff",
    ],
    ids=ascii,
)
def test_credentials_that_are_missing_malformed_or_wrong_are_forged(credentials: str | None) -> None:
    with pytest.raises(ForgedError):
        hear(record("Delivery"), authorization=credentials)


def test_the_scheme_is_known_in_any_case() -> None:
    good = call("postmark", b"").headers["authorization"]
    assert hear(record("Delivery"), authorization=good.replace("Basic", "bASIC")).events == 1


@pytest.mark.mission("E-27", "E-28")
@pytest.mark.parametrize(
    ("body", "expected", "permanent"),
    [
        (record("Delivery", Recipient="john@example.com", DeliveredAt="2026-11-20T09:00:00Z"), K.DELIVERED, False),
        (bounce("HardBounce"), K.BOUNCED, True),
        (bounce("BadEmailAddress"), K.BOUNCED, True),
        (bounce("ManuallyDeactivated"), K.BOUNCED, True),
        (bounce("SoftBounce"), K.BOUNCED, False),
        (bounce("Transient"), K.BOUNCED, False),
        (bounce("DnsError"), K.BOUNCED, False),
        (bounce("Blocked"), K.BOUNCED, False),
        (bounce("SpamComplaint"), K.COMPLAINED, False),
        (bounce("Unsubscribe"), K.UNSUBSCRIBED, False),
        (record("SpamComplaint", Email="john@example.com", BouncedAt="2026-11-20T09:00:00Z"), K.COMPLAINED, False),
        (record("Open", Recipient="john@example.com", ReceivedAt="2026-11-20T09:00:00Z"), K.OPENED, False),
        (record("Click", Recipient="john@example.com", ReceivedAt="2026-11-20T09:00:00Z"), K.CLICKED, False),
        (
            record(
                "SubscriptionChange",
                ChangedAt="2026-11-20T09:00:00Z",
                SuppressSending=True,
                SuppressionReason="ManualSuppression",
            ),
            K.UNSUBSCRIBED,
            False,
        ),
    ],
    ids=lambda value: "",
)
def test_a_record_says_what_became_of_the_message(body: bytes, expected: ReceiptKind, permanent: bool) -> None:
    (said,) = hear(body).receipts
    assert (said.kind, said.permanent) == (expected, permanent)
    assert (said.delivery_id, said.tenant, said.message_id) == (DELIVERY, "acme", MESSAGE)
    assert said.occurred_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert "@" not in said.detail


@pytest.mark.parametrize(("kind", "blamed"), [("SoftBounce", True), ("Blocked", False), ("DMARCPolicy", False)])
def test_only_what_the_address_is_to_blame_for_counts_against_it(kind: str, blamed: bool) -> None:
    assert hear(bounce(kind)).receipts[0].address == ("john@example.com" if blamed else "")


@pytest.mark.parametrize(
    "body",
    [
        bounce("AutoResponder"),
        bounce("Subscribe"),
        record("SubscriptionChange", SuppressSending=False, SuppressionReason=None),
        record("SubscriptionChange", SuppressSending=True, SuppressionReason="HardBounce"),
        record("SubscriptionChange", SuppressSending=True, SuppressionReason="SpamComplaint"),
        record("Inbound"),
        b"{}",
    ],
    ids=["answers-itself", "subscribes", "reactivated", "bounce-again", "complaint-again", "inbound", "empty"],
)
def test_other_records_mean_nothing_here(body: bytes) -> None:
    assert hear(body).events == 0


def test_the_same_record_has_the_same_key_and_another_has_another() -> None:
    keys = [hear(one).receipts[0].key for one in (bounce("HardBounce"), bounce("HardBounce"), bounce("x", ID=2))]
    assert keys[0] == keys[1] != keys[2]


def test_opens_at_other_times_are_other_receipts() -> None:
    keys = {hear(record("Open", ReceivedAt=f"2026-11-20T09:0{minute}:00Z")).receipts[0].key for minute in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b"{", b""])
def test_an_authentic_body_that_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        hear(body)
