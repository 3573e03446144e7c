"""Email through SendGrid (E-20)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from channels.answers import Meaning, Problem, by_status, member
from channels.base import Capabilities
from channels.email import BULKHEAD, DEADLINE, PARTS, ApiProvider, content_of
from channels.http import Answer
from channels.letter import Letter, base_url, default_sender, secret_key
from channels.mime import Mailbox, one_line
from config.settings import Settings

TAG_LIMIT: Final = 255  # characters of a category
LONGEST_WAIT: Final = 86400.0  # seconds; a reset that is further away is a mistake

# By status, for it has no codes: https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/errors
PROBLEMS: Final[Mapping[int, Problem]] = {
    401: Problem(Meaning.ACCOUNT, "the API key is not accepted, or the account's mails are used up"),
    403: Problem(Meaning.ACCOUNT, "the sender is not verified, or the account may not send"),
    404: Problem(Meaning.ACCOUNT, "the API is not there (BELLWIRE_SENDGRID_URL)"),
    405: Problem(Meaning.ACCOUNT, "the API is not there (BELLWIRE_SENDGRID_URL)"),
    413: Problem(Meaning.REFUSED, "too large"),
    429: Problem(Meaning.THROTTLED, "too many requests"),
    451: Problem(Meaning.ACCOUNT, "not available in the account's region"),
    500: Problem(Meaning.RETRY, "failed"),
    503: Problem(Meaning.RETRY, "not available"),
}


class SendGridProvider(ApiProvider):
    """One API key. Source: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send.

    It publishes no rate limit that one account's mails could reach, and is obeyed where it answers 429.
    """

    name = "sendgrid"
    capabilities = Capabilities(parts=PARTS, bulkhead=BULKHEAD, deadline=DEADLINE, receipts=True)
    credentials = MappingProxyType({"api_key": "sendgrid_api_key", "webhook_secret": "sendgrid_webhook_secret"})

    def __init__(self, key: str, url: str, from_: Mailbox) -> None:
        super().__init__(f"{url}/v3/mail/send", from_)
        self._authorization = f"Bearer {key}"

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the API key."""
        key = secret_key(settings.sendgrid_api_key, "BELLWIRE_SENDGRID_API_KEY")
        if key is None:
            return None
        return cls(key, base_url(settings.sendgrid_url, "BELLWIRE_SENDGRID_URL"), default_sender(settings))

    def headers(self, mail: Letter, body: bytes) -> dict[str, str]:
        return {"Authorization": self._authorization}

    def request(self, mail: Letter) -> bytes:
        texts = [{"type": "text/plain", "value": mail.text}]  # plain text first
        if mail.html:
            texts.append({"type": "text/html", "value": mail.html})
        content: dict[str, Any] = {
            "from": _person(mail.sender),
            "personalizations": [{"to": [_person(mail.to)]}],
            "subject": mail.subject,
            "content": texts,
            "headers": {**mail.headers, "Message-ID": mail.message_id},
            "categories": list(dict.fromkeys(tag[:TAG_LIMIT] for tag in mail.tags)),  # each once, or it is refused
            "custom_args": mail.metadata,
        }
        if mail.reply_to:
            content["reply_to"] = {"email": mail.reply_to}
        if files := mail.attachments:
            content["attachments"] = [
                {"filename": name, "type": kind, "content": encoded, "disposition": "attachment"}
                for name, kind, encoded in files
            ]
        return json.dumps(content).encode()

    def accepted(self, answer: Answer) -> str | None:
        return answer.headers.get("X-Message-Id", "") if answer.status == 202 else None

    def problem(self, answer: Answer) -> tuple[str, Problem]:
        """By the status; with 400 the first error's field tells more."""
        if answer.status != 400:
            return "", PROBLEMS.get(answer.status) or by_status(answer.status)
        field = member(content_of(answer), "errors", 0, "field")
        return (field, _about(field)) if isinstance(field, str) else ("", Problem(Meaning.REFUSED, "not accepted"))

    def wait(self, answer: Answer) -> float | None:
        """It tells the second at which its window ends: ``X-RateLimit-Reset``."""
        reset = answer.headers.get("X-RateLimit-Reset", "")
        seconds = float(reset) - time.time() if reset.isascii() and reset.isdigit() and len(reset) < 12 else 0
        return seconds if 0 < seconds < LONGEST_WAIT else super().wait(answer)


def _person(mailbox: Mailbox) -> dict[str, str]:
    """A name may hold no commas and semicolons: .../api-reference/mail-send/limitations"""
    name = one_line(mailbox.name.replace(",", " ").replace(";", " "))
    return {"email": mailbox.address, "name": name} if name else {"email": mailbox.address}


def _about(field: str) -> Problem:
    """What is wrong with a field: ``from.email``, ``personalizations.0.to.0.email``."""
    if field.startswith("from"):
        return Problem(Meaning.ACCOUNT, "the sender is not accepted")
    if field.startswith("personalizations") and field.endswith(".email"):
        return Problem(Meaning.SUPPRESS, "the recipient is not accepted")
    return Problem(Meaning.REFUSED, "a field is not accepted")
