"""SES's receipts, which SNS brings: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html

SNS's signature proves only that AWS sent it, on whose behalf ever; so the topic must be one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from channels.receipts.amazon import Amazon, region_of
from channels.receipts.base import Call, ForgedError, Heard, LaterReceipt, MalformedError, Receiver
from channels.receipts.reading import (
    base64_of,
    detail_of,
    key_of,
    list_of,
    moment_of,
    object_of,
    parsed,
    text_of,
    uuid_of,
)
from domain.vocabulary import ReceiptKind

log = structlog.get_logger(__name__)

OLDEST: Final = timedelta(hours=1)  # for so long SNS tries to deliver a message
AHEAD: Final = timedelta(minutes=5)

_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
# What SES says when it is told of a topic.
TRIAL: Final = "Successfully validated SNS topic"
LEFT_OUT: Final = frozenset({"Subject"})  # it is signed only where there is one

KINDS: Final[Mapping[str, ReceiptKind]] = {
    "Delivery": ReceiptKind.DELIVERED,
    "Bounce": ReceiptKind.BOUNCED,
    "Reject": ReceiptKind.BOUNCED,
    "Rendering Failure": ReceiptKind.BOUNCED,
    "Complaint": ReceiptKind.COMPLAINED,
    "Open": ReceiptKind.OPENED,
    "Click": ReceiptKind.CLICKED,
    "Subscription": ReceiptKind.UNSUBSCRIBED,
}
NOT_THE_ADDRESS: Final = ("MessageTooLarge", "ContentRejected", "AttachmentRejected")


class SesReceiver(Receiver):
    """One event a call."""

    provider = "ses"
    channel = "email"
    secrets = {"topic_arns": "ses_topic_arns"}  # noqa: RUF012 - no secret, but what must be known of us all the same

    def __init__(self, amazon: Amazon | None = None) -> None:
        """`amazon`: who fetches certificates."""
        self._amazon = amazon or Amazon()

    def problem(self, secret: str) -> str | None:
        try:
            for topic in secret.split(","):
                region_of(topic.strip())
        except ForgedError:
            return "must be ARNs such as arn:aws:sns:eu-central-1:123456789012:receipts"
        return None

    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """The topic, the age, the certificate, the signature: what costs nothing first."""
        message = _message(call.body)
        topic = message["TopicArn"]
        if topic not in [one.strip() for one in secrets["topic_arns"].split(",")]:
            raise ForgedError("The topic is not one of ours.")
        _check_age(message["Timestamp"], call.now)
        signature = base64_of(message.get("Signature", ""))
        algorithm = _algorithm(message.get("SignatureVersion"))
        key = self._amazon.key(message.get("SigningCertURL", ""), region_of(topic), call.now)
        try:
            key.verify(signature, _signed(message), PKCS1v15(), algorithm)
        except InvalidSignature:
            raise ForgedError("The signature is wrong.") from None

    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """One receipt at most; a subscription to a topic of ours is confirmed on the way."""
        message = _message(call.body)
        if message["Type"] == "Notification":
            if message["Message"].startswith(TRIAL):
                return Heard()
            event = parsed(message["Message"].encode("utf-8", "replace"))
            if not isinstance(event, dict):
                raise MalformedError("The message is not an event of SES.")
            found = _receipts(event, message, call.now)
            return Heard(min(1, len(found)), found)
        if message["Type"] == "SubscriptionConfirmation":
            self._confirm(message)
        log.warning("sns_subscription", topic=message["TopicArn"], said=message["Type"])
        return Heard(1)

    def _confirm(self, message: Mapping[str, str]) -> None:
        self._amazon.confirm(message["SubscribeURL"], region_of(message["TopicArn"]))


def _message(body: bytes) -> dict[str, str]:
    """SNS's envelope, the fields that are texts. A body that cannot be read proves nothing, so it is forged."""
    try:
        given = parsed(body)
    except MalformedError:
        given = None
    message = {name: value for name, value in object_of(given).items() if isinstance(value, str)}
    wanted = SIGNED.get(message.get("Type", ""))
    if wanted is None or not LEFT_OUT.union(message).issuperset(wanted):
        raise ForgedError("The message is not one of SNS.")
    return message


def _signed(message: Mapping[str, str]) -> bytes:
    """The bytes that were signed: names and values, each on lines of their own."""
    names = [name for name in SIGNED[message["Type"]] if name in message]
    return "".join(f"{name}\n{message[name]}\n" for name in names).encode("utf-8", "replace")


def _algorithm(version: str | None) -> hashes.SHA1 | hashes.SHA256:
    match version:
        case "1":
            return hashes.SHA1()  # noqa: S303 - what a topic signs with until it is told otherwise
        case "2":
            return hashes.SHA256()
        case _:
            raise ForgedError("The version of the signature is not known.")


def _check_age(written: str, now: datetime) -> None:
    """Raises ForgedError for what is not of the last hour. No moment at all counts as such."""
    try:
        moment = datetime.fromisoformat(written)
        age = now - moment if moment.tzinfo else None
    except (ValueError, OverflowError):
        age = None
    if age is None or not -AHEAD <= age <= OLDEST:
        raise ForgedError("The timestamp is malformed, too old, or of the future.")


def _receipts(event: Mapping[str, Any], message: Mapping[str, str], now: datetime) -> tuple[LaterReceipt, ...]:
    name = text_of(event.get("eventType") or event.get("notificationType")) or ""
    about = object_of(event.get("renderingFailure" if name == "Rendering Failure" else name.lower()))
    kinds = _kinds(name, about)
    mail = object_of(event.get("mail"))
    ours = object_of(mail.get("tags"))
    bounced = list_of(about.get("bouncedRecipients")) or list_of(about.get("complainedRecipients"))
    first = object_of(next(iter(bounced), None))
    reached = text_of(first.get("emailAddress")) or text_of(next(iter(list_of(mail.get("destination"))), None))
    blameless = name in {"Reject", "Rendering Failure"} or about.get("bounceSubType") in NOT_THE_ADDRESS
    key = key_of(about.get("feedbackId")) or key_of(message["MessageId"])
    return tuple(
        LaterReceipt(
            key=key_of(key, kind) if len(kinds) > 1 else key,
            kind=kind,
            occurred_at=moment_of(about.get("timestamp", mail.get("timestamp")), now),
            permanent=kind is ReceiptKind.BOUNCED and about.get("bounceType") == "Permanent",
            message_id=text_of(mail.get("messageId")),
            delivery_id=uuid_of(_tag(ours, "delivery_id")),
            tenant=text_of(_tag(ours, "tenant")),
            address="" if kind is ReceiptKind.BOUNCED and (blameless or len(kinds) > 1) else reached,
            detail=detail_of(
                about.get("bounceType"),
                about.get("bounceSubType"),
                about.get("complaintFeedbackType"),
                about.get("complaintSubType"),
                about.get("reason"),
                first.get("diagnosticCode"),
            ),
        )
        for kind in kinds
    )


def _kinds(name: str, about: Mapping[str, Any]) -> tuple[ReceiptKind, ...]:
    """What follows from an event; two things from a message that SES kept back because of an earlier complaint."""
    if name == "Complaint" and about.get("complaintFeedbackType") == "not-spam":
        return ()
    if name == "Complaint" and about.get("complaintSubType") == "OnAccountSuppressionList":
        return ReceiptKind.BOUNCED, ReceiptKind.COMPLAINED
    if name == "Subscription" and object_of(about.get("newTopicPreferences")).get("unsubscribeAll") is not True:
        return ()
    return (KINDS[name],) if name in KINDS else ()


def _tag(tags: Mapping[str, Any], name: str) -> Any:
    """Each tag comes as a list of its values."""
    return next(iter(list_of(tags.get(name))), None)
