"""Email through Postmark (E-20)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from channels.answers import Meaning, Problem, by_status
from channels.base import Capabilities
from channels.email import BULKHEAD, DEADLINE, PARTS, ApiProvider, content_of, text_at
from channels.http import Answer
from channels.letter import Letter, base_url, default_sender, secret_key
from channels.mime import Mailbox
from config.settings import Settings

STREAM: Final = "outbound"  # the transactional one, which every server has
METADATA_LIMIT: Final = 80  # characters of a value

# Its codes, whatever the status: https://postmarkapp.com/developer/api/overview#error-codes
PROBLEMS: Final[Mapping[int, Problem]] = {
    10: Problem(Meaning.ACCOUNT, "the token is not accepted"),
    100: Problem(Meaning.RETRY, "maintenance"),
    400: Problem(Meaning.ACCOUNT, "the sender has no signature"),
    401: Problem(Meaning.ACCOUNT, "the sender's signature is not confirmed"),
    402: Problem(Meaning.REFUSED, "a field is not accepted"),
    403: Problem(Meaning.REFUSED, "a field is not accepted"),
    405: Problem(Meaning.ACCOUNT, "the account's mails are used up"),
    406: Problem(Meaning.SUPPRESS, "the recipient is inactive: a hard bounce, a complaint, or suppressed by hand"),
    409: Problem(Meaning.REFUSED, "not JSON"),
    410: Problem(Meaning.REFUSED, "too many at once"),
    411: Problem(Meaning.REFUSED, "an attachment of a kind that is not carried"),
    412: Problem(Meaning.ACCOUNT, "the account is not approved yet"),
    413: Problem(Meaning.ACCOUNT, "the account may not send"),
    429: Problem(Meaning.THROTTLED, "too many requests"),
    1226: Problem(Meaning.ACCOUNT, "the message stream is not there"),
    1235: Problem(Meaning.ACCOUNT, "the message stream is not there"),
    1236: Problem(Meaning.ACCOUNT, "the message stream is not for sending"),
}
INVALID: Final = 300  # an invalid mail; the text says which field

_ABOUT_TO: Final = re.compile(r"[`'\"]To[`'\"]")
_ABOUT_FROM: Final = re.compile(r"[`'\"]From[`'\"]")


class PostmarkProvider(ApiProvider):
    """One server's token. Source: https://postmarkapp.com/developer/api/email-api.

    It publishes no rate limit for its API.
    """

    name = "postmark"
    capabilities = Capabilities(parts=PARTS, bulkhead=BULKHEAD, deadline=DEADLINE, receipts=True)
    credentials = MappingProxyType({"token": "postmark_token", "webhook_secret": "postmark_webhook_secret"})

    def __init__(self, token: str, url: str, from_: Mailbox) -> None:
        super().__init__(f"{url}/email", from_)
        self._token = token

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the server's token."""
        token = secret_key(settings.postmark_token, "BELLWIRE_POSTMARK_TOKEN")
        if token is None:
            return None
        return cls(token, base_url(settings.postmark_url, "BELLWIRE_POSTMARK_URL"), default_sender(settings))

    def headers(self, mail: Letter, body: bytes) -> dict[str, str]:
        return {"X-Postmark-Server-Token": self._token}

    def request(self, mail: Letter) -> bytes:
        """Postmark keeps our ``Message-ID`` where we ask it to, and has room for one tag: the type."""
        headers = {**mail.headers, "Message-ID": mail.message_id, "X-PM-KeepID": "true"}
        content: dict[str, Any] = {
            "From": str(mail.sender),
            "To": str(mail.to),
            "Subject": mail.subject,
            "TextBody": mail.text,
            "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
            "Tag": mail.tags[0],
            "Metadata": {name: value[:METADATA_LIMIT] for name, value in mail.metadata.items()},
            "MessageStream": STREAM,
        }
        if mail.html:
            content["HtmlBody"] = mail.html
        if mail.reply_to:
            content["ReplyTo"] = mail.reply_to
        if files := mail.attachments:
            content["Attachments"] = [
                {"Name": name, "ContentType": kind, "Content": encoded} for name, kind, encoded in files
            ]
        return json.dumps(content).encode()

    def accepted(self, answer: Answer) -> str | None:
        if answer.status != 200 or content_of(answer).get("ErrorCode") != 0:
            return None
        return text_at(answer, "MessageID") or None

    def problem(self, answer: Answer) -> tuple[str, Problem]:
        code = content_of(answer).get("ErrorCode")
        if isinstance(code, int) and code != 0:
            found = _invalid(text_at(answer, "Message")) if code == INVALID else PROBLEMS.get(code)
            return str(code), found or by_status(answer.status)
        # A 403 without a code comes from a network in front of the API and says nothing about the account:
        # https://postmarkapp.com/support/article/getting-a-403-that-doesnt-look-like-a-postmark-error
        return "", Problem(Meaning.RETRY, "stopped on the way") if answer.status == 403 else by_status(answer.status)


def _invalid(message: str) -> Problem:
    if _ABOUT_FROM.search(message):
        return Problem(Meaning.ACCOUNT, "the sender is not accepted")
    if _ABOUT_TO.search(message):
        return Problem(Meaning.SUPPRESS, "the recipient is not accepted")
    return Problem(Meaning.REFUSED, "a field is not accepted")
