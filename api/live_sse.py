"""The stream as Server-Sent Events (D-12, D-16 to D-18; https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from api.hub import CLOSED, SLOW, Connection
from api.live import Live
from api.live_follow import cut, follow
from api.live_frames import HEARTBEAT, Shown, opening, unread_count
from api.live_opening import opened
from config.fields import NAME_LENGTH

router = APIRouter(tags=["live"])

HEADERS: Final = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx passes on what it gets at once
    "X-Content-Type-Options": "nosniff",
}
GONE: Final = 1.0  # seconds for the server to notice what was cut; until then it would complain of an unfinished answer
RETRY_MS: Final = (1_000, 3_000)  # each client another wait, so that those of a stopped server do not return as one

STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The stream. It stays open.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'retry: 2000\nid: 41\n\nevent: unread_count\ndata: {"unread":3}\n\n'
                'id: 42\ndata: {"id":"...","type":"chat","event":"chat_message","title":"Hello"}\n\n: heartbeat\n\n',
            }
        },
    }
}
PARAMETERS: Final[dict[str, Any]] = {
    "parameters": [
        {"name": "ticket", "in": "query", "schema": {"type": "string"}, "description": "Instead of a token: a ticket."},
        {"name": "since", "in": "query", "schema": {"type": "integer"}, "description": "As Last-Event-ID."},
        {
            "name": "device_id",
            "in": "query",
            "schema": {"type": "string", "maxLength": NAME_LENGTH},
            "description": "What the client calls its device, for whoever asks who is connected.",
        },
        {
            "name": "Last-Event-ID",
            "in": "header",
            "schema": {"type": "integer"},
            "description": "The number of the last notification that the client has: those after it come first.",
        },
    ]
}


@router.get("/v1/notifications/sse", response_class=Response, responses=STREAM, openapi_extra=PARAMETERS)
async def stream(request: Request) -> Response:
    """The user's notifications as they appear, as Server-Sent Events, for as long as the client stays.

    Notifications have no `event:` line; counts of unread ones are `unread_count`, issues that somebody took are
    `acknowledged`, system messages `broadcast`.

    The same stream is at `/v1/notifications/ws` as a WebSocket and at `/socket.io/` for Socket.IO: see `docs/live.md`.
    """
    live: Live = request.app.state.live
    connection, unread = await opened(request, live, "sse")
    connection.show(unread_count(unread))
    return _Stream(live, connection)


class _Stream(Response):
    """An answer without an end. It notices at once that the client has gone, even while there is nothing to write."""

    media_type = "text/event-stream"

    def __init__(self, live: Live, connection: Connection) -> None:
        super().__init__(None, headers=HEADERS)
        del self.headers["content-length"]
        self._live = live
        self._connection = connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection, live = self._connection, self._live
        watching = asyncio.create_task(_watch(connection, receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            writer = _Writer(send)
            await writer.write(opening(connection.last, random.randint(*RETRY_MS)))
            why = await follow(connection, writer, live.reading, live.heartbeat)
            if why is SLOW:
                cut(receive)
                await asyncio.wait((watching,), timeout=GONE)
            elif why is not CLOSED:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            watching.cancel()
            live.hub.remove(connection)


class _Writer:
    def __init__(self, send: Send) -> None:
        self._send = send

    async def write(self, some: bytes) -> None:
        await self._send({"type": "http.response.body", "body": some, "more_body": True})

    async def show(self, shown: Shown) -> None:
        await self.write(shown.event)

    async def beat(self) -> None:
        await self.write(HEARTBEAT)


async def _watch(connection: Connection, receive: Receive) -> None:
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
        connection.end(CLOSED)
