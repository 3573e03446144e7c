"""What windows of rate limits are about, wherever they are kept: rates, and the room that is left in them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from limits import RateLimitItemPerSecond

Pauses = dict[str, float]
"""Until when (the clock of time.time) nothing goes out on an account."""


class Rate(NamedTuple):
    """`amount` in any `seconds`, counted under `name`."""

    name: str
    amount: int
    seconds: int

    @property
    def spacing(self) -> float:
        """Seconds from one to the next when they go out evenly."""
        return self.seconds / self.amount


class Room(NamedTuple):
    """How many more fit into a window now, and in how many seconds the oldest leaves it."""

    free: int
    renewed_in: float


def room_of(rate: Rate, used: int, oldest: float, now: float) -> Room:
    """The room that `used` places leave, the oldest of which was taken at `oldest`."""
    return Room(rate.amount - used, max(0.0, oldest + rate.seconds - now))


@lru_cache(1024)
def _item(amount: int, seconds: int) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(amount, seconds, namespace="rate")


def item_of(rate: Rate) -> RateLimitItemPerSecond:
    """The same in the library's words."""
    return _item(rate.amount, rate.seconds)
