"""Resend's receipts: https://resend.com/docs/webhooks/event-types

Signed as Svix signs: https://docs.svix.com/receiving/verifying-payloads/how-manual
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from channels.receipts.base import Call, ForgedError, Heard, LaterReceipt, Receiver
from channels.receipts.reading import (
    base64_of,
    check_age,
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

WANTED: Final = "must be whsec_ and base64, as Resend shows it beside the webhook"
TOLERANCE: Final = timedelta(minutes=5)

KINDS: Final[Mapping[str, ReceiptKind]] = {
    "email.delivered": ReceiptKind.DELIVERED,
    "email.bounced": ReceiptKind.BOUNCED,
    "email.suppressed": ReceiptKind.BOUNCED,
    "email.failed": ReceiptKind.BOUNCED,
    "email.complained": ReceiptKind.COMPLAINED,
    "email.opened": ReceiptKind.OPENED,
    "email.clicked": ReceiptKind.CLICKED,
}


class ResendReceiver(Receiver):
    """One event a call; `svix-id` is the same when it is repeated."""

    provider = "resend"
    channel = "email"
    secrets = {"webhook_secret": "resend_webhook_secret"}  # noqa: RUF012

    def problem(self, secret: str) -> str | None:
        try:
            return None if _signing_key(secret) else WANTED
        except ForgedError:
            return WANTED

    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """HMAC-SHA256 over id, timestamp and body; one of several signatures must be right."""
        identity, at = header(call.headers, "svix-id"), header(call.headers, "svix-timestamp")
        given = header(call.headers, "svix-signature")
        check_age(at, call.now, TOLERANCE)
        signed = f"{identity}.{at}.".encode("latin-1", "replace") + call.body
        wanted = hmac.digest(_signing_key(secrets["webhook_secret"]), signed, "sha256")
        found = [one.removeprefix("v1,") for one in given.split() if one.startswith("v1,")]
        if not any(same(base64_of(one), wanted) for one in found):
            raise ForgedError("The signature is wrong.")

    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """One receipt at most."""
        event = object_of(parsed(call.body))
        kind, data = text_of(event.get("type")) or "", object_of(event.get("data"))
        at = moment_of(event.get("created_at"), call.now)
        key = key_of(call.headers["svix-id"])
        if kind == "contact.updated" and data.get("unsubscribed") is True:
            address = text_of(data.get("email"))
            return Heard(1, (LaterReceipt(key, ReceiptKind.UNSUBSCRIBED, at, address=address, detail=kind),))
        return Heard(1, (_receipt(key, kind, at, data),)) if kind in KINDS else Heard()


def _signing_key(secret: str) -> bytes:
    written = secret.removeprefix("whsec_")
    try:
        return b64decode(written + "=" * (-len(written) % 4), validate=True)
    except ValueError:
        raise ForgedError("The webhook's secret is not of the form whsec_... here.") from None


def _receipt(key: str, kind: str, at: datetime, data: Mapping[str, Any]) -> LaterReceipt:
    ours = _tags(data.get("tags"))
    bounce = object_of(data.get("bounce"))
    # Without a type it is permanent: "the recipient's mail server permanently rejected the email".
    permanent = kind == "email.suppressed" or (
        kind == "email.bounced" and bounce.get("type", "Permanent") == "Permanent"
    )
    failed, suppressed = object_of(data.get("failed")), object_of(data.get("suppressed"))
    return LaterReceipt(
        key=key,
        kind=KINDS[kind],
        occurred_at=at,
        permanent=permanent,
        message_id=text_of(data.get("email_id")),
        delivery_id=uuid_of(ours.get("delivery_id")),
        tenant=text_of(ours.get("tenant")),
        address="" if kind == "email.failed" else text_of(next(iter(list_of(data.get("to"))), None)),
        detail=detail_of(
            bounce.get("type"),
            bounce.get("subType"),
            bounce.get("message"),
            failed.get("reason"),
            suppressed.get("type"),
            suppressed.get("message"),
        ),
    )


def _tags(given: Any) -> Mapping[str, Any]:
    """Tags come back as an object; they are sent as a list of names and values, and came so once."""
    if isinstance(given, dict):
        return given
    return {str(tag.get("name")): tag.get("value") for tag in list_of(given) if isinstance(tag, dict)}
