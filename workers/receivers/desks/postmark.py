"""Postmark's desk: ``POST /email``. https://postmarkapp.com/developer/api/email-api"""

from __future__ import annotations

import binascii
import re
import uuid
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import getaddresses, parseaddr
from typing import Any, ClassVar, Final

from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

TOKEN: Final = "00000000-demo-4000-8000-localreceiver"  # noqa: S105 - opens nothing but this receiver
UNVERIFIED: Final = "unverified.example"  # the one domain of a sender that this server has no signature for

_ADDRESS: Final = re.compile(r"[!-~]{1,64}@[A-Za-z0-9._-]+")


class PostmarkDesk(Desk):
    """Takes mails for one server. `inactive`: its own suppression list; `sent`: the delivery ids that it took."""

    name = "postmark"
    path: ClassVar[str] = "/email"

    def __init__(self) -> None:
        self.inactive: set[str] = set()
        self.sent: list[str] = []

    def identify(self, request: Request) -> tuple[str, str]:
        content = request.json()
        if not isinstance(content, dict):
            return "", ""
        to = content.get("To")
        metadata = content.get("Metadata") or {}
        return str(metadata.get("delivery_id", "")), parseaddr(to)[1] if isinstance(to, str) else ""

    def answer(self, request: Request) -> Reply:
        if request.path != self.path or request.method != "POST":
            return Reply(404, b"<html>not found</html>", {"Content-Type": "text/html"})
        if request.headers.get("x-postmark-server-token") != TOKEN:
            return problem(401, 10, "Request does not contain a valid Server token.")
        content = request.json()
        if not isinstance(content, dict) or not content:
            return problem(422, 402, "Received invalid JSON input.")
        wrong = _check_people(content) or _check_content(content)
        if wrong is not None:
            return wrong
        key, to = self.identify(request)
        if to in self.inactive:
            said = (
                f"You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: {to}."
            )
            return problem(422, 406, said)
        self.sent.append(key)
        taken = {"To": content["To"], "SubmittedAt": datetime.now(UTC).isoformat(), "MessageID": str(uuid.uuid4())}
        return json_reply(200, {**taken, "ErrorCode": 0, "Message": "OK"})


def _check_people(content: Mapping[str, Any]) -> Reply | None:
    sender = parseaddr(str(content.get("From") or ""))[1]
    if not _ADDRESS.fullmatch(sender):
        return problem(422, 300, "Invalid 'From' address: it must contain the '@' symbol.")
    if sender.endswith(f"@{UNVERIFIED}"):
        return problem(422, 400, "The 'From' address you supplied is not a Sender Signature on your account.")
    found = getaddresses([str(content.get("To") or "")])
    if not found or not all(_ADDRESS.fullmatch(address) for _, address in found):
        return problem(422, 300, "Error parsing 'To': Illegal email address. It must contain the '@' symbol.")
    return None


def _check_content(content: Mapping[str, Any]) -> Reply | None:
    if not content.get("TextBody") and not content.get("HtmlBody"):
        return problem(422, 300, "Provide either email TextBody or HtmlBody or both.")
    if content.get("MessageStream") not in {"outbound", None}:
        return problem(422, 1235, "The 'MessageStream' provided does not exist on this server.")
    metadata = content.get("Metadata") or {}
    if len(metadata) > 10 or any(len(name) > 20 or len(str(value)) > 80 for name, value in metadata.items()):
        return problem(422, 300, "Metadata names must be at most 20, and values at most 80 characters.")
    for header in content.get("Headers") or ():
        if not str(header.get("Value", "")).isprintable():
            return problem(422, 300, "A header contains a line break.")
    for file in content.get("Attachments") or ():
        try:
            b64decode(file["Content"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            return problem(422, 300, "An attachment's content is not valid base64.")
    return None


def problem(status: int, code: int, message: str) -> Reply:
    """An error as Postmark words it."""
    return json_reply(status, {"ErrorCode": code, "Message": message})
