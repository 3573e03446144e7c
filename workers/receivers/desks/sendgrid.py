"""SendGrid's desk: ``POST /v3/mail/send``. https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any, Final

from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

KEY: Final = "SG.demo-key.of-the-local-receiver"
UNVERIFIED: Final = "unverified.example"  # the one domain of a sender that this account has not verified

_ADDRESS: Final = re.compile(r"[!-~]{1,64}@[A-Za-z0-9._-]+")
_RESERVED: Final = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"}
    | {"to", "from", "subject", "reply-to", "cc", "bcc"}
)


class SendGridDesk(Desk):
    """Takes mails for one key. `sent`: the delivery ids that were accepted, in their order."""

    name = "sendgrid"

    def __init__(self) -> None:
        self.sent: list[str] = []

    def identify(self, request: Request) -> tuple[str, str]:
        content = request.json()
        if not isinstance(content, dict):
            return "", ""
        found = _recipients(content)
        return str((content.get("custom_args") or {}).get("delivery_id", "")), str(
            found[0].get("email")
        ) if found else ""

    def answer(self, request: Request) -> Reply:
        if request.path != "/v3/mail/send":
            return problem(404, "not found")
        if request.method != "POST":
            return problem(405, "method not allowed")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "The provided authorization grant is invalid, expired, or revoked")
        if "application/json" not in request.headers.get("content-type", ""):
            return problem(415, "Content-Type should be application/json.")
        content = request.json()
        if not isinstance(content, dict) or not content:
            return problem(400, "Bad Request")
        wrong = _check_people(content) or _check_content(content) or _check_rest(content)
        if wrong is not None:
            return wrong
        self.sent.append(self.identify(request)[0])
        return Reply(202, b"", {"X-Message-Id": token_urlsafe(16)})


def _recipients(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    blocks = content.get("personalizations")
    first = blocks[0] if isinstance(blocks, list) and blocks else {}
    found = first.get("to") if isinstance(first, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _check_people(content: Mapping[str, Any]) -> Reply | None:
    to = _recipients(content)
    if not to:
        return problem(400, "The to array is required for all personalization objects.", "personalizations.0.to")
    for position, one in enumerate(to):
        field = f"personalizations.0.to.{position}"
        if not _ADDRESS.fullmatch(str(one.get("email", ""))):
            return problem(400, "Does not contain a valid address.", f"{field}.email")
        if any(character in str(one.get("name", "")) for character in ",;\r\n"):
            return problem(400, "The name may not contain the characters , or ;", f"{field}.name")
    sender = str((content.get("from") or {}).get("email", ""))
    if not _ADDRESS.fullmatch(sender):
        return problem(400, "The from email does not contain a valid address.", "from.email")
    if sender.endswith(f"@{UNVERIFIED}"):
        return problem(403, "The from address does not match a verified Sender Identity.", "from")
    return None


def _check_content(content: Mapping[str, Any]) -> Reply | None:
    if not content.get("subject"):
        return problem(400, "The subject is required.", "subject")
    parts = content.get("content") or [{}]
    if not all(one.get("value") for one in parts):
        return problem(400, "The content value must be a string at least one character in length.", "content.0.value")
    if [one.get("type") for one in parts] not in (["text/plain"], ["text/html"], ["text/plain", "text/html"]):
        return problem(400, "If present, text/plain must be first, followed by text/html.", "content")
    return None


def _check_rest(content: Mapping[str, Any]) -> Reply | None:
    categories = content.get("categories") or []
    if len(categories) > 10 or len(set(categories)) != len(categories) or any(len(one) > 255 for one in categories):
        return problem(400, "There cannot be more than 10 unique categories of 255 characters.", "categories")
    headers = content.get("headers") or {}
    if _RESERVED & {name.lower() for name in headers} or not all(value.isprintable() for value in headers.values()):
        return problem(400, "The headers contain a reserved or invalid header.", "headers")
    arguments = content.get("custom_args") or {}
    if not all(isinstance(one, str) for one in arguments.values()) or len(str(arguments)) > 10_000:
        return problem(400, "The custom_args must be strings of less than 10000 bytes.", "custom_args")
    for position, file in enumerate(content.get("attachments") or ()):
        try:
            b64decode(file["content"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            return problem(400, "The attachment content must be base64 encoded.", f"attachments.{position}.content")
    return None


def problem(status: int, message: str, field: str | None = None) -> Reply:
    """An error as SendGrid words it."""
    return json_reply(status, {"errors": [{"message": message, "field": field, "help": None}]})
