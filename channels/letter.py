"""A mail before any provider has it: who it is from, whom it is for, and no text that could be more than it is."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, replace
from typing import Final

from pydantic import SecretStr

from channels.base import AccountError, Address, Message, RefusedError
from channels.mime import (
    Mailbox,
    clean,
    content_type,
    filename,
    further_headers,
    mailbox,
    one_line,
    plain_text,
    reply_to,
    sender,
)
from config.settings import Settings, SettingsError

_NOT_IN_TAGS: Final = re.compile(r"[^A-Za-z0-9_-]")
_KEY: Final = re.compile(r"[!-~]{1,4000}")  # fits into a header


def default_sender(settings: Settings) -> Mailbox:
    """The sender of mails that name none.

    Raises:
        SettingsError: it is not exactly one address, or one of the other senders is not.
    """
    for pattern, other in settings.email_senders:
        try:
            sender(other)
        except ValueError:
            raise SettingsError(
                f"BELLWIRE_EMAIL_SENDERS: the sender of {pattern} must look like Name <address@example.org>"
            ) from None
    try:
        return sender(settings.email_from)
    except ValueError:
        raise SettingsError("BELLWIRE_EMAIL_FROM: must look like Name <address@example.org>") from None


def sender_of(message: Message, default: Mailbox) -> Mailbox:
    """Whom a mail comes from (E-22).

    Raises:
        AccountError: the message names a sender that is no address; a person has to mend that, and no mail is lost.
    """
    if message.sender is None:
        return replace(default, name=one_line(message.sender_name)) if message.sender_name else default
    try:
        return sender(message.sender)
    except ValueError:
        raise AccountError("the sender is not an email address") from None


def recipient(address: Address) -> Mailbox:
    """Whom a mail goes to, exactly one.

    Raises:
        RefusedError: it cannot be an email address.
    """
    try:
        return mailbox(address.value, address.name)
    except ValueError:
        raise RefusedError("not an email address") from None


def secret_key(value: SecretStr | None, variable: str) -> str | None:
    """A key that travels in a header; None when it is not set.

    Raises:
        SettingsError: it cannot be in a header; the text does not repeat it.
    """
    if value is None or not value.get_secret_value():
        return None
    if not _KEY.fullmatch(value.get_secret_value()):
        raise SettingsError(f"{variable}: must be printable ASCII without spaces")
    return value.get_secret_value()


def base_url(value: str, variable: str) -> str:
    """Where an API begins, without a slash at the end.

    Raises:
        SettingsError: it is no address of the web.
    """
    if not re.fullmatch(r"https?://[!-~]+", value):
        raise SettingsError(f"{variable}: must begin with https:// or http://")
    return value.rstrip("/")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as every API wants it: one checked recipient, and no text that could be more than it is."""

    message: Message
    sender: Mailbox
    to: Mailbox
    subject: str
    text: str
    html: str | None

    @property
    def headers(self) -> dict[str, str]:
        """Beside those that the API makes itself."""
        return further_headers(self.message)

    @property
    def reply_to(self) -> str | None:
        """Where answers go; None: to the sender."""
        answers = reply_to(self.message)
        return None if answers is None else answers.address

    @property
    def message_id(self) -> str:
        """Constant over the attempts; where the provider lets us choose it."""
        return f"<{self.message.delivery_id}@{self.sender.domain}>"

    @property
    def metadata(self) -> dict[str, str]:
        """What receipts give back: our ids (E-22). What is not known is left out."""
        said = self.message
        found = {
            "delivery_id": said.delivery_id,
            "tenant": said.tenant,
            "userId": said.user_id,
            "notificationId": said.notification_id,
            "notificationType": said.event_type,
        }
        return {name: one_line(value) for name, value in found.items() if value and one_line(value)}

    @property
    def tags(self) -> list[str]:
        """For statistics at the provider (E-22): the type, and whose it is."""
        said = self.message
        return [one_line(said.event_type), *([one_line(f"user:{said.user_id}")] if said.user_id else [])]

    @property
    def name_tags(self) -> list[tuple[str, str]]:
        """The metadata where it can only be tags: pairs of ASCII letters, digits, ``_`` and ``-`` (Resend, SES).

        Its `notificationType` and `userId` say what `tags` does.
        """
        return [(name, _NOT_IN_TAGS.sub("_", value)[:256]) for name, value in self.metadata.items()]

    @property
    def attachments(self) -> list[tuple[str, str, str]]:
        """Of each the name, the content type, and the content in base64."""
        return [
            (filename(one.filename), "/".join(content_type(one.content_type)), b64encode(one.content).decode())
            for one in self.message.attachments
        ]


def letter(message: Message, address: Address, default: Mailbox) -> Letter:
    """Make a letter of a message.

    Raises:
        RefusedError, AccountError: the recipient or the sender cannot be used.
    """
    to = recipient(address)
    if to.international:
        raise RefusedError("the provider does not take international addresses (SMTPUTF8)")
    return Letter(
        message,
        sender_of(message, default),
        to,
        one_line(message.title or "") or one_line(message.event_type) or "-",  # no API takes an empty subject,
        plain_text(message) or " ",  # nor an empty mail
        clean(message.html) if message.html else None,
    )
