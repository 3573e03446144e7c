"""The stream to Socket.IO clients, at `/socket.io/` (A-5): the third framing of the hub.

Socket.IO, revision 5, over Engine.IO, revision 4, by polling or WebSocket. One connection of the hub is one of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Any, Final

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from api.answers import PRIVATE
from api.errors import Problem, database_away
from api.hub import EXPIRED, SLOW, Connection, End
from api.live import Live
from api.live_follow import cut, follow
from api.live_frames import INVALID, Shown, greeting, unread_count
from api.live_opening import opened
from api.live_socketio_auth import with_auth
from api.live_socketio_engine import Session, engine, hang_up, on_nonsense, refusal
from config.settings import settings

log = structlog.get_logger(__name__)

PATH: Final = "/socket.io"
PATIENCE: Final = 5.0  # seconds for a last word to somebody who may not read
UNPROVED: Final = 10.0  # seconds that somebody may be there without having shown who it is
SWEEP: Final = 1.0

KEPT_BY_NOBODY: Final = [(name.lower().encode(), value.encode()) for name, value in PRIVATE.items()]
MESSAGES: Final = {401: "Authentication required", 429: "Too many connections", 500: "Internal server error"}


def mount(app: FastAPI) -> None:
    """Serve Socket.IO clients."""
    app.mount(PATH, Sockets(settings().live_heartbeat))


@dataclass(frozen=True, slots=True)
class _Opened:
    connection: Connection
    session: Session
    following: asyncio.Task[None]


class Sockets:
    """All Socket.IO connections of this process, as an ASGI application."""

    def __init__(self, heartbeat: float) -> None:
        self._server = engine(heartbeat)
        self._server.on("connect", self._connect)
        self._server.on("disconnect", self._disconnect)
        self._server.on("ping", self._ping)
        self._server.on("*", self._nonsense)
        on_nonsense(self._server, partial(self._nonsense, ""))
        self._open: dict[str, _Opened] = {}
        # Of WebSockets alone: over the connection that a poll came by, others' requests may be next.
        self._wires: dict[str, Receive] = {}
        self._unproved: dict[str, float] = {}
        self._sweeping: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of a client: one of many when it polls, or its WebSocket."""
        if self._sweeping is None:
            self._live: Live = scope["app"].state.live
            self._sweeping = asyncio.create_task(self._sweep())
        named = HTTPConnection(scope).query_params.getlist("sid")
        if scope["type"] == "http":
            await self._answer_poll(named, scope, receive, _private(send))
            return
        upgraded = named[0] if named else None
        if upgraded is not None:
            self._wires[upgraded] = receive
        try:
            with suppress(KeyError):  # as for a poll
                await self._server.handle_request(scope, receive, send)
        finally:
            if upgraded is not None:
                self._wires.pop(upgraded, None)

    async def _answer_poll(self, named: Sequence[str], scope: Scope, receive: Receive, send: Send) -> None:
        # The library would say again which session was asked for, whatever that is.
        if all(name in self._server.eio.sockets for name in named if name):
            with suppress(KeyError):  # the library's word for a session that was closed a moment ago
                await self._server.handle_request(scope, receive, send)
                return
        await PlainTextResponse("Invalid session", 400)(scope, receive, send)

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        """Take a client, or refuse it: then it gets `connect_error`, which says why (E-3)."""
        try:
            handshake = HTTPConnection(with_auth(environ["asgi.scope"], auth))
            connection, unread = await opened(handshake, self._live, "socketio")
        except Problem as problem:
            raise _refused(problem) from None
        except SQLAlchemyError as error:
            log.warning("live_database_away", problem=type(error).__name__)
            raise _refused(database_away()) from None
        except Exception:  # a bug: this client's trouble and nobody else's (E-3, E-11)
            log.exception("live_not_opened", framing="socketio")
            raise _refused(Problem(500, "bellwire.internal", "Something went wrong here.")) from None
        try:
            session = Session(self._server, sid)
            session.check()
        except (KeyError, OSError):  # the client left meanwhile, and nobody is told of that any more
            self._live.hub.remove(connection)
            raise _refused(Problem(400, "bellwire.invalid_request", "The session is over.")) from None
        if environ["asgi.scope"]["type"] == "websocket":
            self._wires[session.id] = environ["asgi.receive"]
        # It begins when this handler has returned, and thus after the client was told that it is connected.
        following = asyncio.create_task(self._follow(sid, session, connection, unread))
        self._open[sid] = _Opened(connection, session, following)

    async def _follow(self, sid: str, session: Session, connection: Connection, unread: int) -> None:
        writer = _Writer(session, greeting(connection.id, connection.last))
        connection.show(unread_count(unread))
        why = await follow(connection, writer, self._live.reading, self._live.heartbeat)
        self._live.hub.remove(connection)
        try:
            await self._close(sid, session, why)
        finally:
            self._open.pop(sid, None)

    async def _close(self, sid: str, session: Session, why: End) -> None:
        """Without a farewell clients come back by themselves. With one they do not, so only those get it whose token
        is of no use any more."""
        if why is EXPIRED:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(PATIENCE):
                    await session.write(Shown("error", {"message": why.reason}).packet)
                    await self._server.disconnect(sid)
                    await session.taken()
        elif why is SLOW and session.id in self._wires:
            cut(self._wires[session.id])
        self._wires.pop(session.id, None)
        await session.hang_up()

    async def _disconnect(self, sid: str, reason: str) -> None:
        """The client has gone, or we let it go (A-33)."""
        opened = self._open.pop(sid, None)
        if opened is None:
            return
        self._live.hub.remove(opened.connection)
        self._wires.pop(opened.session.id, None)
        if opened.following is not asyncio.current_task():
            opened.following.cancel()

    def _ping(self, sid: str, *_: Any) -> None:
        self._answer(sid, Shown("pong", {}))

    def _nonsense(self, event: str, sid: str, *_: Any) -> None:
        self._answer(sid, Shown("error", {"message": INVALID}))

    def _answer(self, sid: str, shown: Shown) -> None:
        opened = self._open.get(sid)
        if opened is not None:
            opened.connection.last_ping = time()
            opened.connection.show(shown)

    async def _sweep(self) -> None:
        """Hang up on who does not say who it is, and on all of them when this process stops. For ever."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await self._hang_up_on_unproved()
            except Exception:  # a bug over one of them; the others must still be hung up on
                log.exception("socketio_not_swept")

    async def _hang_up_on_unproved(self) -> None:
        proved = {opened.session.id for opened in self._open.values()}
        sessions = {name: one for name, one in self._server.eio.sockets.items() if name not in proved}
        self._unproved = {name: self._unproved.get(name, time()) for name in sessions}
        for name, since in self._unproved.items():
            if self._live.hub.draining or time() - since > UNPROVED:
                await hang_up(self._server, sessions[name])


def _private(send: Send) -> Send:
    """Answers to polls as all others are: kept by nobody, and never taken for anything but text."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *KEPT_BY_NOBODY]}
        await send(message)

    return sent


class _Writer:
    def __init__(self, session: Session, greeting: str) -> None:
        self._session = session
        self._greeting: str | None = greeting

    async def show(self, shown: Shown) -> None:
        if self._greeting is not None:
            greeting, self._greeting = self._greeting, None
            await self._session.write(greeting)
        await self._session.write(shown.packet)

    async def beat(self) -> None:
        """The engine below pings. But it may have closed the session while the client was still being let in."""
        self._session.check()


def _refused(problem: Problem) -> Exception:
    message = MESSAGES.get(problem.status) or problem.detail
    data = {"status": problem.status, "code": problem.code, "detail": problem.detail, **problem.more}
    return refusal(message, data)
