"""Ways: an endpoint or a provider's account within a tenant. Each gets its share of a process, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

PER_WAY = 64  # sends at a time to one way, in each process: a breaker can open before a whole batch has failed
MOST_WAITING = 64  # more than that wait in the database, once the way has shown that it is slow
SLOW = 0.5  # seconds for one send


class Way:
    """How many sends are under way or wait for their turn, and how long the last one took."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(PER_WAY)
        self.claimed = 0
        self.seconds = 0.0

    @property
    def is_crowded(self) -> bool:
        """Whether more for this way would only take the room of others."""
        return self.seconds > SLOW and self.claimed >= PER_WAY + MOST_WAITING


class Ways:
    """The ways that are in use now, by breaker key."""

    def __init__(self) -> None:
        self._ways: dict[str, Way] = {}

    def has_room(self, key: str) -> bool:
        """Take a place on a way. False: it is crowded, and others should go first."""
        way = self._ways.setdefault(key, Way())
        if way.is_crowded:
            return False
        way.claimed += 1
        return True

    def give_back(self, key: str) -> None:
        """Give back a place that is not used."""
        way = self._ways[key]
        way.claimed -= 1
        if not way.claimed:
            del self._ways[key]

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[None]:
        """Wait for the turn of a place that was taken, and give it back afterwards."""
        way = self._ways[key]
        try:
            async with way.gate:
                began = monotonic()
                yield
                way.seconds = monotonic() - began
        finally:
            self.give_back(key)
