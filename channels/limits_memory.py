"""Moving windows of one process, for when Redis is away: the library's own, in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from channels.limits_state import Rate, Room, item_of, room_of


class MemoryWindows:
    """The same as `RedisWindows`, for this process alone; not for use by several threads at once."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def look(self, rates: Sequence[Rate]) -> tuple[list[Room], None]:
        """What is free. Pauses are none of its business: every process remembers its own."""
        now = time.time()
        stats = [self._limiter.get_window_stats(item_of(rate), rate.name) for rate in rates]
        rooms = [
            room_of(rate, rate.amount - left.remaining, left.reset_time - rate.seconds, now)
            for rate, left in zip(rates, stats, strict=True)
        ]
        return rooms, None

    def take(self, costs: Mapping[Rate, int]) -> tuple[set[Rate], None]:
        """Take so many places of each, all or none of a rate. Those of which there were none."""
        hits = {rate: self._limiter.hit(item_of(rate), rate.name, cost=cost) for rate, cost in costs.items()}
        return {rate for rate, hit in hits.items() if not hit}, None
