"""An HTTP/1.1 receiver for webhooks, plain enough to misbehave at any byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from typing import Final

from workers.receivers.script import Fault, Ledger, Received, Reply, reset

BYTE_EVERY: Final = 1.0  # seconds, when it trickles


class HttpReceiver(Ledger):
    """Takes POST requests; the key is the header ``webhook-id``, the target the path."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen on 127.0.0.1, on `port` or on a free one."""
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self) -> None:
        """Close every connection at once, from any thread; new ones are welcome."""
        for task in list(self._tasks):
            self._loop.call_soon_threadsafe(task.cancel)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        number = self.connected()
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._one(reader, writer, number):
                    pass
        finally:
            self.disconnected()
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """One request; whether the connection lives on."""
        head = await reader.readuntil(b"\r\n\r\n")
        path, headers = parse_head(head)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        key, target = self.identify(path, headers, body)
        reply = self.reply_to(path, headers, body, target, key)
        if reply.fault is not Fault.RESET_EARLY:
            accepted = reply.fault is None and 200 <= reply.status < 300
            self.record(Received(key, target, body, accepted, number, headers))
        await asyncio.sleep(reply.wait)
        if reply.fault is None:
            writer.write(response(reply.status, self.answer(reply, target, body), reply.headers))
            await writer.drain()
            return True
        await misbehave(reply.fault, writer)
        return False

    def identify(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """The key and the target of a request."""
        return headers.get("webhook-id", ""), path

    def reply_to(self, path: str, headers: Mapping[str, str], body: bytes, target: str, key: str) -> Reply:
        """How to answer a request."""
        return self.reply(target, key)

    def answer(self, reply: Reply, target: str, body: bytes) -> bytes:
        """The body of the answer."""
        return reply.body


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """The path and the headers, names in lower case; ``:method`` among them, as HTTP/2 has it."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    method, path, *_ = first.split(" ")
    return path, {":method": method, **{name.lower(): value.strip() for name, _, value in pairs}}


def response(status: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A whole answer on a connection that stays open."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Scripted\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode("latin-1") + body


async def misbehave(fault: Fault, writer: asyncio.StreamWriter) -> None:
    """Do it, for as long as the other side stands it."""
    match fault:
        case Fault.RESET_EARLY | Fault.RESET:
            reset(writer.transport)
        case Fault.HANG_UP:
            writer.close()
        case Fault.HANG:
            await asyncio.Event().wait()
        case Fault.TRICKLE:
            await trickle(writer, response(200, b"late", {}))
        case Fault.TRICKLE_BODY:
            writer.write(b"HTTP/1.1 200 Scripted\r\nContent-Length: 1000\r\n\r\n")
            await trickle(writer, b"." * 1000)
        case Fault.ENDLESS_BODY:
            writer.write(b"HTTP/1.1 200 Scripted\r\n\r\n")
            while True:
                writer.write(b"." * 65536)
                await writer.drain()
        case Fault.NONSENSE:
            writer.write(b"\x00\x01 220 this is not what you think\r\n\r\n")
            await writer.drain()


async def trickle(writer: asyncio.StreamWriter, content: bytes) -> None:
    """One byte at a time."""
    for position in range(len(content)):
        writer.write(content[position : position + 1])
        await writer.drain()
        await asyncio.sleep(BYTE_EVERY)
