"""Browser tabs: real SSE and WebSocket clients, in a thread of their own, that remember what they were shown."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.support.api import token
from tests.support.waiting import wait_until

SSE = "/v1/notifications/sse"
WS = "/v1/notifications/ws"


class Tab:
    """What both kinds have in common.

    Attributes:
        numbers, notifications: of the notifications it was shown, in their order.
        others: everything else, as (kind, data).
        code: the status of the answer, or why the WebSocket was closed; None while it is open.
    """

    def __init__(self) -> None:
        self.numbers: list[int | None] = []
        self.notifications: list[dict[str, Any]] = []
        self.others: list[tuple[str, Any]] = []
        self.beats = 0
        self.is_open = False
        self.ended = False
        self.code: int | None = None
        self.reason: str | None = None
        self.headers: Any = {}
        self.last_id: str | None = None
        self.future: Future[None] | None = None
        self.socket: Any = None

    def await_numbers(self, *expected: int) -> None:
        """Wait until it has been shown these and nothing else, in this order."""
        wait_until(lambda: len(self.numbers) >= len(expected), lambda: f"{expected}, not {self.numbers}", 10)
        assert self.numbers == list(expected)

    def await_end(self) -> Self:
        """Wait until it is over."""
        wait_until(lambda: self.ended, "the end of the stream", 10)
        return self

    def settled(self) -> Self:
        """Wait until it is open or over."""
        wait_until(lambda: self.is_open or self.ended, "a stream to open", 10)
        return self

    def of(self, kind: str) -> list[Any]:
        """The data of everything of a kind."""
        return [data for one, data in list(self.others) if one == kind]


class Browser:
    """Opens tabs.

    Attributes:
        clients: those of Socket.IO, whose connections end with it.
    """

    def __init__(self) -> None:
        self.clients: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._session = self.wait(self._open_session())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something on the tabs' event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def sse(self, url: str, user: str | None, *, query: str = "", opened: bool = True, **headers: str) -> Tab:
        """A tab that listens to Server-Sent Events; `opened`: wait until it does."""
        return self._open(self._listen(tab := Tab(), url + SSE + query, _headers(user, headers)), tab, opened)

    def ws(self, url: str, user: str | None, *, query: str = "", opened: bool = True, **options: Any) -> Tab:
        """A tab with a WebSocket; `opened`: wait for its acknowledgement."""
        options.setdefault("headers", _headers(user, {}))
        return self._open(self._connect(tab := Tab(), url + WS + query, options), tab, opened)

    def close(self, tab: Tab) -> None:
        """Close a tab, as when somebody closes a window."""
        assert tab.future
        tab.future.cancel()
        tab.await_end()

    def say(self, tab: Tab, text: str | bytes) -> None:
        """Send something over a WebSocket."""
        self.wait(tab.socket.send_bytes(text) if isinstance(text, bytes) else tab.socket.send_str(text))

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in (self._session, *(client.eio.http for client in self.clients)):
            if session is not None:
                await session.close()

    async def _open_session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        return aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0))

    def _open(self, work: Coroutine[Any, Any, None], tab: Tab, opened: bool) -> Tab:
        tab.future = asyncio.run_coroutine_threadsafe(work, self._loop)
        if opened:
            assert tab.settled().is_open, (tab.code, tab.reason)
        return tab

    async def _listen(self, tab: Tab, url: str, headers: dict[str, str]) -> None:
        try:
            async with self._session.get(url, headers={"Accept": "text/event-stream", **headers}) as answer:
                tab.code, tab.headers = answer.status, answer.headers
                if answer.status != 200:
                    tab.reason = await answer.text()
                    return
                block: list[str] = []
                async for line in answer.content:
                    if line.strip():
                        block.append(line.decode().rstrip("\n"))
                    else:
                        _dispatch(tab, block)
                        block = []
        except aiohttp.ClientError as error:
            tab.reason = type(error).__name__
        finally:
            tab.ended = True

    async def _connect(self, tab: Tab, url: str, options: dict[str, Any]) -> None:
        try:
            async with self._session.ws_connect(url, **options) as tab.socket:
                async for message in tab.socket:
                    _remember(tab, json.loads(message.data))
                tab.code = tab.socket.close_code
        except aiohttp.WSServerHandshakeError as error:
            tab.code = error.status
        except aiohttp.ClientError as error:
            tab.reason = type(error).__name__
        finally:
            tab.ended = True


def _headers(user: str | None, more: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return named if user is None else {"Authorization": f"Bearer {token(user)}", **named}


def _dispatch(tab: Tab, lines: list[str]) -> None:
    """As the standard has it: a block without data reaches nobody, but its number counts."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not name or line.startswith(":"):
            tab.beats += 1
        fields[name] = value
    if "id" in fields:
        tab.last_id = fields["id"]
    if "data" not in fields:
        tab.is_open = tab.is_open or "retry" in fields
    elif "event" in fields:
        tab.others.append((fields["event"], json.loads(fields["data"])))
    else:
        tab.notifications.append(json.loads(fields["data"]))
        tab.numbers.append(int(fields["id"]) if "id" in fields else None)


def _remember(tab: Tab, message: dict[str, Any]) -> None:
    if message["type"] == "notification":
        tab.notifications.append(message["data"])
        tab.numbers.append(message["sequence"])
        return
    tab.others.append((message["type"], message["data"]))
    tab.is_open = tab.is_open or message["type"] == "connection_ack"
