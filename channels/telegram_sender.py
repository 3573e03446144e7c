"""Sends through python-telegram-bot. Imported with the first message: the library takes 8 to 17 MiB.

Its requests travel over our own HTTP: a tenth of the CPU of its default, and the same three errors as everywhere.
"""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple

import aiohttp
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.constants import ParseMode
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, NetworkError, RetryAfter, TelegramError
from telegram.request import BaseRequest, RequestData

from channels.base import AccountError, NotSentError, OutcomeUnknownError, SendError
from channels.http import CONNECT_TIMEOUT, exchange, open_session
from channels.markdown import cut_markdown, plain
from channels.telegram_answers import TOKEN_REFUSED, check, refusal

_NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)
_READ_TIMEOUT: Final = 10.0  # seconds; what the library believes, the sender's deadline is what counts


class Sent(NamedTuple):
    """A message as it now stands. `moved_to`: the supergroup that its group has become."""

    message_id: str
    moved_to: str | None = None


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
        return _READ_TIMEOUT

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
            check(answer.status, answer.body)
        except SendError as error:
            raise _EndedError(error) from None
        return answer.status, answer.body


class Sender:
    """One bot and its connections."""

    def __init__(self, token: str, url: str) -> None:
        # The library logs addresses, which contain the token, and answers, which contain the message.
        logging.getLogger("telegram").setLevel(logging.CRITICAL)
        self._request = _Request()
        self._bot = Bot(token, f"{url.rstrip('/')}/bot", request=self._request, get_updates_request=self._request)

    async def send(self, text: str, chat: str, button: tuple[str, str] | None) -> Sent:
        """Send MarkdownV2, or what it says as plain text when Telegram cannot parse it. Keeps no deadline.

        Args:
            button: what is written on it, and what it answers when it is pressed.

        Raises:
            NotSentError, AccountError, RefusedError, OutcomeUnknownError: see `Provider.send`.
        """
        try:
            return await self._follow(text, chat, _keyboard(button))
        except _EndedError as ended:
            raise ended.error from None
        except TelegramError as error:
            raise _failure(error) from None
        except (KeyError, TypeError, AttributeError, ValueError):
            raise OutcomeUnknownError("the answer is not what the Bot API answers") from None

    async def _follow(self, text: str, chat: str, keyboard: InlineKeyboardMarkup | None) -> Sent:
        """One message, following a group that became a supergroup, once."""
        try:
            return Sent(await self._post(text, chat, keyboard))
        except ChatMigrated as moved:
            chat = str(moved.new_chat_id)
            return Sent(await self._post(text, chat, keyboard), chat)

    async def _post(self, text: str, chat: str, keyboard: InlineKeyboardMarkup | None) -> str:
        options: dict[str, Any] = {"link_preview_options": _NO_PREVIEW, "reply_markup": keyboard}
        try:
            sent = await self._bot.send_message(chat, cut_markdown(text), parse_mode=ParseMode.MARKDOWN_V2, **options)
        except BadRequest as error:
            if "can't parse entities" not in error.message.lower():
                raise
            sent = await self._bot.send_message(chat, plain(text), **options)
        return f"{sent.chat.id}:{sent.message_id}"

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        await self._request.shutdown()


def _keyboard(button: tuple[str, str] | None) -> InlineKeyboardMarkup | None:
    if button is None:
        return None
    words, answers = button
    return InlineKeyboardMarkup([[InlineKeyboardButton(words, callback_data=answers)]])


def _failure(error: TelegramError) -> SendError:
    """Which of our errors it is. `BadRequest` is a `NetworkError`, so the order matters."""
    match error:
        case InvalidToken():
            return AccountError(TOKEN_REFUSED)
        case RetryAfter():
            return NotSentError("HTTP 429", provider_failed=False, throttled=True)
        case Forbidden() | BadRequest() | ChatMigrated():
            return refusal(error.message)
        case NetworkError():
            return NotSentError("an unexpected answer, refused before the Bot API")
        case _:
            return OutcomeUnknownError("the answer is not what the Bot API answers")
