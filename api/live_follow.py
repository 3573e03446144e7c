"""Shows a connection its notifications: each once, in the order of their numbers, whatever was lost on the way.

What arrives live is only a hint. A number that does not follow the last one means that something is missing; then the
database is asked, which has everything.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import TimeoutError as NoConnectionError
from starlette.types import Receive
from starlette.websockets import WebSocketDisconnect

from api.hub import CLOSED, SEND_FAILED, SLOW, TROUBLE, Connection, End
from api.live_frames import Shown
from api.live_reading import PAGE, Reading
from models.engine import DATABASE_AWAY

log = structlog.get_logger(__name__)

AGAIN: Final = 2.0  # seconds until a database that was away is asked again


async def begin(connection: Connection, reading: Reading, after: int | None) -> int:
    """Put a connection that the hub knows already to where it starts: after a number, or now. What arrives meanwhile
    waits. The answer is how many notifications are unread."""
    latest, unread = await reading.start(connection.listener)
    # A number beyond the latest is from before a restored backup: waiting for the next one would take for ever.
    connection.last = latest if after is None else min(after, latest)
    connection.behind = connection.last < latest
    return unread


def cut(receive: Receive) -> None:
    """Drop a connection whose client does not read. ASGI knows only an orderly end, which would wait for that client
    with whatever is buffered for it; the server's transport is behind its `receive`."""
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()


class Writer(Protocol):
    """A framing's way to the client. Both wait while the client does not read."""

    async def show(self, shown: Shown) -> None:
        """Write one thing."""

    async def beat(self) -> None:
        """Show that the connection lives."""


async def follow(connection: Connection, writer: Writer, reading: Reading, heartbeat: float) -> End:
    """Write until the connection ends; the answer is why. A client that takes nothing for `heartbeat` seconds is too
    slow."""
    follower = _Follower(connection, writer, reading, heartbeat)
    try:
        await follower.run()
    except TimeoutError:
        connection.end(SLOW)
    except (OSError, WebSocketDisconnect):
        connection.end(CLOSED)
    except RuntimeError as error:  # the framework's word for a socket that was closed under our feet
        log.info("live_send_failed", framing=connection.framing, problem=str(error)[:100])
        connection.end(SEND_FAILED)
    except Exception:  # a bug: one connection's, which is to be no other's
        log.exception("live_failed", framing=connection.framing)
        connection.end(TROUBLE)
    assert connection.ended is not None
    return connection.ended


class _Follower:
    def __init__(self, connection: Connection, writer: Writer, reading: Reading, heartbeat: float) -> None:
        self._connection = connection
        self._writer = writer
        self._reading = reading
        self._heartbeat = heartbeat

    async def run(self) -> None:
        connection = self._connection
        while connection.ended is None:
            if connection.behind:
                await self._catch_up()
            waiting = await connection.take(self._heartbeat)
            for shown in waiting:
                await self._pass_on(shown)
            if not (waiting or connection.behind or connection.ended):
                async with asyncio.timeout(self._heartbeat):
                    await self._writer.beat()

    async def _pass_on(self, shown: Shown) -> None:
        connection = self._connection
        if shown.sequence is None or shown.sequence == connection.last + 1:
            await self._write(shown)
        elif shown.sequence > connection.last:
            await self._catch_up(shown.sequence)

    async def _catch_up(self, known: int = 0) -> None:
        """Show what the database has after `last`. `known`: a number that is committed, even if it is gone by now."""
        connection = self._connection
        connection.behind = False
        while connection.ended is None:
            try:
                page = await self._reading.since(connection.listener, connection.last)
            except (*DATABASE_AWAY, NoConnectionError) as error:
                log.warning("live_not_read", problem=type(error).__name__)
                asyncio.get_running_loop().call_later(AGAIN, connection.fall_behind)
                return
            for frame in page:
                await self._write(Shown.of(frame))
            if len(page) < PAGE:
                connection.last = max(connection.last, known)
                return

    async def _write(self, shown: Shown) -> None:
        connection = self._connection
        if connection.ended is not None:
            return
        if connection.passes(shown):
            async with asyncio.timeout(self._heartbeat):
                await self._writer.show(shown)
            if shown.sequence is not None:
                self._reading.written(connection.listener.person, str(shown.data["id"]))
        if shown.sequence is not None:
            connection.last = shown.sequence
