"""WhatsApp's receipts and messages: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components

Signed as all of Meta's: https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from channels.receipts.base import Call, ForgedError, Heard, Inbound, LaterReceipt, MalformedError, Receiver
from channels.receipts.reading import (
    detail_of,
    header,
    key_of,
    list_of,
    moment_of,
    object_of,
    parsed,
    same,
    text_of,
    uuid_of,
)
from domain.vocabulary import ReceiptKind

KINDS: Final[Mapping[str, ReceiptKind]] = {
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.OPENED,
    "failed": ReceiptKind.BOUNCED,
}
LONGEST_CHALLENGE: Final = 200

_PHONE: Final = re.compile(r"\+?([1-9]\d{4,14})", re.ASCII)


class WhatsAppReceiver(Receiver):
    """Statuses of our messages, and messages to us, several a call.

    Its signature has no time; the keys make a repeat count for nothing. A failure never suppresses a number: 131026 is
    said of a number without WhatsApp and of an old app alike.
    """

    provider = "whatsapp"
    channel = "whatsapp"
    secrets = {  # noqa: RUF012
        "webhook_secret": "whatsapp_webhook_secret",
        "verify_token": "whatsapp_verify_token",
        "phone_number_id": "whatsapp_phone_number_id",
    }

    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """HMAC-SHA256 over the body with the app's secret."""
        scheme, _, given = header(call.headers, "x-hub-signature-256").partition("=")
        wanted = hmac.digest(secrets["webhook_secret"].encode(), call.body, "sha256").hex()
        if scheme != "sha256" or not same(given, wanted):
            raise ForgedError("The signature is wrong.")

    def challenge(self, url: str, secrets: Mapping[str, str]) -> str:
        """What Meta wants to read when it checks our address. Raises ForgedError."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        wanted, said = secrets.get("verify_token"), query.get("hub.challenge", "")
        if not wanted or query.get("hub.mode") != "subscribe" or not same(query.get("hub.verify_token", ""), wanted):
            raise ForgedError("The verify token is wrong.")
        if not re.fullmatch(rf"[\w.~-]{{1,{LONGEST_CHALLENGE}}}", said, re.ASCII):
            raise ForgedError("The challenge is malformed.")
        return said

    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """Receipts, and who may be written to without a template."""
        body = parsed(call.body)
        if not isinstance(body, dict) or not isinstance(body.get("entry"), list):
            raise MalformedError("The body has no entries.")
        values = list(_values(body["entry"]))
        receipts = tuple(one for value in values for one in _receipts(value, call.now))
        ours = secrets.get("phone_number_id")
        inbound = tuple(one for value in values if _is_ours(value, ours) for one in _inbound(value, call.now))
        return Heard(len(receipts) + len(inbound), receipts, inbound)


def _values(entries: list[Any]) -> Iterator[Mapping[str, Any]]:
    for entry in entries:
        for change in list_of(object_of(entry).get("changes")):
            yield object_of(object_of(change).get("value"))


def _is_ours(value: Mapping[str, Any], number: str | None) -> bool:
    """An app may serve several numbers; who wrote to another has not written to us."""
    return number is None or object_of(value.get("metadata")).get("phone_number_id") == number


def _receipts(value: Mapping[str, Any], now: datetime) -> Iterator[LaterReceipt]:
    for status in map(object_of, list_of(value.get("statuses"))):
        name, message_id = text_of(status.get("status")) or "", text_of(status.get("id"))
        if name not in KINDS or message_id is None:
            continue
        problem = object_of(next(iter(list_of(status.get("errors"))), None))
        yield LaterReceipt(
            key=key_of(message_id, name),
            kind=KINDS[name],
            occurred_at=moment_of(status.get("timestamp"), now),
            message_id=message_id,
            delivery_id=uuid_of(status.get("biz_opaque_callback_data")),
            address=_phone(status.get("recipient_id")),
            detail=detail_of(problem.get("code"), problem.get("title")),
        )


def _inbound(value: Mapping[str, Any], now: datetime) -> Iterator[Inbound]:
    for message in map(object_of, list_of(value.get("messages"))):
        phone = _phone(message.get("from"))
        if phone is not None:
            yield Inbound(phone, moment_of(message.get("timestamp"), now))


def _phone(value: Any) -> str | None:
    """E.164 from WhatsApp's form, which has no plus sign."""
    found = _PHONE.fullmatch(value) if isinstance(value, str) else None
    return f"+{found[1]}" if found else None
