"""Whose receipts are understood: one literal table. A new provider is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretStr

from channels.receipts.base import Receiver
from channels.receipts.postmark import PostmarkReceiver
from channels.receipts.resend import ResendReceiver
from channels.receipts.sendgrid import SendGridReceiver
from channels.receipts.ses import SesReceiver
from channels.receipts.telegram import TelegramReceiver
from channels.receipts.twilio import TwilioReceiver
from channels.receipts.whatsapp import WhatsAppReceiver
from config.settings import Settings

RECEIVERS: Final[Mapping[str, Receiver]] = {
    "resend": ResendReceiver(),
    "sendgrid": SendGridReceiver(),
    "ses": SesReceiver(),
    "postmark": PostmarkReceiver(),
    "twilio": TwilioReceiver(),
    "whatsapp": WhatsAppReceiver(),
    "telegram": TelegramReceiver(),
}


def secrets_of(receiver: Receiver, settings: Settings) -> dict[str, str] | None:
    """What proves the calls for the installation's account; None when it is not configured."""
    found = {name: _plain(getattr(settings, setting)) for name, setting in receiver.secrets.items()}
    return _configured(receiver, found)


def secrets_among(receiver: Receiver, credentials: Mapping[str, Any]) -> dict[str, str] | None:
    """What proves the calls for a tenant's own account; None when it has set none."""
    return _configured(receiver, {name: _plain(credentials.get(name)) for name in receiver.secrets})


def _configured(receiver: Receiver, found: Mapping[str, str]) -> dict[str, str] | None:
    secrets = {name: value for name, value in found.items() if value}
    return secrets if next(iter(receiver.secrets)) in secrets else None


def _plain(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else ""
