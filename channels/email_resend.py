"""Email through Resend (A-3): a mail that is sent again under its delivery's id within a day arrives once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from channels.answers import Meaning, Problem, by_status
from channels.base import Capabilities, Limit
from channels.email import BULKHEAD, DEADLINE, PARTS, ApiProvider, text_at
from channels.http import Answer
from channels.letter import Letter, base_url, default_sender, secret_key
from channels.mime import Mailbox
from config.settings import Settings

# Its errors by name: https://resend.com/docs/api-reference/errors. Others mean what their status says.
PROBLEMS: Final[Mapping[str, Problem]] = {
    "missing_api_key": Problem(Meaning.ACCOUNT, "no API key"),
    "restricted_api_key": Problem(Meaning.ACCOUNT, "the API key may not do this"),
    "invalid_api_key": Problem(Meaning.ACCOUNT, "the API key is not accepted"),
    "suspended_api_key": Problem(Meaning.ACCOUNT, "the API key is suspended"),
    "invalid_from_address": Problem(Meaning.ACCOUNT, "the sender is not accepted"),
    "not_found": Problem(Meaning.ACCOUNT, "the API is not there (BELLWIRE_RESEND_URL)"),
    "method_not_allowed": Problem(Meaning.ACCOUNT, "the API is not there (BELLWIRE_RESEND_URL)"),
    # 429 as well, but it stays so until tomorrow, or until somebody pays.
    "daily_quota_exceeded": Problem(Meaning.ACCOUNT, "the day's mails are used up"),
    "monthly_quota_exceeded": Problem(Meaning.ACCOUNT, "the month's mails are used up"),
    "rate_limit_exceeded": Problem(Meaning.THROTTLED, "too many requests"),
    "invalid_to_address": Problem(Meaning.SUPPRESS, "the recipient is not accepted"),
    "invalid_idempotency_key": Problem(Meaning.REFUSED, "the delivery's id is not accepted as a key"),
    # An attempt of ours was taken with other bytes: nothing that is sent under this id changes that.
    "invalid_idempotent_request": Problem(Meaning.REFUSED, "an earlier attempt had another content"),
    # An attempt of ours is under way there. No plain retry: another provider would make that at once.
    "concurrent_idempotent_requests": Problem(Meaning.UNKNOWN, "an earlier attempt is still under way"),
    "invalid_attachment": Problem(Meaning.REFUSED, "an attachment is not accepted"),
    "invalid_parameter": Problem(Meaning.REFUSED, "a field is not accepted"),
    "missing_required_field": Problem(Meaning.REFUSED, "a field is missing"),
    "missing_required_fields": Problem(Meaning.REFUSED, "a field is missing"),
    "security_error": Problem(Meaning.REFUSED, "the content is not accepted"),
    "application_error": Problem(Meaning.RETRY, "failed"),
    "internal_server_error": Problem(Meaning.RETRY, "failed"),
}

_ABOUT_TO: Final = re.compile(r"[`'\"]to[`'\"]", re.IGNORECASE)
_ABOUT_FROM: Final = re.compile(r"[`'\"]from[`'\"]", re.IGNORECASE)


class ResendProvider(ApiProvider):
    """One API key. Source: https://resend.com/docs/api-reference/emails/send-email.

    Resend sets the ``Message-ID`` itself. It remembers an ``Idempotency-Key`` for 24 hours.
    """

    name = "resend"
    capabilities = Capabilities(
        parts=PARTS,
        bulkhead=BULKHEAD,
        deadline=DEADLINE,
        idempotent=True,
        receipts=True,
        limits=(Limit(5, 1),),  # a second, for all keys of a team: https://resend.com/docs/api-reference/rate-limit
    )
    credentials = MappingProxyType({"api_key": "resend_api_key", "webhook_secret": "resend_webhook_secret"})

    def __init__(self, key: str, url: str, from_: Mailbox) -> None:
        super().__init__(f"{url}/emails", from_)
        self._authorization = f"Bearer {key}"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the API key."""
        key = secret_key(settings.resend_api_key, "BELLWIRE_RESEND_API_KEY")
        if key is None:
            return None
        return cls(key, base_url(settings.resend_url, "BELLWIRE_RESEND_URL"), default_sender(settings))

    def headers(self, mail: Letter, body: bytes) -> dict[str, str]:
        return {"Authorization": self._authorization, "Idempotency-Key": mail.message.delivery_id}

    def request(self, mail: Letter) -> bytes:
        content: dict[str, Any] = {
            "from": str(mail.sender),
            "to": [str(mail.to)],
            "subject": mail.subject,
            "text": mail.text,
            "headers": mail.headers,
            "tags": [{"name": name, "value": value} for name, value in mail.name_tags],
        }
        if mail.html:
            content["html"] = mail.html
        if mail.reply_to:
            content["reply_to"] = mail.reply_to
        if files := mail.attachments:
            content["attachments"] = [
                {"filename": name, "content_type": kind, "content": encoded} for name, kind, encoded in files
            ]
        return json.dumps(content).encode()

    def accepted(self, answer: Answer) -> str | None:
        return (text_at(answer, "id") or None) if answer.status == 200 else None

    def problem(self, answer: Answer) -> tuple[str, Problem]:
        name = text_at(answer, "name")
        if name == "validation_error":
            return name, _validation(answer.status, text_at(answer, "message"))
        return name, PROBLEMS.get(name) or by_status(answer.status)


def _validation(status: int, message: str) -> Problem:
    """One name for many errors: with 403 it is a domain that is not verified, else the message tells the field."""
    if status == 403:
        return Problem(Meaning.ACCOUNT, "the sender's domain is not verified")
    if _ABOUT_FROM.search(message):
        return Problem(Meaning.ACCOUNT, "the sender is not accepted")
    if _ABOUT_TO.search(message):
        return Problem(Meaning.SUPPRESS, "the recipient is not accepted")
    return Problem(Meaning.REFUSED, "a field is not accepted")
