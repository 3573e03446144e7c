"""Email providers with an API: one POST a mail (A-3).

Each says in its own file what it wants and what its answers mean; the meanings become errors here.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import abstractmethod
from typing import Any, Final

import aiohttp

from channels.answers import Problem, error
from channels.base import Address, Bulkhead, Message, OutcomeUnknownError, Provider, Receipt, SendError
from channels.http import Answer, exchange, open_session, retry_after, timeout_of
from channels.letter import Letter, letter
from channels.mime import Mailbox

BULKHEAD: Final = Bulkhead(concurrent=5, waiting=20, shared=True)  # A-25, over all workers and providers
PARTS: Final = frozenset({"title", "text", "html", "attachments"})
DEADLINE: Final = 10.0  # seconds, of the providers with an API

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")  # a code, not a sentence


def content_of(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; an empty one for everything else."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def text_at(answer: Answer, name: str) -> str:
    """A field of an answer's JSON that should be a text; empty for everything else."""
    found = content_of(answer).get(name)
    return found if isinstance(found, str) else ""


class ApiProvider(Provider):
    """Email over an API. One object holds one account's connections."""

    channel = "email"

    def __init__(self, url: str, from_: Mailbox) -> None:
        self._url = url
        self._from = from_
        self._timeout = timeout_of(self.capabilities.deadline)
        self._session: aiohttp.ClientSession | None = None

    @abstractmethod
    def request(self, mail: Letter) -> bytes:
        """The body that sends it."""

    @abstractmethod
    def headers(self, mail: Letter, body: bytes) -> dict[str, str]:
        """The headers that prove who we are, and what else the API wants beside them."""

    @abstractmethod
    def accepted(self, answer: Answer) -> str | None:
        """The provider's id if it took the mail (empty if it tells none); None if it did not."""

    @abstractmethod
    def problem(self, answer: Answer) -> tuple[str, Problem]:
        """The provider's own code for what is wrong, and what it means.

        Its sentences are never passed on: they may name people.
        """

    def wait(self, answer: Answer) -> float | None:
        """Seconds that the provider asks us to wait."""
        return retry_after(answer.headers.get("Retry-After"))

    def carries(self, address: Address) -> bool:
        """No API takes a local part beyond ASCII; SMTP may."""
        return address.value.rpartition("@")[0].isascii()

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send one mail; see `Provider.send`."""
        if message.attachments or (message.html and not message.text):  # megabytes to encode, or HTML to read
            headers, body = await asyncio.to_thread(self._prepare, message, address)
        else:
            headers, body = self._prepare(message, address)
        if self._session is None:
            self._session = open_session(
                self._timeout, headers={"User-Agent": "Bellwire", "Accept": "application/json"}
            )
        answer = await exchange(self._session, self._url, body, headers, self._timeout)
        found = self.accepted(answer)
        if found is None:
            raise self._failure(answer)
        return Receipt(message_id=found or None, detail=f"HTTP {answer.status}")

    def _failure(self, answer: Answer) -> SendError:
        code, problem = self.problem(answer)
        if not code and answer.status < 300:
            return OutcomeUnknownError(f"HTTP {answer.status}: the answer is not what the API answers")
        source = f"HTTP {answer.status} {code}" if _WORD.fullmatch(code) else f"HTTP {answer.status}"
        return error(problem, source, self.wait(answer))

    def _prepare(self, message: Message, address: Address) -> tuple[dict[str, str], bytes]:
        mail = letter(message, address, self._from)
        body = self.request(mail)
        return {"Content-Type": "application/json", **self.headers(mail, body)}, body

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
