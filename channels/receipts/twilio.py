"""Twilio's receipts: https://www.twilio.com/docs/messaging/guides/track-outbound-message-status

Signed over the address and the form: https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from channels.receipts.base import Call, ForgedError, Heard, LaterReceipt, MalformedError, Receiver
from channels.receipts.reading import detail_of, header, key_of, same, text_of, uuid_of
from domain.vocabulary import ReceiptKind

MOST_FIELDS: Final = 500  # Twilio sends some thirty

# https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
KINDS: Final[Mapping[str, ReceiptKind]] = {
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.OPENED,
    "undelivered": ReceiptKind.BOUNCED,
    "failed": ReceiptKind.BOUNCED,
}

# https://www.twilio.com/docs/api/errors: no text message will ever reach this number.
NO_SUCH_NUMBER: Final = frozenset({"21211", "21614", "21635", "30005", "30006"})
UNSUBSCRIBED: Final = "21610"

# What Twilio takes for a wish to hear no more, where it does not say so: https://help.twilio.com/articles/223134027
STOP_WORDS: Final = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "revoke"})

Fields = Mapping[str, list[str]]


class TwilioReceiver(Receiver):
    """One message a call: what became of one of ours, or one that somebody wrote to us."""

    provider = "twilio"
    channel = "sms"
    secrets = {"auth_token": "twilio_auth_token"}  # noqa: RUF012

    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """HMAC-SHA1 over the address as Twilio called it and the form's fields in the order of their names."""
        given = header(call.headers, "x-twilio-signature")
        try:
            fields = _fields(call.body)
        except MalformedError as error:
            raise ForgedError(str(error)) from None
        form = "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
        key = secrets["auth_token"].encode()
        wanted = [
            b64encode(hmac.digest(key, (url + form).encode("utf-8", "replace"), "sha1")) for url in _urls(call.url)
        ]
        if not any(same(given, one) for one in wanted):
            raise ForgedError("The signature is wrong.")

    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """A receipt for what has ended, one for a wish to hear no more."""
        fields = _fields(call.body)
        status = _one(fields, "MessageStatus") or _one(fields, "SmsStatus") or ""
        if _wants_no_more(fields):
            return Heard(1, (_stop(call, fields),))
        return Heard(1, _receipts(call, fields, status)) if status in KINDS else Heard()


def _fields(body: bytes) -> Fields:
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise MalformedError("The body is not a form of Twilio's.") from None


def _one(fields: Fields, name: str) -> str | None:
    return text_of(fields.get(name, [""])[0])


def _urls(url: str) -> tuple[str, ...]:
    """Twilio signs with the port or without it, whichever it was given; so its own libraries take both."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return (url,)
    bare = parts.netloc.rpartition(":")[0] if port else parts.netloc
    full = f"{bare}:{port or (443 if parts.scheme == 'https' else 80)}"
    return tuple({_with(parts, bare), _with(parts, full), url})


def _with(parts: SplitResult, netloc: str) -> str:
    return parts._replace(netloc=netloc).geturl()


def _wants_no_more(fields: Fields) -> bool:
    if "MessageStatus" in fields:
        return False
    said = _one(fields, "OptOutType")
    return said.upper() == "STOP" if said else (_one(fields, "Body") or "").lower() in STOP_WORDS


def _stop(call: Call, fields: Fields) -> LaterReceipt:
    return LaterReceipt(
        key=key_of(_one(fields, "MessageSid"), "stop", _one(fields, "From")),
        kind=ReceiptKind.UNSUBSCRIBED,
        occurred_at=call.now,
        address=_number(fields, "From"),
        detail="STOP",
    )


def _receipts(call: Call, fields: Fields, status: str) -> tuple[LaterReceipt, ...]:
    message_id, code = _one(fields, "MessageSid") or _one(fields, "SmsSid"), _one(fields, "ErrorCode")
    query = parse_qs(urlsplit(call.url).query)
    kinds = (KINDS[status], ReceiptKind.UNSUBSCRIBED) if code == UNSUBSCRIBED else (KINDS[status],)
    return tuple(
        LaterReceipt(
            key=key_of(message_id, status if place == 0 else "stop"),
            kind=kind,
            occurred_at=call.now,  # it says no time
            permanent=kind is ReceiptKind.BOUNCED and code in NO_SUCH_NUMBER,
            message_id=message_id,
            delivery_id=uuid_of(query.get("delivery", [""])[0]),
            address=_number(fields, "To"),
            detail=detail_of(status if kind is ReceiptKind.BOUNCED else None, code),
        )
        for place, kind in enumerate(kinds)
    )


def _number(fields: Fields, name: str) -> str | None:
    number = _one(fields, name)
    return number and number.removeprefix("whatsapp:")
