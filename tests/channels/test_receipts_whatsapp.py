"""WhatsApp's receipts: who signed them, what became of a message, who wrote to us, and Meta's challenge."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.receipts.base import ForgedError, Inbound, MalformedError
from channels.receipts.whatsapp import WhatsAppReceiver
from domain.vocabulary import ReceiptKind
from tests.support.receipts import SECRETS, call, url_of

DELIVERY = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
NOW = datetime(2026, 11, 20, 9, 5, tzinfo=UTC)
AT = int(NOW.timestamp()) - 60
OURS = SECRETS["whatsapp"]["phone_number_id"]
K = ReceiptKind
RECEIVER = WhatsAppReceiver()


def body(*values: Any, number: str = OURS) -> bytes:
    """As Meta's documentation shows it."""
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    changes = [
        {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata} | one} for one in values
    ]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).encode()


def status(word: str, **more: Any) -> dict[str, Any]:
    said = {
        "id": "wamid.HBgL",
        "status": word,
        "timestamp": str(AT),
        "recipient_id": "4930901820",
        "biz_opaque_callback_data": DELIVERY,
    }
    return {"statuses": [said | more]}


def message(phone: str = "4930901820", at: int | str = AT) -> dict[str, Any]:
    return {
        "messages": [{"from": phone, "id": "wamid.x", "timestamp": str(at), "type": "text", "text": {"body": "hi"}}]
    }


def hear(content: bytes, **headers: str | None) -> Any:
    return RECEIVER.hear(call("whatsapp", content, now=NOW, **headers), SECRETS["whatsapp"])


def test_what_openssl_computes_is_genuine() -> None:
    """``printf '{"a":1}' | openssl dgst -sha256 -hmac secret``"""
    computed = "sha256=aa9e2e3575f5d7098b6caccd790888c36d5fdb63342a73bada2d6a51747a8494"
    RECEIVER.authenticate(call("whatsapp", b'{"a":1}', x_hub_signature_256=computed), {"webhook_secret": "secret"})


@pytest.mark.parametrize(
    "signature",
    [None, "", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "0" * 64, "sha256=\N{SNOWMAN}", "="],
    ids=ascii,
)
def test_credentials_that_are_missing_malformed_or_wrong_are_forged(signature: str | None) -> None:
    with pytest.raises(ForgedError):
        hear(body(status("delivered")), x_hub_signature_256=signature)


def test_a_signature_is_of_these_very_bytes() -> None:
    content = body(status("delivered"))
    good = call("whatsapp", content).headers["x-hub-signature-256"]
    assert hear(content, x_hub_signature_256=good).events == 1
    for body_sent, signature in ((content + b" ", good), (content, good.replace("sha256", "sha1"))):
        with pytest.raises(ForgedError):
            hear(body_sent, x_hub_signature_256=signature)


@pytest.mark.mission("B-4", "E-26")
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (status("delivered"), [K.DELIVERED]),
        (status("read"), [K.OPENED]),
        (status("failed", errors=[{"code": 131026, "title": "Message undeliverable"}]), [K.BOUNCED]),
        (status("sent"), []),
        (status("warning"), []),
        (status("delivered", id=None), []),
    ],
    ids=lambda value: "",
)
def test_a_status_says_what_became_of_the_message(said: dict[str, Any], expected: list[ReceiptKind]) -> None:
    heard = hear(body(said))
    assert [one.kind for one in heard.receipts] == expected
    assert heard.events == len(expected)
    for one in heard.receipts:
        assert (one.delivery_id, one.message_id, one.address) == (DELIVERY, "wamid.HBgL", "+4930901820")
        assert (one.occurred_at, one.permanent) == (NOW - timedelta(seconds=60), False)


def test_a_failure_says_its_code() -> None:
    said = status("failed", errors=[{"code": 131047, "title": "Re-engagement message"}])
    assert hear(body(said)).receipts[0].detail == "131047, Re-engagement message"


def test_each_status_counts_once() -> None:
    keys = [hear(body(status(word))).receipts[0].key for word in ("delivered", "delivered", "read")]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.mission("B-4")
def test_who_writes_to_our_number_may_be_written_to() -> None:
    heard = hear(body(message(), status("delivered"), message("14155550100")))
    at = NOW - timedelta(seconds=60)
    assert heard.inbound == (Inbound("+4930901820", at), Inbound("+14155550100", at))
    assert heard.events == 3


@pytest.mark.parametrize("at", [AT + 10_000, "soon", "", "9" * 30], ids=str)
def test_nobody_writes_to_us_in_the_future(at: int | str) -> None:
    assert hear(body(message(at=at))).inbound[0].at == NOW


def test_who_writes_to_another_number_of_the_same_app_has_not_written_to_us() -> None:
    assert hear(body(message(), number="999")).inbound == ()


@pytest.mark.parametrize("phone", ["", "0", "abc", "1" * 30, None, 7, {}], ids=str)
def test_what_is_no_number_is_left_out(phone: Any) -> None:
    assert hear(body({"messages": [{"from": phone, "timestamp": str(AT)}]})).inbound == ()


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"entry": {}}', b"null", b"{", b""])
def test_an_authentic_body_without_entries_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedError):
        hear(content)


def challenge(**changes: str | None) -> str:
    given = {
        "hub.mode": "subscribe",
        "hub.verify_token": SECRETS["whatsapp"]["verify_token"],
        "hub.challenge": "1158201444",
    } | {f"hub.{name}": value for name, value in changes.items()}
    query = urlencode({name: value for name, value in given.items() if value is not None})
    return RECEIVER.challenge(url_of("whatsapp", query), SECRETS["whatsapp"])


@pytest.mark.mission("B-4")
def test_metas_challenge_is_answered() -> None:
    assert challenge() == "1158201444"


@pytest.mark.parametrize(
    "changes",
    [
        {"verify_token": None},
        {"verify_token": "wrong"},
        {"verify_token": ""},
        {"mode": None},
        {"mode": "unsubscribe"},
        {"challenge": None},
        {"challenge": "<script>"},
        {"challenge": "1" * 1000},
    ],
    ids=str,
)
def test_a_challenge_without_the_token_is_forged(changes: dict[str, str | None]) -> None:
    with pytest.raises(ForgedError):
        challenge(**changes)


def test_without_a_verify_token_of_ours_no_challenge_is_answered() -> None:
    with pytest.raises(ForgedError):
        RECEIVER.challenge(url_of("whatsapp", "hub.mode=subscribe&hub.challenge=1"), {"webhook_secret": "x"})
