"""A fast local webhook receiver: answers 204, counts requests and distinct ids, measures latency when asked.

Run as ``python -m bench.receiver``; it prints the port it took. Paths below ``/_`` steer it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_PUBLISHED = re.compile(rb'"published_ns": ?(\d+)')
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Counts:
    """What has arrived since the last reset."""

    requests: int = 0
    distinct: set[bytes] = field(default_factory=set)
    latencies_ns: list[int] = field(default_factory=list)
    delay: float = 0.0
    measure: bool = False
    waiting: list[tuple[int, asyncio.Event]] = field(default_factory=list)

    def take(self, head: bytes, body: bytes) -> None:
        """Count one request."""
        self.requests += 1
        if found := _ID.search(head):
            self.distinct.add(found[1])
        if self.measure and (published := _PUBLISHED.search(body)):
            self.latencies_ns.append(time.monotonic_ns() - int(published[1]))
        for count, event in self.waiting:
            if len(self.distinct) >= count:
                event.set()

    def reset(self, delay: float, measure: bool) -> None:
        """Forget everything; answer after `delay` seconds from now on."""
        self.requests, self.distinct, self.latencies_ns = 0, set(), []
        self.delay, self.measure = delay, measure

    def answer(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {"requests": self.requests, "distinct": len(self.distinct), "latencies_ns": self.latencies_ns}


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection; requests are answered in the order they came."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take every whole request from what has come."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[: end + 2]
            length = _LENGTH.search(head)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < total:
                return
            body, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
            self._request(head, body)

    def _request(self, head: bytes, body: bytes) -> None:
        if head[:7] != b"POST /_":
            self._counts.take(head, body)
            if self._counts.delay:
                asyncio.get_running_loop().call_later(self._counts.delay, self._write, _NO_CONTENT)
            else:
                self._write(_NO_CONTENT)
        else:
            asyncio.get_running_loop().create_task(self._steer(head.split(b" ", 2)[1].decode()))

    async def _steer(self, target: str) -> None:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/_reset":
            self._counts.reset(float(query["delay"]), query["measure"] == "1")
        elif url.path == "/_wait":
            await self._wait(int(query["count"]), float(query["seconds"]))
        answer = json.dumps(self._counts.answer()).encode()
        self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    async def _wait(self, count: int, seconds: float) -> None:
        entry = (count, asyncio.Event())
        if len(self._counts.distinct) >= count:
            return
        self._counts.waiting.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await entry[1].wait()
        except TimeoutError:
            pass
        finally:
            self._counts.waiting.remove(entry)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


async def serve() -> None:
    """Listen on a free port of 127.0.0.1, print it, serve until the end."""
    counts = Counts()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counts), "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("the receiver takes no arguments")
    uvloop.run(serve())
