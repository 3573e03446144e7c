"""Resend's desk: ``POST /emails`` with an idempotency key. https://resend.com/docs/api-reference/emails/send-email"""

from __future__ import annotations

import binascii
import hashlib
import re
import uuid
from base64 import b64decode
from email.utils import parseaddr
from typing import Any, Final

from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

KEY: Final = "re_demo-key-of-the-local-receiver"
UNVERIFIED: Final = "unverified.example"  # the one domain of a sender that this account has not verified

_PERSON: Final = re.compile(r"[^<>@\s,;]+@[^<>@\s,;]+|[^<>\r\n]* <[^<>@\s,;]+@[^<>@\s,;]+>")
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_FORMAT: Final = "The email address needs to follow the `email@example.com` or `Name <email@example.com>` format."


class ResendDesk(Desk):
    """Takes mails for one key. `sent`: the ids by idempotency key, each mail once however often it was posted."""

    name = "resend"

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}
        self._bodies: dict[str, bytes] = {}

    def identify(self, request: Request) -> tuple[str, str]:
        content = request.json()
        to = content.get("to") if isinstance(content, dict) else None
        first = to[0] if isinstance(to, list) and to else to
        return request.headers.get("idempotency-key", ""), parseaddr(first)[1] if isinstance(first, str) else ""

    def answer(self, request: Request) -> Reply:
        wrong = _entrance(request)
        if wrong is not None:
            return wrong
        key = request.headers.get("idempotency-key")
        if key is not None and not 1 <= len(key) <= 256:
            return problem(400, "invalid_idempotency_key", "The key must be between 1-256 chars.")
        digest = hashlib.sha256(request.body).digest()
        if key is not None and key in self._bodies:
            if self._bodies[key] != digest:
                return problem(
                    409, "invalid_idempotent_request", "Same idempotency key used with a different request payload."
                )
            return json_reply(200, {"id": self.sent[key]})
        wrong = _check(request.json())
        return wrong if wrong is not None else self._take(key or str(uuid.uuid4()), digest)

    def _take(self, key: str, digest: bytes) -> Reply:
        self.sent[key] = str(uuid.uuid4())
        self._bodies[key] = digest
        return json_reply(200, {"id": self.sent[key]})


def _entrance(request: Request) -> Reply | None:
    """What is wrong before the body is read."""
    if request.path != "/emails":
        return problem(404, "not_found", "The requested endpoint does not exist.")
    if request.method != "POST":
        return problem(405, "method_not_allowed", "Method is not allowed for the requested path.")
    authorization = request.headers.get("authorization", "")
    if not authorization.startswith("Bearer "):
        return problem(401, "missing_api_key", "Missing API key in the authorization header.")
    if authorization != f"Bearer {KEY}":
        return problem(403, "invalid_api_key", "API key is invalid.")
    return None


def _check(content: Any) -> Reply | None:
    """What is wrong with a mail."""
    if not isinstance(content, dict):
        return problem(400, "validation_error", "We found an error with one or more fields in the request.")
    for name in ("from", "to", "subject"):
        if not content.get(name):
            return problem(422, "missing_required_field", f"Missing `{name}` field.")
    if not content.get("html") and not content.get("text"):
        return problem(422, "validation_error", "Missing `html` or `text` field.")
    return _check_people(content) or _check_rest(content)


def _check_people(content: dict[str, Any]) -> Reply | None:
    to = content["to"] if isinstance(content["to"], list) else [content["to"]]
    if not 1 <= len(to) <= 50 or not all(isinstance(one, str) and _PERSON.fullmatch(one) for one in to):
        return problem(422, "validation_error", f"Invalid `to` field. {_FORMAT}")
    if not _PERSON.fullmatch(str(content["from"])):
        return problem(422, "validation_error", f"Invalid `from` field. {_FORMAT}")
    if parseaddr(content["from"])[1].endswith(f"@{UNVERIFIED}"):
        return problem(
            403, "validation_error", f"The {UNVERIFIED} domain is not verified. Please, add and verify your domain."
        )
    return None


def _check_rest(content: dict[str, Any]) -> Reply | None:
    for tag in content.get("tags") or ():
        if not _TAG.fullmatch(str(tag.get("name", ""))) or not _TAG.fullmatch(str(tag.get("value", ""))):
            said = "Tags should only contain ASCII letters, numbers, underscores, or dashes."
            return problem(422, "validation_error", said)
    for file in content.get("attachments") or ():
        try:
            b64decode(file["content"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            return problem(422, "invalid_attachment", "Attachment must have either a `content` or `path`.")
    return None


def problem(status: int, name: str, message: str) -> Reply:
    """An error as Resend words it."""
    return json_reply(status, {"statusCode": status, "name": name, "message": message})
