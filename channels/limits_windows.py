"""Windows of rate limits for a batch: which of its sends fit, counted once, in one or two round trips."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar

import redis
import structlog

from channels.limits_memory import MemoryWindows
from channels.limits_redis import RedisWindows
from channels.limits_state import Pauses, Rate, Room

DOWN: Final = 3.0  # seconds without another try after Redis did not answer
LOOK_FOR_PAUSES: Final = 1.0  # seconds for which the pauses of accounts without limits are believed
ROUNDS: Final = 3  # looks at what is left when others were faster

T = TypeVar("T")
Full = Mapping[Rate, Room]
"""The rates that have no room for a send, and what is left of them."""

log = structlog.get_logger(__name__)


class Windows:
    """All windows and pauses, for any number of threads and processes. With Redis away each process has its own.

    `pauses` is what was last heard; every question about rates hears it anew.
    """

    def __init__(self, client: redis.Redis | None, down: float = DOWN) -> None:
        self._client = client
        self._down = down
        self._shared = RedisWindows(client) if client else None
        self._own: Pauses = {}
        self._lock = threading.Lock()
        self._down_until = 0.0
        self._heard_at = float("-inf")
        self.pauses: Pauses = {}

    def admit(self, wanted: Sequence[Sequence[Rate]]) -> list[Full]:
        """For each send the rates that are in its way, in order; a send with none was counted on all of its rates."""
        answers: list[Full] = [{}] * len(wanted)
        left = [place for place, rates in enumerate(wanted) if rates]
        if _may_all_fit(wanted, left):
            left = self._take(wanted, left)
        for _ in range(ROUNDS):
            if not left:
                break
            rooms = self._look({rate for place in left for rate in wanted[place]})
            left = self._take(wanted, _fitting(wanted, left, rooms, answers))
        for place in left:
            answers[place] = {rate: Room(0, rate.spacing) for rate in wanted[place]}
        return answers

    def pause(self, account: str, seconds: float) -> None:
        """Pause an account in all processes; in this one also if Redis is away."""
        until = time.time() + seconds
        with self._lock:
            self._own[account] = max(until, self._own.get(account, 0.0))
        self._heard(None)
        self._ask(lambda shared: shared.pause(account, until), lambda memory: None)

    def hear(self) -> None:
        """Hear of pauses that other processes made, unless that was done a moment ago."""
        if time.monotonic() - self._heard_at >= LOOK_FOR_PAUSES:
            self._heard_at = time.monotonic()
            self._heard(self._ask(RedisWindows.paused, lambda memory: None))

    def _look(self, rates: Iterable[Rate]) -> dict[Rate, Room]:
        asked = list(rates)
        rooms, pauses = self._ask(lambda shared: shared.look(asked), lambda memory: memory.look(asked))
        self._heard(pauses)
        return dict(zip(asked, rooms, strict=True))

    def _take(self, wanted: Sequence[Sequence[Rate]], places: Sequence[int]) -> list[int]:
        """Count these sends. Those that found a rate without room; what they took of another rate is lost to it."""
        costs = Counter(rate for place in places for rate in wanted[place])
        if not costs:
            return []
        missed, pauses = self._ask(lambda shared: shared.take(costs), lambda memory: memory.take(costs))
        self._heard(pauses)
        return [place for place in places if not missed.isdisjoint(wanted[place])] if missed else []

    @cached_property
    def _memory(self) -> MemoryWindows:
        return MemoryWindows()

    def _ask(self, of_shared: Callable[[RedisWindows], T], of_memory: Callable[[MemoryWindows], T]) -> T:
        if self._shared and time.monotonic() >= self._down_until:
            try:
                return of_shared(self._shared)
            except redis.RedisError as error:
                self._went_down(error)
        with self._lock:
            return of_memory(self._memory)

    def _heard(self, pauses: Pauses | None) -> None:
        """Take in what Redis said; None: it is away, and what it said before is still right."""
        now = time.time()
        with self._lock:
            self._own = {account: until for account, until in self._own.items() if until > now}
            self.pauses = {**(self.pauses if pauses is None else pauses), **self._own}

    def _went_down(self, error: redis.RedisError) -> None:
        """Fail once, not for every batch; what is in the pool is of no use after this."""
        self._down_until = time.monotonic() + self._down
        log.warning("limits_not_shared", problem=type(error).__name__, seconds=self._down)
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)


def _may_all_fit(wanted: Sequence[Sequence[Rate]], places: Sequence[int]) -> bool:
    """Whether it is worth taking all without looking first: nothing would be taken in vain."""
    if any(len(wanted[place]) > 1 for place in places):
        return False
    return all(cost <= rate.amount for rate, cost in Counter(wanted[place][0] for place in places).items())


def _fitting(
    wanted: Sequence[Sequence[Rate]], places: Sequence[int], rooms: Mapping[Rate, Room], answers: list[Any]
) -> list[int]:
    """The sends that fit, the first ones first; what is in the way of the others is written into `answers`."""
    free = {rate: room.free for rate, room in rooms.items()}
    fitting = []
    for place in places:
        full = {rate: rooms[rate] for rate in wanted[place] if free[rate] < 1}
        if full:
            answers[place] = full
            continue
        fitting.append(place)
        for rate in wanted[place]:
            free[rate] -= 1
    return fitting
