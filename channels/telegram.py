"""Telegram (B-3): users, groups and channels through the Bot API, with python-telegram-bot.

The library itself is in `channels.telegram_sender`, which is imported with the first message.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, ClassVar, Final, Self

from channels.base import (
    Address,
    Bulkhead,
    Capabilities,
    Limit,
    Message,
    OutcomeUnknownError,
    Provider,
    Receipt,
    RefusedError,
)
from config.settings import Settings, SettingsError

if TYPE_CHECKING:
    from channels.telegram_sender import Sender

DEADLINE: Final = 10.0  # seconds
CONCURRENT: Final = 16  # the Bot API takes about 30 messages a second from one bot
MOST_BUTTON_BYTES: Final = 64  # callback_data of InlineKeyboardButton

_CHAT: Final = re.compile(r"-?\d{1,20}|@[A-Za-z]\w{3,63}", re.ASCII)
_TOKEN: Final = re.compile(r"\d{1,20}:[\w-]{1,128}", re.ASCII)

# https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this. The third, 20 a minute to a group, is
# below what one address gets anyway (`recipient_caps`), and an id does not tell a group from a channel.
LIMITS: Final = (Limit(30, 1), Limit(1, 1, scope="address"))


class TelegramProvider(Provider):
    """One bot. `Address.value` is a chat id (``123``, ``-100123``) or the name of a public channel (``@name``)."""

    channel = "telegram"
    name = "telegram"
    credentials: ClassVar = {"bot_token": "telegram_bot_token", "webhook_secret": "telegram_webhook_secret"}
    capabilities = Capabilities(
        parts=frozenset({"text"}),
        bulkhead=Bulkhead(concurrent=CONCURRENT, waiting=64),
        deadline=DEADLINE,
        limits=LIMITS,
    )

    def __init__(self, token: str, url: str) -> None:
        self._token, self._url = token, url
        self._sender: Sender | None = None
        self._making = asyncio.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the bot's token, which becomes part of an address."""
        token = settings.telegram_bot_token.get_secret_value() if settings.telegram_bot_token else ""
        if token and not _TOKEN.fullmatch(token):
            raise SettingsError("BELLWIRE_TELEGRAM_BOT_TOKEN: must look like 123456789:AAE..., as @BotFather gives it")
        return cls(token, settings.telegram_url) if token else None

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send `Message.text`, MarkdownV2; see `Provider.send`. What Telegram cannot parse goes out as plain text."""
        if not _CHAT.fullmatch(address.value):
            raise RefusedError("not a chat id")
        sender = await self._open()
        text = message.text.encode("utf-8", "replace").decode()
        try:
            async with asyncio.timeout(self.capabilities.deadline):
                sent = await sender.send(text, address.value, _button(message))
        except TimeoutError:
            raise OutcomeUnknownError(f"no answer within {self.capabilities.deadline:g} s") from None
        detail = "HTTP 200, chat migrated" if sent.moved_to else "HTTP 200"
        return Receipt(message_id=sent.message_id, detail=detail, moved_to=sent.moved_to)

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        if self._sender is not None:
            await self._sender.close()

    async def _open(self) -> Sender:
        """The library, imported beside the loop: it takes a third of a second, in which others go on sending."""
        async with self._making:
            if self._sender is None:
                self._sender = await asyncio.to_thread(_make, self._token, self._url)
            return self._sender


def _make(token: str, url: str) -> Sender:
    from channels.telegram_sender import Sender

    return Sender(token, url)


def _button(message: Message) -> tuple[str, str] | None:
    """What cannot be a button is left out: the message matters more."""
    answers = message.acknowledge
    if not answers or len(answers.encode("utf-8", "replace")) > MOST_BUTTON_BYTES:
        return None
    return message.button, answers
