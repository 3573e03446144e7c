"""What python-socketio is asked for, and what it leaves open: memory for who does not read, and hanging up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from importlib import import_module
from math import ceil
from typing import Any, Final

MOST_BYTES: Final = 64 * 1024  # of what a client sends at once
GRACE: Final = 5  # seconds more for the answer to a ping: a phone may have to wake up
PACKETS: Final = ("0", "1", "2", "3", "4", "5", "6")  # kinds of packets of the engine
NO_PACKET: Final = "4?"
UNWANTED: Final = ("3", "5", "6")  # kinds of packets: an answer, a binary event, a binary answer
MOST_QUEUED: Final = 100  # packets for one client; ours wait until the one before was taken

# The library would write what clients send into the log, and a traceback for each frame that makes no sense.
_SILENT: Final = logging.getLogger("bellwire.socketio")
_SILENT.setLevel(logging.CRITICAL + 1)


def engine(heartbeat: float) -> Any:
    """A server of the library that pings every `heartbeat` seconds, as whole ones: the protocol's are."""
    socketio = import_module("socketio")

    class TextPacket(socketio.packet.Packet):  # type: ignore[misc, name-defined]
        """Without attachments: the library would keep those of a client until the last of a billion has come. And
        without answers, for nothing is asked."""

        def decode(self, encoded_packet: str) -> int:
            if super().decode(encoded_packet) or encoded_packet[:1] in UNWANTED:
                raise ValueError("neither binary packets nor answers are taken here")
            return 0

    server = socketio.AsyncServer(
        async_mode="asgi",
        cors_allowed_origins=[],  # the whole API's middleware says who may
        ping_interval=max(1, ceil(heartbeat)),
        ping_timeout=ceil(heartbeat) + GRACE,
        max_http_buffer_size=MOST_BYTES,
        http_compression=False,
        async_handlers=False,  # ours never wait
        serializer=TextPacket,
        logger=_SILENT,
        engineio_logger=_SILENT,
    )
    server.eio.create_queue = _Queue
    server.eio._async = {**server.eio._async, "websocket": _lenient(server.eio._async["websocket"])}
    server.eio.disconnect = partial(_end, server)
    _let_polls_end(server)
    return server


def on_nonsense(server: Any, answer: Callable[[str], None]) -> None:
    """Have `answer` called with the library's name for a client whenever that client sends what makes no sense. The
    library would pass it over without a word."""
    take = server.eio.handlers["message"]

    async def taken(session: str, packet: Any) -> None:
        if isinstance(packet, bytes):
            return  # attached to a packet that was answered already
        try:
            await take(session, packet)
        except Exception:  # whatever it stumbles over in there
            client = server.manager.sid_from_eio_sid(session, "/")
            if client is not None:
                answer(client)

    server.eio.on("message", taken)


def _lenient(wire: Any) -> Any:
    """A WebSocket on which a frame that is no packet at all becomes one that makes no sense, and is answered so. The
    library would end the connection with a traceback in the log."""

    class Wire(wire):  # type: ignore[misc]
        async def wait(self) -> str | bytes:
            frame: str | bytes = await super().wait()
            return frame if isinstance(frame, bytes) or frame[:1] in PACKETS else NO_PACKET

    return Wire


def refusal(message: str, data: dict[str, Any]) -> Exception:
    """What a handler raises so that a client gets `connect_error`, with `message` and `data`."""
    made: Exception = import_module("socketio").exceptions.ConnectionRefusedError(message, data)
    return made


async def hang_up(server: Any, socket: Any) -> None:
    """Close a client's session without a farewell, so that it comes back by itself."""
    await socket.close(wait=False, abort=True)
    server.eio.sockets.pop(socket.sid, None)
    await socket.queue.put(None)  # whoever waits for something to write ends


async def _end(server: Any, sid: str) -> None:
    """What the library does with a client that breaks its rules. Its own way waits until that client has read all."""
    socket = server.eio.sockets.get(sid)
    if socket is not None:
        await hang_up(server, socket)


def _let_polls_end(server: Any) -> None:
    """Answer the poll of a client that closes its session. The library lets it wait until a ping is overdue, and some
    clients wait for it."""
    ended = server.eio.handlers["disconnect"]

    async def end(sid: str, reason: str) -> None:
        await ended(sid, reason)
        socket = server.eio.sockets.get(sid)
        if socket is not None and reason == server.eio.reason.CLIENT_DISCONNECT:
            await socket.queue.put(None)

    server.eio.on("disconnect", end)


class Session:
    """One client's way through the library.

    Attributes:
        id: the engine's name for it, which is secret: who knows it can poll.
    """

    def __init__(self, server: Any, sid: str) -> None:
        self.id: str = server.manager.eio_sid_from_sid(sid, "/")
        self._server = server
        self._socket = server.eio.sockets[self.id]

    def check(self) -> None:
        """Raises OSError: the session is over."""
        if self._socket.closed:
            raise ConnectionResetError

    async def write(self, packet: str) -> None:
        """Write a packet of Socket.IO, and wait until it was taken: by a poll, or by the WebSocket, which waits while
        the client does not read.

        Raises:
            OSError: the session is over.
            TimeoutError: so much waits for the client that it cannot be reading.
        """
        self.check()
        if self._socket.queue.full():
            raise TimeoutError
        await self._server.eio.send(self.id, packet)
        await self.taken()

    async def taken(self) -> None:
        """Wait until everything was taken."""
        await self._socket.queue.join()

    async def hang_up(self) -> None:
        """End it."""
        await hang_up(self._server, self._socket)


class _Queue(asyncio.Queue[Any]):
    """What waits for one client. The library answers whatever a client asks, also one that reads none of the answers:
    those that are too many are dropped. Nothing of ours is: there is room before it is put here."""

    def full(self) -> bool:
        """Whether there is no room for anything but the end."""
        return self.qsize() >= MOST_QUEUED

    async def put(self, item: Any) -> None:
        """Put it unless there is no room."""
        if item is None or self.qsize() < MOST_QUEUED:
            self.put_nowait(item)
