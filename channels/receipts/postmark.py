"""Postmark's receipts: https://postmarkapp.com/developer/webhooks/webhooks-overview

Postmark signs nothing; it sends the Basic credentials of the webhook's address.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from channels.receipts.base import Call, ForgedError, Heard, LaterReceipt, MalformedError, Receiver
from channels.receipts.reading import (
    base64_of,
    detail_of,
    header,
    key_of,
    moment_of,
    object_of,
    parsed,
    same,
    text_of,
    uuid_of,
)
from domain.vocabulary import ReceiptKind

KINDS: Final[Mapping[str, ReceiptKind]] = {
    "Delivery": ReceiptKind.DELIVERED,
    "Bounce": ReceiptKind.BOUNCED,
    "SpamComplaint": ReceiptKind.COMPLAINED,
    "Open": ReceiptKind.OPENED,
    "Click": ReceiptKind.CLICKED,
    "SubscriptionChange": ReceiptKind.UNSUBSCRIBED,
}

# https://postmarkapp.com/developer/api/bounce-api#bounce-types
PERMANENT: Final = ("HardBounce", "BadEmailAddress", "ManuallyDeactivated")
NOT_THE_ADDRESS: Final = (
    "Blocked",
    "DMARCPolicy",
    "InboundError",
    "SMTPApiError",
    "SpamNotification",
    "TemplateRenderingFailed",
    "VirusNotification",
)
OTHER_KINDS: Final[Mapping[str, ReceiptKind]] = {
    "SpamComplaint": ReceiptKind.COMPLAINED,
    "Unsubscribe": ReceiptKind.UNSUBSCRIBED,
}
NO_BOUNCES: Final = ("AddressChange", "AutoResponder", "ChallengeVerification", "OpenRelayTest", "Subscribe")

MOMENTS: Final = ("DeliveredAt", "BouncedAt", "ChangedAt", "ReceivedAt")


class PostmarkReceiver(Receiver):
    """One event a call."""

    provider = "postmark"
    channel = "email"
    secrets = {"webhook_secret": "postmark_webhook_secret"}  # noqa: RUF012

    def problem(self, secret: str) -> str | None:
        user, _, password = secret.partition(":")
        return None if user and password else "must be user:password, as in the webhook's address at Postmark"

    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """Basic credentials, ``user:password``."""
        scheme, _, given = header(call.headers, "authorization").partition(" ")
        if scheme.lower() != "basic" or not same(base64_of(given.strip()), secrets["webhook_secret"]):
            raise ForgedError("The credentials are wrong.")

    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """One receipt at most."""
        event = parsed(call.body)
        if not isinstance(event, dict):
            raise MalformedError("The body is not an object.")
        kind = _kind(event)
        return Heard() if kind is None else Heard(1, (_receipt(event, kind, call.now),))


def _kind(event: Mapping[str, Any]) -> ReceiptKind | None:
    record, about = text_of(event.get("RecordType")) or "", text_of(event.get("Type")) or ""
    if record == "SubscriptionChange":
        # Bounces and complaints are told by records of their own, and a reactivation is an operator's to decide.
        told = event.get("SuppressSending") is True and event.get("SuppressionReason") == "ManualSuppression"
        return ReceiptKind.UNSUBSCRIBED if told else None
    if record == "Bounce" and about in NO_BOUNCES:
        return None
    return OTHER_KINDS.get(about, ReceiptKind.BOUNCED) if record == "Bounce" else KINDS.get(record)


def _receipt(event: Mapping[str, Any], kind: ReceiptKind, now: datetime) -> LaterReceipt:
    about = event.get("Type")
    address = text_of(event.get("Email")) or text_of(event.get("Recipient"))
    at = next((event[name] for name in MOMENTS if name in event), None)
    ours = object_of(event.get("Metadata"))
    bounced = kind is ReceiptKind.BOUNCED
    return LaterReceipt(
        key=key_of(event.get("RecordType"), event.get("ID"), event.get("MessageID"), address, at),
        kind=kind,
        occurred_at=moment_of(at, now),
        permanent=bounced and about in PERMANENT,
        message_id=text_of(event.get("MessageID")),
        delivery_id=uuid_of(ours.get("delivery_id")),
        tenant=text_of(ours.get("tenant")),
        address="" if bounced and about in NOT_THE_ADDRESS else address,
        detail=detail_of(about, event.get("SuppressionReason"), event.get("Details")),
    )
