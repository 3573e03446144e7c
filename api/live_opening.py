"""Opens a live stream for whoever may have one, where the answer to who may not is a problem of HTTP."""

from __future__ import annotations

from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from api.errors import Problem
from api.hub import Connection, DrainingError, Framing, TooManyConnectionsError
from api.live import Live
from api.live_access import device_of, listener_of, start_number
from api.live_follow import begin


async def opened(where: HTTPConnection, live: Live, framing: Framing) -> tuple[Connection, int]:
    """The connection that is shown what comes, and how many notifications are unread.

    Raises:
        Problem: 400, 401, 429 or 503; the hub does not know the connection then.
    """
    listener = await run_in_threadpool(listener_of, where)
    after, device = start_number(where), device_of(where)
    connection = Connection(listener, framing, device_id=device, user_agent=where.headers.get("user-agent"))
    try:
        live.hub.add(connection)
    except TooManyConnectionsError:
        raise too_many() from None
    except DrainingError:
        raise draining() from None
    try:
        return connection, await begin(connection, live.reading, after)
    except BaseException:
        live.hub.remove(connection)
        raise


def too_many() -> Problem:
    """429: the user has as many streams as one may have."""
    detail = "This user has too many open streams here; close one of them first."
    return Problem(429, "bellwire.too_many_connections", detail, headers={"Retry-After": "10"})


def draining() -> Problem:
    """503: this process stops."""
    return Problem(503, "bellwire.restarting", "This server is about to restart.", headers={"Retry-After": "1"})
