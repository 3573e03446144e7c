"""Breakers of one process, for when Redis is away: pybreaker's own objects, told after the send."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from pybreaker import CircuitBreaker, CircuitMemoryStorage

from channels.breaker_state import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, Standing


class MemoryBreakers:
    """One `CircuitBreaker` for every key that has failures; not for use by several threads at once."""

    def __init__(self, fail_max: int, reset_timeout: float, probe_seconds: float) -> None:
        self._fail_max = fail_max
        self._reset_timeout = reset_timeout
        self._probe_seconds = probe_seconds
        self._breakers: dict[str, tuple[CircuitBreaker, CircuitMemoryStorage]] = {}
        self._probes: dict[str, float] = {}

    def check(self, keys: Collection[str]) -> dict[str, Standing]:
        """How the breakers stand that have failures, giving out a probe where one is due."""
        return {key: self._asked(key) for key in keys if key in self._breakers}

    def record(self, outcomes: Mapping[str, str]) -> dict[str, Standing]:
        """Take results in, ``1`` for a success and ``0`` for a failure, in order, and return how things stand then."""
        for key, outcome in outcomes.items():
            for one in outcome:
                self._told(key, one == "1")
        return {key: self._standing(key) for key in outcomes}

    def states(self) -> dict[str, Standing]:
        """Those that are not closed."""
        standing = {key: self._standing(key) for key in self._breakers}
        return {key: one for key, one in standing.items() if one.state != STATE_CLOSED}

    def _asked(self, key: str) -> Standing:
        breaker, _ = self._breakers[key]
        standing = self._standing(key)
        if standing.state == STATE_CLOSED or standing.wait > 0:
            return standing
        breaker.half_open()
        self._probes[key] = time.monotonic() + self._probe_seconds
        return Standing(STATE_HALF_OPEN, breaker.fail_counter, self._probe_seconds, probe=True)

    def _told(self, key: str, succeeded: bool) -> None:
        breaker, storage = self._breakers.get(key) or self._made(key)
        match breaker.current_state:
            case "closed" if succeeded:
                del self._breakers[key]
            case "closed":
                storage.increment_counter()
                if breaker.fail_counter >= breaker.fail_max:
                    breaker.open()
            case "half-open" if succeeded:
                breaker.close()
                del self._breakers[key]
            case "half-open":
                breaker.open()
            case _:
                pass  # under way when it opened

    def _made(self, key: str) -> tuple[CircuitBreaker, CircuitMemoryStorage]:
        storage = CircuitMemoryStorage(STATE_CLOSED)
        breaker = CircuitBreaker(self._fail_max, self._reset_timeout, state_storage=storage, name=key)
        return self._breakers.setdefault(key, (breaker, storage))

    def _standing(self, key: str) -> Standing:
        if key not in self._breakers:
            return Standing(STATE_CLOSED)
        breaker, storage = self._breakers[key]
        state = breaker.current_state
        wait = 0.0
        if state == STATE_OPEN and storage.opened_at:
            wait = self._reset_timeout - (datetime.now(UTC) - storage.opened_at).total_seconds()
        elif state == STATE_HALF_OPEN:
            wait = self._probes.get(key, 0.0) - time.monotonic()
        return Standing(state, breaker.fail_counter, max(0.0, wait))
