"""Tells all processes who is connected where: a hash a user in Redis, kept alive by the heartbeat (E-4)."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import structlog
from redis import RedisError
from redis.asyncio import Redis

from api.hub import Connection
from tasks.live import presence_key

log = structlog.get_logger(__name__)

AT_ONCE: Final = 200  # connections a round trip; more would hold up the event loop
BEATS: Final = 3  # heartbeats that may be missed before a user counts as gone


class Presence:
    """Writes behind the connections' backs: none of them waits for Redis, and while it is away nothing is known."""

    def __init__(self, client: Redis, server_id: str, heartbeat: float) -> None:
        self._client = client
        self._server_id = server_id
        self._seconds = max(1, round(heartbeat * BEATS))
        self._changes: deque[tuple[Connection, bool]] = deque()
        self._changed = asyncio.Event()

    def changed(self, connection: Connection, came: bool) -> None:
        """A connection came or went."""
        self._changes.append((connection, came))
        self._changed.set()

    async def run(self) -> None:
        """Write what changes, for ever."""
        while True:
            await self._changed.wait()
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed."""
        self._changed.clear()
        while self._changes:
            some = [self._changes.popleft() for _ in range(min(AT_ONCE, len(self._changes)))]
            await self._write(some)

    async def beat(self, connections: Sequence[Connection]) -> None:
        """Say again who is here: what has expired or was lost with Redis is there again."""
        for start in range(0, len(connections), AT_ONCE):
            some = connections[start : start + AT_ONCE]
            await self._write([(connection, True) for connection in some if connection.ended is None])

    async def close(self) -> None:
        """Close the connection to Redis."""
        with suppress(RedisError, OSError):
            await self._client.aclose()

    async def _write(self, changes: Iterable[tuple[Connection, bool]]) -> None:
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for connection, here in changes:
                    key = presence_key(*connection.listener.person)
                    if here:
                        pipe.hset(key, connection.id, self._entry(connection))
                        pipe.expire(key, self._seconds)
                    else:
                        pipe.hdel(key, connection.id)
                await pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("presence_not_written", problem=type(error).__name__)

    def _entry(self, connection: Connection) -> str:
        entry = {
            "serverId": self._server_id,
            "connectedAt": connection.connected_at,
            "deviceId": connection.device_id,
        }
        return json.dumps(entry)
