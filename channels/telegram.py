"""Telegram (B-3): users, groups and channels through the Bot API, with python-telegram-bot.

Its requests travel over our own HTTP: a tenth of the CPU of its default, and the same three errors as everywhere.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any, Final, Self

import aiohttp
from telegram import Bot, LinkPreviewOptions
from telegram.constants import ParseMode
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.request import BaseRequest, RequestData

from channels.base import (
    Address,
    Bulkhead,
    Capabilities,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Provider,
    Receipt,
    RefusedError,
    SendError,
)
from channels.http import CONNECT_TIMEOUT, exchange, open_session
from channels.markdown import cut_markdown, plain
from config.settings import Settings

DEADLINE: Final = 10.0  # seconds
CONCURRENT: Final = 16  # the Bot API takes about 30 messages a second from one bot

_CHAT: Final = re.compile(r"-?\d{1,20}|@[A-Za-z]\w{3,63}", re.ASCII)
_NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)
# What may be shown of an error; the rest of Telegram's texts may repeat the message.
_KNOWN_PROBLEMS: Final = re.compile(
    r"chat not found|user not found|bot was blocked by the user|bot was kicked|user is deactivated|not enough rights"
    r"|have no rights|need administrator rights|message is too long|message text is empty|can't parse entities"
    r"|bot can't initiate conversation|bot is not a member|chat_write_forbidden|topic_closed|peer_id_invalid",
    re.IGNORECASE,
)


class _EndedError(TelegramError):
    """Carries one of our errors through the library, which passes on its own kind only."""

    def __init__(self, error: SendError) -> None:
        super().__init__(error.detail)
        self.error = error


class _Request(BaseRequest):
    """The library's way to the network, over `channels.http`."""

    def __init__(self) -> None:
        self._timeout = aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT)  # the total is the sender's
        self._session: aiohttp.ClientSession | None = None

    @property
    def read_timeout(self) -> float | None:
        return DEADLINE

    async def initialize(self) -> None:
        """Nothing to do: the session opens with the first request, on the loop that sends."""

    async def shutdown(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *_: Any, **__: Any
    ) -> tuple[int, bytes]:
        if self._session is None:
            self._session = open_session(self._timeout, headers={"Content-Type": "application/x-www-form-urlencoded"})
        form = request_data.url_encoded_parameters().encode() if request_data else b""
        try:
            answer = await exchange(self._session, url, form, {"User-Agent": self.USER_AGENT}, self._timeout)
            _check(answer.status, answer.body)
        except SendError as error:
            raise _EndedError(error) from None
        return answer.status, answer.body


class TelegramProvider(Provider):
    """One bot. `Address.value` is a chat id (``123``, ``-100123``) or the name of a public channel (``@name``)."""

    channel = "telegram"
    name = "telegram"
    capabilities = Capabilities(
        parts=frozenset({"text"}), bulkhead=Bulkhead(concurrent=CONCURRENT, waiting=64), deadline=DEADLINE
    )

    def __init__(self, token: str, url: str) -> None:
        # The library logs addresses, which contain the token, and answers, which contain the message.
        logging.getLogger("telegram").setLevel(logging.CRITICAL)
        self._request = _Request()
        self._bot = Bot(token, f"{url.rstrip('/')}/bot", request=self._request, get_updates_request=self._request)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the bot's token."""
        token = settings.telegram_bot_token
        return cls(token.get_secret_value(), settings.telegram_url) if token and token.get_secret_value() else None

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send `Message.text`, MarkdownV2; see `Provider.send`. What Telegram cannot parse goes out as plain text."""
        if not _CHAT.fullmatch(address.value):
            raise RefusedError("not a chat id")
        text = message.text.encode("utf-8", "replace").decode()
        try:
            async with asyncio.timeout(self.capabilities.deadline):
                return await self._deliver(text, address.value)
        except TimeoutError:
            raise OutcomeUnknownError(f"no answer within {self.capabilities.deadline:g} s") from None
        except _EndedError as ended:
            raise ended.error from None
        except TelegramError as error:
            raise _failure(error) from None
        except (KeyError, TypeError, AttributeError, ValueError):
            raise OutcomeUnknownError("the answer is not what the Bot API answers") from None

    async def _deliver(self, text: str, chat: str) -> Receipt:
        """One message, following a group that became a supergroup, once."""
        try:
            return Receipt(message_id=await self._post(text, chat), detail="HTTP 200")
        except ChatMigrated as moved:
            chat = str(moved.new_chat_id)
            return Receipt(message_id=await self._post(text, chat), detail="HTTP 200, chat migrated", moved_to=chat)

    async def _post(self, text: str, chat: str) -> str:
        try:
            sent = await self._bot.send_message(
                chat, cut_markdown(text), parse_mode=ParseMode.MARKDOWN_V2, link_preview_options=_NO_PREVIEW
            )
        except BadRequest as error:
            if "can't parse entities" not in error.message.lower():
                raise
            sent = await self._bot.send_message(chat, plain(text), link_preview_options=_NO_PREVIEW)
        return f"{sent.chat.id}:{sent.message_id}"

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        await self._request.shutdown()


def _check(status: int, body: bytes) -> None:
    """End here what the library would tell less precisely.

    A gateway's 502 and 504 mean that it lost Telegram's answer, not that the message was not sent.
    """
    if status == 429:
        raise NotSentError("HTTP 429", retry_after=_wait(body), provider_failed=False)
    if status in {502, 504}:
        raise OutcomeUnknownError(f"HTTP {status}: a gateway lost the answer")
    if status >= 500 or status in {408, 409, 425}:
        raise NotSentError(f"HTTP {status}")


def _wait(body: bytes) -> float | None:
    """Seconds that Telegram asks for: ``{"parameters": {"retry_after": 7}}``."""
    try:
        seconds = float(json.loads(body)["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError):
        return None
    return seconds if 0 < seconds < 1e9 else None


def _failure(error: TelegramError) -> SendError:
    """Which of our errors it is. `BadRequest` is a `NetworkError`, so the order matters."""
    match error:
        case InvalidToken():
            return NotSentError("the bot's token is not accepted")
        case RetryAfter():
            return NotSentError("HTTP 429", provider_failed=False)
        case Forbidden() | BadRequest() | ChatMigrated():
            known = _KNOWN_PROBLEMS.search(error.message)
            return RefusedError(known[0].lower() if known else "refused by the Bot API")
        case NetworkError():
            return NotSentError("an unexpected answer, refused before the Bot API")
        case _:
            return OutcomeUnknownError("the answer is not what the Bot API answers")
