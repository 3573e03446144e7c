"""SendGrid's receipts: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event

Signed with ECDSA: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from channels.receipts.base import Call, ForgedError, Heard, LaterReceipt, MalformedError, Receiver
from channels.receipts.reading import (
    base64_of,
    check_age,
    detail_of,
    header,
    key_of,
    moment_of,
    parsed,
    text_of,
    uuid_of,
)
from domain.vocabulary import ReceiptKind

TOLERANCE: Final = timedelta(minutes=10)

KINDS: Final[Mapping[str, ReceiptKind]] = {
    "delivered": ReceiptKind.DELIVERED,
    "bounce": ReceiptKind.BOUNCED,
    "dropped": ReceiptKind.BOUNCED,
    "spamreport": ReceiptKind.COMPLAINED,
    "open": ReceiptKind.OPENED,
    "click": ReceiptKind.CLICKED,
    "unsubscribe": ReceiptKind.UNSUBSCRIBED,
    "group_unsubscribe": ReceiptKind.UNSUBSCRIBED,
}

# Why SendGrid did not even try, and what that says of the address besides.
DROPPED: Final[Mapping[str, ReceiptKind]] = {
    "Unsubscribed Address": ReceiptKind.UNSUBSCRIBED,
    "Spam Reporting Address": ReceiptKind.COMPLAINED,
}
BAD_ADDRESS: Final = frozenset({"Bounced Address", "Invalid"})

# Refused for what was written, or for who wrote.
NOT_THE_ADDRESS: Final = ("Content", "Reputation", "Frequency or Volume Too High")

# What `X-Message-Id` said when it was sent stands before the names of the machines that it passed.
_MACHINES: Final = re.compile(r"\.(?:filter|recvd|canary).*", re.DOTALL)


class SendGridReceiver(Receiver):
    """A list of events a call, of a thousand and more."""

    provider = "sendgrid"
    channel = "email"
    secrets = {"webhook_secret": "sendgrid_webhook_secret"}  # noqa: RUF012

    def problem(self, secret: str) -> str | None:
        try:
            _key(secret)
        except ForgedError:
            return "must be the verification key of the signed event webhook, base64"
        return None

    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """ECDSA over timestamp and body, with the key that SendGrid shows for verifying."""
        at = header(call.headers, "x-twilio-email-event-webhook-timestamp")
        signature = base64_of(header(call.headers, "x-twilio-email-event-webhook-signature"))
        check_age(at, call.now, TOLERANCE)
        try:
            _key(secrets["webhook_secret"]).verify(signature, at.encode() + call.body, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise ForgedError("The signature is wrong.") from None

    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """One receipt an event; two for what was dropped because somebody had asked for it."""
        events = parsed(call.body)
        if not isinstance(events, list):
            raise MalformedError("The body is not a list of events.")
        known = [event for event in events if isinstance(event, dict) and event.get("event") in _NAMES]
        return Heard(len(known), tuple(one for event in known for one in _receipts(event, call.now)))


_NAMES: Final = tuple(KINDS)  # a list or an object has no hash, so no set can be asked for it


@lru_cache(maxsize=100)
def _key(written: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(base64_of("".join(written.split())))
    except (ValueError, UnsupportedAlgorithm):
        raise ForgedError("The verification key cannot be read here.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ForgedError("The verification key is of another kind here.")
    return key


def _receipts(event: Mapping[str, Any], now: datetime) -> Iterator[LaterReceipt]:
    name, reason = event["event"], text_of(event.get("reason")) or ""
    dropped, address = name == "dropped", text_of(event.get("email"))
    blameless = event.get("bounce_classification") in NOT_THE_ADDRESS or (dropped and reason not in BAD_ADDRESS)
    receipt = LaterReceipt(
        key=key_of(event.get("sg_event_id")) or key_of(name, event.get("sg_message_id"), event.get("timestamp")),
        kind=KINDS[name],
        occurred_at=moment_of(event.get("timestamp"), now),
        permanent=reason in BAD_ADDRESS if dropped else name == "bounce" and event.get("type") != "blocked",
        message_id=_message_id(event),
        delivery_id=uuid_of(event.get("delivery_id")),
        tenant=text_of(event.get("tenant")),
        address="" if blameless else address,
        detail=detail_of(event.get("type"), event.get("status"), reason),
    )
    yield receipt
    if dropped and reason in DROPPED:
        kind = DROPPED[reason]
        yield replace(receipt, key=key_of(receipt.key, kind), kind=kind, permanent=False, address=address)


def _message_id(event: Mapping[str, Any]) -> str | None:
    given = text_of(event.get("sg_message_id"))
    return given and _MACHINES.sub("", given)
