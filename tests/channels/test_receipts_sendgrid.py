"""SendGrid's receipts: who signed them, and what each event says."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sendgrid.helpers.eventwebhook import EventWebhook

from channels.receipts.base import Call, ForgedError, MalformedError
from channels.receipts.sendgrid import SendGridReceiver
from domain.vocabulary import ReceiptKind
from tests.support.receipts import SECRETS, SENDGRID_PUBLIC, call

DELIVERY = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
NOW = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
K = ReceiptKind
RECEIVER = SendGridReceiver()


def event(name: str, **more: Any) -> dict[str, Any]:
    """As SendGrid's documentation shows it, with the arguments that we sent along."""
    return {
        "email": "example@test.com",
        "timestamp": int(NOW.timestamp()) - 60,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": name,
        "sg_event_id": f"id-of-{name}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "delivery_id": DELIVERY,
        "tenant": "acme",
    } | more


def hear(*events: Any, **headers: str | None) -> Any:
    return RECEIVER.hear(call("sendgrid", json.dumps(events).encode(), now=NOW, **headers), SECRETS["sendgrid"])


# https://github.com/sendgrid/sendgrid-python/blob/main/test/unit/test_eventwebhook.py
KEY = {
    "webhook_secret": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNN"
    "RaINXvVpiglSI8eNEc6wEA3F+g=="
}
PUBLISHED = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
VECTOR = Call(
    {
        SIGNATURE: "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
        TIMESTAMP: "1600112502",
    },
    PUBLISHED,
    "",
    datetime.fromtimestamp(1600112502, UTC),
)


@pytest.mark.mission("E-26", "E-28")
def test_the_published_example_is_genuine_and_means_a_permanent_bounce() -> None:
    (said,) = RECEIVER.hear(VECTOR, KEY).receipts
    assert (said.kind, said.permanent, said.message_id) == (K.BOUNCED, True, "LRzXl_NHStOGhQ4kofSm_A")


@pytest.mark.parametrize(
    "change",
    [
        {"body": PUBLISHED.replace(b"hello", b"jello")},
        {"now": VECTOR.now + timedelta(minutes=10, seconds=1)},
        {"now": VECTOR.now - timedelta(minutes=5, seconds=1)},
        {"headers": {**VECTOR.headers, TIMESTAMP: "1600112503"}},
    ],
    ids=["another-body", "aged", "of-the-future", "another-time"],
)
def test_the_published_example_with_one_thing_changed_is_not(change: dict[str, Any]) -> None:
    values = {"headers": VECTOR.headers, "body": VECTOR.body, "url": "", "now": VECTOR.now} | change
    with pytest.raises(ForgedError):
        RECEIVER.authenticate(Call(**values), KEY)


def test_what_we_sign_in_tests_sendgrids_own_library_takes() -> None:
    made = call("sendgrid", b"[]", now=NOW)
    genuine = EventWebhook(SENDGRID_PUBLIC).verify_signature("[]", made.headers[SIGNATURE], made.headers[TIMESTAMP])
    assert genuine


@pytest.mark.parametrize(
    "headers",
    [
        {SIGNATURE: None},
        {SIGNATURE: "%%%"},
        {SIGNATURE: b64encode(b"no signature").decode()},
        {TIMESTAMP: None},
        {TIMESTAMP: "yesterday"},
        {TIMESTAMP: "1" * 40},
    ],
    ids=str,
)
def test_credentials_that_are_missing_malformed_or_wrong_are_forged(headers: dict[str, str | None]) -> None:
    with pytest.raises(ForgedError):
        hear(event("delivered"), **headers)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "no key",
        "AAAA",
        b64encode(
            ed25519.Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).decode(),
    ],
    ids=["empty", "no-base64", "no-key", "of-another-kind"],
)
def test_with_a_key_that_is_none_everything_is_forged(key: str) -> None:
    with pytest.raises(ForgedError):
        RECEIVER.hear(call("sendgrid", b"[]", now=NOW), {"webhook_secret": key})


@pytest.mark.mission("E-27", "E-28")
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (event("delivered", response="250 OK"), [(K.DELIVERED, False)]),
        (event("bounce", type="bounce", status="5.1.1", reason="550 5.1.1 unknown"), [(K.BOUNCED, True)]),
        (event("bounce", status="5.0.0"), [(K.BOUNCED, True)]),
        (event("bounce", type="blocked", status="4.2.2"), [(K.BOUNCED, False)]),
        (event("dropped", reason="Bounced Address"), [(K.BOUNCED, True)]),
        (event("dropped", reason="Invalid"), [(K.BOUNCED, True)]),
        (event("dropped", reason="Spam Content (if Spam Checker app enabled)"), [(K.BOUNCED, False)]),
        (event("dropped", reason="Unsubscribed Address"), [(K.BOUNCED, False), (K.UNSUBSCRIBED, False)]),
        (event("dropped", reason="Spam Reporting Address"), [(K.BOUNCED, False), (K.COMPLAINED, False)]),
        (event("spamreport"), [(K.COMPLAINED, False)]),
        (event("open"), [(K.OPENED, False)]),
        (event("click"), [(K.CLICKED, False)]),
        (event("unsubscribe"), [(K.UNSUBSCRIBED, False)]),
        (event("group_unsubscribe"), [(K.UNSUBSCRIBED, False)]),
        (event("processed"), []),
        (event("deferred"), []),
        (event("group_resubscribe"), []),
        (event("account_status_change"), []),
    ],
    ids=lambda value: (
        f"{value['event']}-{value.get('reason', value.get('type', ''))}" if isinstance(value, dict) else ""
    ),
)
def test_an_event_says_what_became_of_the_message(said: dict[str, Any], expected: list[Any]) -> None:
    heard = hear(said)
    assert [(one.kind, one.permanent) for one in heard.receipts] == expected
    assert heard.events == bool(expected)
    assert len({one.key for one in heard.receipts}) == len(expected)
    for one in heard.receipts:
        assert (one.delivery_id, one.tenant, one.message_id) == (DELIVERY, "acme", "14c5d75ce93.dfd.64b469")
        assert one.occurred_at == NOW - timedelta(seconds=60)


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        (event("bounce", type="blocked", bounce_classification="Mailbox Unavailable"), True),
        (event("bounce", type="blocked", bounce_classification="Reputation"), False),
        (event("bounce", type="blocked", bounce_classification="Content"), False),
        (event("dropped", reason="Recipient List over Package Quota"), False),
        (event("dropped", reason="Bounced Address"), True),
    ],
    ids=lambda value: "",
)
def test_only_what_the_address_is_to_blame_for_counts_against_it(said: dict[str, Any], blamed: bool) -> None:
    assert (hear(said).receipts[0].address != "") is blamed


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("Kv6a3bkgQ2-pUYI7E6m5Ag.recvd-6d9b8c-1-5F5FC76C-9.0", "Kv6a3bkgQ2-pUYI7E6m5Ag"),
        ("14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0", "14c5d75ce93.dfd.64b469"),
        ("plain", "plain"),
        (None, None),
        ({}, None),
    ],
)
def test_the_message_id_is_the_one_of_sending_without_the_machines_it_passed(given: Any, found: str | None) -> None:
    assert hear(event("delivered", sg_message_id=given)).receipts[0].message_id == found


def test_a_batch_keeps_what_is_understood_and_leaves_out_the_rest() -> None:
    odd = [None, 7, [], "x", {}, {"event": {}}, {"event": ["open"]}, {"event": "open"}]
    heard = hear(event("open"), *odd, event("processed"), event("click"))
    assert (heard.events, len({one.key for one in heard.receipts})) == (3, 3)


@pytest.mark.parametrize("body", [b"{}", b"7", b"null", b"[", b""])
def test_an_authentic_body_that_is_no_list_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        RECEIVER.hear(call("sendgrid", body, now=NOW), SECRETS["sendgrid"])
