"""Twilio's receipts: who signed them, what became of a text message, and who wants no more."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from channels.receipts.base import Call, ForgedError
from channels.receipts.twilio import TwilioReceiver
from domain.vocabulary import ReceiptKind
from tests.support.receipts import SECRETS, call, form, url_of

DELIVERY = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
QUERY = f"delivery={DELIVERY}"
K = ReceiptKind
RECEIVER = TwilioReceiver()


def status(word: str, **more: str) -> bytes:
    """As Twilio's documentation shows it."""
    sid = "SM8f0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e"
    fields = {"MessageSid": sid, "SmsSid": sid, "MessageStatus": word, "SmsStatus": word, "AccountSid": "AC1"}
    return form(**fields, To="+4930901820", From="+4915735983768", ApiVersion="2010-04-01", **more)


def said_to_us(**fields: str) -> bytes:
    return form(MessageSid="SM1", SmsStatus="received", From="+4930901820", To="+4915735983768", **fields)


def hear(body: bytes, query: str = QUERY, **headers: str | None) -> Any:
    return RECEIVER.hear(call("twilio", body, query=query, **headers), SECRETS["twilio"])


# https://www.twilio.com/docs/usage/security#validating-requests
EXAMPLE = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
EXAMPLE_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"


@pytest.mark.mission("E-26")
def test_the_published_example_is_genuine() -> None:
    now = call("twilio", b"").now
    headers = {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    RECEIVER.authenticate(Call(headers, urlencode(EXAMPLE).encode(), EXAMPLE_URL, now), {"auth_token": "12345"})


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        (EXAMPLE | {"Digits": "1235"}, EXAMPLE_URL),
        (EXAMPLE | {"Extra": ""}, EXAMPLE_URL),
        (EXAMPLE, "https://mycompany.com/myapp.php?foo=1&bar=3"),
        (EXAMPLE, "http://mycompany.com/myapp.php?foo=1&bar=2"),
        (EXAMPLE, "https://mycompany.com/myapp.php"),
    ],
    ids=["a-field", "one-more-field", "the-query", "the-scheme", "no-query"],
)
def test_the_published_example_with_one_thing_changed_is_not(fields: dict[str, str], url: str) -> None:
    now = call("twilio", b"").now
    headers = {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    with pytest.raises(ForgedError):
        RECEIVER.authenticate(Call(headers, urlencode(fields).encode(), url, now), {"auth_token": "12345"})


@pytest.mark.parametrize("signed", ["https://bell.example.org:443", "https://bell.example.org"])
@pytest.mark.parametrize("known", ["https://bell.example.org:443", "https://bell.example.org"])
def test_it_may_be_signed_with_the_port_or_without(signed: str, known: str) -> None:
    path = "/v1/receipts/twilio?delivery=x"
    signature = RequestValidator("t").compute_signature(signed + path, {"MessageStatus": "sent"})
    made = Call({"x-twilio-signature": signature}, b"MessageStatus=sent", known + path, call("twilio", b"").now)
    assert RECEIVER.hear(made, {"auth_token": "t"}).events == 0


@pytest.mark.parametrize("value", ["a b+c&d=é\N{SNOWMAN}", " leading and trailing ", "", "100%", "\r\n"], ids=ascii)
def test_every_text_is_signed_as_twilios_own_library_does(value: str) -> None:
    assert hear(status("delivered", Body=value)).events == 1


class Fields(dict[str, list[str]]):
    """Several values by one name, as Twilio's library takes them from a web framework."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def test_several_values_by_one_name_are_signed_as_twilios_own_library_does() -> None:
    fields = Fields({"Body": ["b", "a", "b"], "MessageStatus": ["delivered"]})
    signature = RequestValidator(SECRETS["twilio"]["auth_token"]).compute_signature(url_of("twilio", QUERY), fields)
    assert hear(urlencode(fields, doseq=True).encode(), x_twilio_signature=signature).events == 1


@pytest.mark.parametrize("signature", [None, "", "wrong", "\N{SNOWMAN}", "RSOYDt4T1cUTdK1PDd93/VVr8B8="], ids=ascii)
def test_credentials_that_are_missing_or_wrong_are_forged(signature: str | None) -> None:
    with pytest.raises(ForgedError):
        hear(status("delivered"), x_twilio_signature=signature)


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"a=1&" * 600], ids=["no-utf-8", "too-many-fields"])
def test_what_is_no_form_of_twilios_proves_nothing(body: bytes) -> None:
    with pytest.raises(ForgedError):
        hear(body)


@pytest.mark.mission("E-26", "E-27")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (status("delivered"), [(K.DELIVERED, False)]),
        (status("read"), [(K.OPENED, False)]),
        (status("undelivered", ErrorCode="30003"), [(K.BOUNCED, False)]),
        (status("undelivered", ErrorCode="30005"), [(K.BOUNCED, True)]),
        (status("undelivered", ErrorCode="30006"), [(K.BOUNCED, True)]),
        (status("undelivered", ErrorCode="30007"), [(K.BOUNCED, False)]),
        (status("failed", ErrorCode="21211"), [(K.BOUNCED, True)]),
        (status("failed"), [(K.BOUNCED, False)]),
        (status("failed", ErrorCode="21610"), [(K.BOUNCED, False), (K.UNSUBSCRIBED, False)]),
        (status("queued"), []),
        (status("sending"), []),
        (status("sent"), []),
        (status("something new"), []),
    ],
    ids=lambda value: "",
)
def test_a_status_says_what_became_of_the_message(body: bytes, expected: list[Any]) -> None:
    heard = hear(body)
    assert [(one.kind, one.permanent) for one in heard.receipts] == expected
    assert heard.events == bool(expected)
    assert len({one.key for one in heard.receipts}) == len(expected)
    for one in heard.receipts:
        assert (one.delivery_id, one.message_id) == (DELIVERY, "SM8f0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e")


def test_each_status_counts_once() -> None:
    keys = [hear(status(word)).receipts[0].key for word in ("delivered", "delivered", "read")]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("fields", "wants_no_more"),
    [
        ({"OptOutType": "STOP", "Body": "Schluss"}, True),
        ({"Body": "STOP"}, True),
        ({"Body": " stop "}, True),
        ({"Body": "Unsubscribe"}, True),
        ({"OptOutType": "START", "Body": "stop"}, False),
        ({"OptOutType": "HELP", "Body": "help"}, False),
        ({"Body": "please do not stop"}, False),
        ({"Body": ""}, False),
        ({}, False),
    ],
    ids=str,
)
def test_who_writes_stop_wants_no_more(fields: dict[str, str], wants_no_more: bool) -> None:
    heard = hear(said_to_us(**fields), query="")
    expected = [(K.UNSUBSCRIBED, "+4930901820", None, None)] if wants_no_more else []
    assert [(one.kind, one.address, one.message_id, one.delivery_id) for one in heard.receipts] == expected


def test_the_address_that_is_signed_is_the_one_that_is_public() -> None:
    assert url_of("twilio", QUERY).startswith("https://bell.example.org/v1/receipts/twilio?delivery=")
