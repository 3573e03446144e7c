"""How many events a key may publish in a minute, counted by the `limits` library over all API processes.

The intake's thread asks, for all requests of a transaction at once: one round trip for them together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import redis
import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from api.errors import Problem
from config.connections import redis_client

log = structlog.get_logger(__name__)

PREFIX: Final = "bellwire:published"
MINUTE: Final = 60.0
DOWN: Final = 3.0  # seconds without another try after Redis did not answer
SCARCE: Final = -1.0  # more than a whole minute's: no wait is long enough

Window = tuple[int, float, int, float]
"""Events of the minute before and seconds until it is forgotten; events of this one and seconds until the same."""


class EventLimits:
    """What publishers may still publish. For one thread. With Redis away each process counts for itself.

    A sliding window of two counters: whatever the limit, it costs Redis two small keys a publisher.
    """

    def __init__(self, per_minute: int, redis_url: str | None) -> None:
        """`per_minute`: 0 for no limit."""
        self._most = per_minute
        self._item = RateLimitItemPerMinute(max(1, per_minute), namespace="events")
        self._client = redis_client(redis_url, "limits") if redis_url and per_minute else None
        self._shared = self._client and _counter(self._client)
        self._own: SlidingWindowCounterRateLimiter | None = None
        self._down_until = 0.0

    def refused(self, asked: Sequence[tuple[str, int]]) -> list[Problem | None]:
        """Count requests, each with its publisher and how many events it brings; those that are too much, as 429.

        What is refused is not counted. Of requests of the same publisher the first ones go first.
        """
        if not self._most:
            return [None] * len(asked)
        problems: list[Problem | None] = [None] * len(asked)
        for publisher in dict.fromkeys(publisher for publisher, _ in asked):
            places = [place for place, (whose, _) in enumerate(asked) if whose == publisher]
            waits = self._waits(_digest(publisher), [asked[place][1] for place in places])
            for place, wait in zip(places, waits, strict=True):
                problems[place] = None if wait is None else self._problem(wait)
        return problems

    def _waits(self, key: str, costs: Sequence[int]) -> list[float | None]:
        """None for what was counted, else seconds until it may fit."""
        if self._shared and time.monotonic() >= self._down_until:
            try:
                return self._count(self._shared, key, costs)
            except redis.RedisError as error:
                self._went_down(error)
        if self._own is None:
            self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        return self._count(self._own, key, costs)

    def _count(self, counter: SlidingWindowCounterRateLimiter, key: str, costs: Sequence[int]) -> list[float | None]:
        if counter.hit(self._item, key, cost=sum(costs)):
            return [None] * len(costs)
        storage: Any = counter.storage  # of the two kinds that have this
        window: Window = storage.get_sliding_window(self._item.key_for(key), self._item.get_expiry())
        room = self._most - used(window)
        fitting = 0
        waits: list[float | None] = []
        for cost in costs:
            if fits := fitting + cost <= room:
                fitting += cost
            waits.append(None if fits else wait_for(cost, self._most, window))
        if fitting and not counter.hit(self._item, key, cost=fitting):  # another process was faster
            return [wait_for(cost, self._most, window) for cost in costs]
        return waits

    def _problem(self, wait: float) -> Problem:
        if wait == SCARCE:
            detail = (
                f"The request has more events than a key may publish in a minute ({self._most}). Send fewer at once."
            )
            return Problem(413, "bellwire.too_large", detail, field="events")
        seconds = max(1, math.ceil(wait))
        return Problem(
            429,
            "bellwire.rate_limited",
            f"A key may publish {self._most} events in a minute. Nothing of this request was stored; "
            f"please send it again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )

    def _went_down(self, error: redis.RedisError) -> None:
        """Fail once, not for every transaction."""
        self._down_until = time.monotonic() + DOWN
        log.warning("event_limits_not_shared", problem=type(error).__name__, seconds=DOWN)
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)


def used(window: Window) -> int:
    """How many events count now: those of this minute, and of the one before the share that is not a minute old."""
    before, before_left, now, _ = window
    return math.floor(before * before_left / MINUTE) + now


def wait_for(cost: int, most: int, window: Window) -> float:
    """Seconds until `cost` events fit if nobody else publishes; `SCARCE` when they never will."""
    before, before_left, now, now_left = window
    if cost > most:
        return SCARCE
    if before and now + cost <= most:
        return max(0.0, before_left - (most - cost - now) * MINUTE / before)
    # This minute becomes the one before, and fades.
    until_then = max(0.0, now_left - MINUTE)
    return until_then + MINUTE * max(0.0, 1 - (most - cost) / now) if now else until_then


def _counter(client: redis.Redis) -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(
        RedisStorage("redis://", connection_pool=client.connection_pool, key_prefix=PREFIX)
    )


def _digest(publisher: str) -> str:
    """Ids of users are whatever the platform likes; a key of Redis is better short and plain."""
    return sha256(publisher.encode("utf-8", "surrogatepass")).hexdigest()[:32]
