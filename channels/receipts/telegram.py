"""Telegram's updates, which come as receipts do: https://core.telegram.org/bots/api#setwebhook"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from channels.receipts.base import Call, ForgedError, Heard, MalformedError, Receiver
from channels.receipts.reading import header, parsed, same

_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")  # https://core.telegram.org/bots/api#setwebhook


class TelegramReceiver(Receiver):
    """Telegram reports nothing of its messages; what comes is what people do in a chat."""

    provider = "telegram"
    channel = "telegram"
    secrets = {"webhook_secret": "telegram_webhook_secret", "bot_token": "telegram_bot_token"}  # noqa: RUF012

    def problem(self, secret: str) -> str | None:
        return None if _SECRET.fullmatch(secret) else "must be 1 to 256 of A-Z, a-z, 0-9, _ and -"

    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """The secret token that was given when the webhook was set."""
        if not same(header(call.headers, "x-telegram-bot-api-secret-token"), secrets["webhook_secret"]):
            raise ForgedError("The secret token is wrong.")

    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """The update as it came."""
        update = parsed(call.body)
        if not isinstance(update, dict) or not isinstance(update.get("update_id"), int):
            raise MalformedError("The body is not an update.")
        return Heard(1, update=update)
