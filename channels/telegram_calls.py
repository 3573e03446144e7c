"""The Bot API's other calls: answer a press, change a message, ask for updates, set the webhook.

Plain HTTP without the library: they are a handful, and the API's processes need none of the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp

from channels.base import AccountError, OutcomeUnknownError
from channels.http import ending, open_session, timeout_of
from channels.telegram_answers import TOKEN_REFUSED, check, refusal
from config.settings import Settings

DEADLINE: Final = 5.0  # seconds; whoever pressed sees a spinner meanwhile
MOST_BYTES: Final = 16 * 1024 * 1024  # of an answer; a hundred updates with long messages are below it

UPDATES: Final = ("message", "channel_post", "callback_query")
"""The kinds of update that we ask for; https://core.telegram.org/bots/api#update."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``answerCallbackQuery`` and its fields, as the Bot API names them."""

    method: str
    fields: Mapping[str, Any]


class BotApi:
    """One bot on one event loop; its connections are kept until `close`."""

    def __init__(self, token: str, url: str) -> None:
        self._base = f"{url.rstrip('/')}/bot{token}"
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The bot that is configured, None when there is none."""
        token = settings.telegram_bot_token
        return cls(token.get_secret_value(), settings.telegram_url) if token and token.get_secret_value() else None

    async def call(self, call: Call, seconds: float = DEADLINE) -> Any:
        """Make a call and return its `result`.

        Raises:
            NotSentError, AccountError, RefusedError, OutcomeUnknownError: see `Provider.send`; the texts hold neither
                the token nor a message.
        """
        status, body = await self._post(call, seconds)
        check(status, body)
        if status in {401, 404}:
            raise AccountError(TOKEN_REFUSED)
        try:
            answer = json.loads(body)
            if answer["ok"] is True:
                return answer["result"]
            raise refusal(str(answer["description"]))
        except (ValueError, KeyError, TypeError):
            raise OutcomeUnknownError(f"HTTP {status}: the answer is not what the Bot API answers") from None

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, call: Call, seconds: float) -> tuple[int, bytes]:
        timeout = timeout_of(seconds)
        if self._session is None:
            self._session = open_session(timeout, headers={"Content-Type": "application/json"})
        body = json.dumps(dict(call.fields)).encode()  # in ASCII: half a surrogate pair has no UTF-8
        try:
            async with self._session.post(
                f"{self._base}/{call.method}", data=body, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status, await _whole(response)
        except (aiohttp.ClientError, OSError) as error:
            raise ending(error, seconds) from None


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body. Raises OutcomeUnknownError when it has no end."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise OutcomeUnknownError("the answer has no end")
    return bytes(body)
