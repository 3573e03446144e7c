"""The stream as a WebSocket (E-3 to E-9; RFC 6455)."""

from __future__ import annotations

import asyncio
import json
from time import time
from typing import Any, Final

import structlog
from fastapi import APIRouter, WebSocket
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocketDisconnect

from api.errors import Problem
from api.hub import CLOSED, RESTART, SLOW, TROUBLE, Connection, DrainingError, End, TooManyConnectionsError
from api.live import Live
from api.live_access import SUBPROTOCOL, device_of, listener_of, start_number
from api.live_follow import begin, cut, follow
from api.live_frames import INVALID, Shown, acknowledged, unread_count

log = structlog.get_logger(__name__)
router = APIRouter()

MOST_BYTES: Final = 64 * 1024  # of a frame that a client sends
PATIENCE: Final = 5.0  # seconds for a last word to somebody who may not read

UNAUTHENTICATED: Final = End(1008, "Authentication required")
TOO_MANY: Final = End(1008, "Too many connections")
BAD_START: Final = End(1008, "since must be a whole number")
BAD_DEVICE: Final = End(1008, "device_id must have at most 255 characters, none of them control characters")
TOO_BIG: Final = End(1009, "Message too big")
LIVES: Final = ("ping", "pong")


@router.websocket("/v1/notifications/ws")
async def stream(websocket: WebSocket) -> None:
    """The user's notifications as they appear, for as long as the client stays."""
    # Before anything is asked: only over an open socket can a browser be told why it is closed again.
    offered = websocket.scope.get("subprotocols") or []
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    live: Live = websocket.app.state.live
    connection: Connection | None = None
    try:
        connection = await _open(websocket, live)
        why = await _serve(websocket, live, connection)
    except _NotOpenedError as refused:
        why = refused.why
    except (WebSocketDisconnect, OSError):
        why = CLOSED
    except SQLAlchemyError as error:
        log.warning("live_database_away", problem=type(error).__name__)
        why = TROUBLE
    except Exception:  # a bug: this client's trouble and nobody else's (E-3, E-11)
        log.exception("live_not_opened", framing="websocket")
        why = TROUBLE
    finally:
        if connection is not None:
            live.hub.remove(connection)
    await _close(websocket, why)


class _NotOpenedError(Exception):
    def __init__(self, why: End) -> None:
        super().__init__(why.reason)
        self.why = why


async def _open(websocket: WebSocket, live: Live) -> Connection:
    try:
        listener = await run_in_threadpool(listener_of, websocket)
    except Problem as problem:
        raise _NotOpenedError(UNAUTHENTICATED if problem.status == 401 else TROUBLE) from None
    try:
        after = start_number(websocket)
    except Problem:
        raise _NotOpenedError(BAD_START) from None
    try:
        device = device_of(websocket)
    except Problem:
        raise _NotOpenedError(BAD_DEVICE) from None
    connection = Connection(listener, "websocket", device_id=device, user_agent=websocket.headers.get("user-agent"))
    try:
        live.hub.add(connection)
    except TooManyConnectionsError:
        raise _NotOpenedError(TOO_MANY) from None
    except DrainingError:
        raise _NotOpenedError(RESTART) from None
    try:
        unread = await begin(connection, live.reading, after)
        await websocket.send_text(acknowledged(connection.id, connection.last))
    except BaseException:
        live.hub.remove(connection)
        raise
    connection.show(unread_count(unread))
    return connection


async def _serve(websocket: WebSocket, live: Live, connection: Connection) -> End:
    hearing = asyncio.create_task(_hear(websocket, connection))
    try:
        return await follow(connection, _Writer(websocket), live.reading, live.heartbeat)
    finally:
        hearing.cancel()


class _Writer:
    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def show(self, shown: Shown) -> None:
        await self._websocket.send_text(shown.message)

    async def beat(self) -> None:
        """The server under us pings; what a reader does not take is noticed with the next notification."""


async def _hear(websocket: WebSocket, connection: Connection) -> None:
    """Answer what the client says, until it has gone."""
    try:
        while connection.ended is None:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                connection.end(CLOSED)
                return
            connection.last_ping = time()
            _answer(connection, message.get("text"), message.get("bytes"))
    except (RuntimeError, OSError):
        connection.end(CLOSED)


def _answer(connection: Connection, said: str | None, raw: bytes | None) -> None:
    size = len(raw or b"") if said is None else len(said.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        connection.end(TOO_BIG)
        return
    kind = _kind(said)
    if kind not in LIVES:
        connection.show(Shown("error", {"message": INVALID}))
    elif kind == "ping":
        connection.show(Shown("pong", {}))


def _kind(said: str | None) -> Any:
    try:
        document = json.loads(said or "")
    except (ValueError, RecursionError):
        return None
    return document.get("type") if isinstance(document, dict) and isinstance(document.get("type"), str) else None


async def _close(websocket: WebSocket, why: End) -> None:
    if why is SLOW:
        cut(websocket._receive)  # the server's own, which the framework's wraps
        return
    try:
        async with asyncio.timeout(PATIENCE):
            await websocket.close(why.code, why.reason)
    except (RuntimeError, OSError, WebSocketDisconnect):
        return  # it has gone already
