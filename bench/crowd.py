"""A crowd of live clients on raw sockets, as cheap as they can be, so that the server is what is measured.

They come back after a cut as browsers do, with the last number that they have. One event loop carries thousands.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

REQUEST: Final = (
    "GET {path} HTTP/1.1\r\nHost: bellwire\r\nAuthorization: Bearer {token}\r\n{more}"
    "User-Agent: crowd\r\nAccept: text/event-stream\r\n\r\n"
)
UPGRADE: Final = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
OPENED: Final = {"sse": b"HTTP/1.1 200 ", "websocket": b"HTTP/1.1 101 "}
# RFC 6455, section 5.2: final frames of a client, masked with zeros, which changes nothing.
PING: Final = b'\x81\x8f\0\0\0\0{"type":"ping"}'
PONG: Final = b"\x8a"
MASK: Final = bytes(4)
SENT_AT: Final = re.compile(rb"ns(\d{9,})")
OPENING: Final = 64  # connections that are being opened at a time
PAUSES: Final = (0.05, 1.0)  # seconds until a client that was cut off comes back


@dataclass
class Crowd:
    """The clients, and what all of them have in common.

    Attributes:
        addresses: hosts and ports of the servers; who is cut off goes on at the next one.
        patience: seconds without a word after which a client takes its server for dead; 0: for ever.
        latencies: nanoseconds from the time that a notification tells (`ns...`) until it was here.
        broadcasts: how many were shown to anybody.
    """

    addresses: Sequence[tuple[str, int]]
    patience: float = 0.0
    clients: list[Client] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)
    broadcasts: int = 0
    returns: bool = True

    async def open(self, people: Iterable[tuple[str, str, str]], at: int = 0) -> None:
        """Open a client for each framing (`sse`, `websocket`), user and token at one server; waits until all are."""
        limit = asyncio.Semaphore(OPENING)
        made = [Client(self, *one, at=at) for one in people]
        self.clients += made
        await asyncio.gather(*(one.open(limit) for one in made))

    async def watch(self) -> None:
        """Have clients notice servers that say nothing any more, for ever."""
        while True:
            await asyncio.sleep(self.patience / 4)
            before = time.monotonic() - self.patience
            for client in self.clients:
                client.check(before)

    async def close(self) -> None:
        """Close all of them."""
        self.returns = False
        for client in self.clients:
            client.leave()
        await asyncio.sleep(0.1)  # the event loop closes the sockets in its next round

    @property
    def opened(self) -> int:
        """How many are open now."""
        return sum(client.opened.is_set() for client in self.clients)

    @property
    def cuts(self) -> int:
        """How often a client was cut off."""
        return sum(client.cuts for client in self.clients)


class Client(asyncio.Protocol):
    """One tab, over however many connections.

    Attributes:
        numbers: of the notifications that it was shown, in their order.
        opened: set while it has a stream.
    """

    def __init__(self, crowd: Crowd, framing: str, user: str, token: str, at: int = 0) -> None:
        self.crowd = crowd
        self.framing = framing
        self.user = user
        self.numbers: list[int] = []
        self.opened = asyncio.Event()
        self.cuts = 0
        self._token = token
        self._at = at
        self._last: int | None = None
        self._heard = time.monotonic()
        self._transport: asyncio.Transport | None = None
        self._coming_back: asyncio.Task[None] | None = None

    async def open(self, limit: asyncio.Semaphore) -> None:
        """Connect, and wait until the stream has begun."""
        async with limit:
            await self._connect()
            await self.opened.wait()

    def check(self, before: float) -> None:
        """Give a connection up that said nothing since `before`; a WebSocket says something when it is asked."""
        if self._transport is None:
            return
        if self._heard < before:
            self._transport.abort()
        elif self.framing == "websocket" and self.opened.is_set():
            self._transport.write(PING)

    def leave(self) -> None:
        """Close it."""
        if self._coming_back is not None:
            self._coming_back.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream, after what it has already."""
        self._transport = made = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._heard = time.monotonic()
        self._buffer = b""
        self._answered = False
        self._number: int | None = None
        self._kind = "notification"
        self._data = b""
        path = f"/v1/notifications/{'sse' if self.framing == 'sse' else 'ws'}"
        more = UPGRADE if self.framing == "websocket" else ""
        if self._last is not None and self.framing == "sse":
            more += f"Last-Event-ID: {self._last}\r\n"
        elif self._last is not None:
            path += f"?since={self._last}"
        made.write(REQUEST.format(path=path, token=self._token, more=more).encode())

    def data_received(self, data: bytes) -> None:
        """Take in what is whole."""
        self._heard = time.monotonic()
        self._buffer += data
        if not self._answered:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(OPENED[self.framing]):
                self._abort()
                return
            self._answered, self._buffer = True, rest
        if self.framing == "sse":
            self._take_lines()
        else:
            self._take_frames()

    def connection_lost(self, error: Exception | None) -> None:
        """Come back."""
        self._transport = None
        self.opened.clear()
        if self.crowd.returns:
            self.cuts += 1
            self._coming_back = asyncio.get_running_loop().create_task(self._come_back())

    # Server-Sent Events. Every event is a chunk of its own, so that the lines with the chunks' sizes are lines as well,
    # of a kind that nobody knows.

    def _take_lines(self) -> None:
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            if line.startswith(b"id: "):
                self._number = int(line[4:])
            elif line.startswith(b"event: "):
                self._kind = line[7:].decode()
            elif line.startswith(b"data: "):
                self._data = line
            elif not line:
                self._end_event()

    def _end_event(self) -> None:
        """An event counts as soon as it is whole, and not before."""
        if self._data:
            self._show(self._kind, self._number, self._data)
        if self._number is not None:
            self._begun(self._number)
        self._number, self._kind, self._data = None, "notification", b""

    # WebSocket

    def _take_frames(self) -> None:
        while (frame := _frame(self._buffer)) is not None:
            code, content, self._buffer = frame
            if code == 1:
                self._take_message(content)
            elif code == 9:
                assert self._transport
                # With what the ping says, or the server takes it for no answer and closes after 40 seconds.
                self._transport.write(PONG + bytes([0x80 | len(content)]) + MASK + content)
            elif code == 8:
                self._abort()

    def _take_message(self, content: bytes) -> None:
        message: dict[str, Any] = json.loads(content)
        if message["type"] == "connection_ack":
            self._begun(int(message["sequence"]))
        self._show(message["type"], message.get("sequence"), content)
        if message["type"] == "notification" and message["sequence"] is not None:
            self._begun(message["sequence"])

    def _show(self, kind: str, number: int | None, content: bytes) -> None:
        if kind == "notification" and number is not None:
            self.numbers.append(number)
            if sent_at := SENT_AT.search(content):
                self.crowd.latencies.append(time.monotonic_ns() - int(sent_at[1]))
        elif kind == "broadcast":
            self.crowd.broadcasts += 1

    def _begun(self, number: int) -> None:
        self._last = number
        self.opened.set()

    async def _connect(self) -> None:
        host, port = self.crowd.addresses[self._at]
        await asyncio.get_running_loop().create_connection(lambda: self, host, port)

    async def _come_back(self) -> None:
        while self.crowd.returns:
            await asyncio.sleep(random.uniform(*PAUSES))
            self._at = (self._at + 1) % len(self.crowd.addresses)
            try:
                await self._connect()
            except OSError:
                continue
            return

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _frame(buffer: bytes) -> tuple[int, bytes, bytes] | None:
    """The kind and the content of a server's first frame, and what is behind it; None while it is not whole."""
    if len(buffer) < 2:
        return None
    size, start = buffer[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(buffer) < start:
            return None
        size = int.from_bytes(buffer[2:start], "big")
    if len(buffer) < start + size:
        return None
    return buffer[0] & 0x0F, buffer[start : start + size], buffer[start + size :]
