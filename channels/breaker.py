"""Circuit breakers (A-23): five failures in a row open one for a minute, then a single probe decides.

pybreaker's machine, asked before a batch and told after it instead of wrapped around every call: its `call` holds a
lock while it sends, lets every process probe, and waits for Redis at each step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import redis
import structlog

from channels.breaker_memory import MemoryBreakers
from channels.breaker_redis import RedisBreakers
from channels.breaker_state import PROBE_SECONDS, STATE_CLOSED, STATE_HALF_OPEN, Standing

FAIL_MAX: Final = 5
RESET_TIMEOUT: Final = 60.0  # seconds
DOWN: Final = 3.0  # seconds without another try after Redis did not answer
PROBE_PAUSE: Final = 5.0  # seconds that the others wait for a probe's result before they ask again

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Admission:
    """What a breaker with failures lets through: `admits` sends (0, or 1 as a probe); the rest waits `wait` seconds."""

    admits: int
    wait: float


class Admissions:
    """The answer for one batch. `restricted` names only those keys that do not let everything through."""

    def __init__(self, restricted: dict[str, Admission]) -> None:
        self.restricted = restricted
        self._left = {key: admission.admits for key, admission in restricted.items()}

    def take(self, key: str) -> float | None:
        """None: send it. Otherwise the seconds to wait."""
        admission = self.restricted.get(key)
        if admission is None:
            return None
        if self._left[key]:
            self._left[key] -= 1
            return None
        return admission.wait


class Breakers:
    """All breakers, for any number of threads and processes. With Redis away each process goes on with its own.

    A key names a way within its tenant (or a shared account); see `Provider.breaker_key`.
    """

    def __init__(
        self,
        client: redis.Redis | None,
        fail_max: int = FAIL_MAX,
        reset_timeout: float = RESET_TIMEOUT,
        probe_seconds: float = PROBE_SECONDS,
        down: float = DOWN,
    ) -> None:
        self._client = client
        self._down = down
        self._shared = RedisBreakers(client, fail_max, reset_timeout, probe_seconds) if client else None
        self._memory = MemoryBreakers(fail_max, reset_timeout, probe_seconds)
        self._down_until = 0.0
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self._shut_until: dict[str, float] = {}

    def check(self, keys: Collection[str]) -> Admissions:
        """Ask for a whole batch, in one round trip. Where a probe is due, this batch has it unless another one does."""
        if not keys:
            return Admissions({})
        standing = self._check(keys)
        with self._lock:
            self._failing.difference_update(keys)
            for key in keys:
                self._learn(key, standing.get(key))
        return Admissions({key: _admission(one) for key, one in standing.items() if one.state != STATE_CLOSED})

    def closed_for(self, key: str) -> float | None:
        """Seconds for which this process knows the breaker to be open, without asking; None if it does not.

        For what was admitted with a batch and still waits for its turn when the breaker opens.
        """
        until = self._shut_until.get(key)
        left = until - time.monotonic() if until is not None else 0.0
        return left if left > 0 else None

    def record(self, results: Sequence[tuple[str, bool]]) -> None:
        """Tell how sends ended, in the order in which they did; one round trip, none when it changes nothing."""
        outcomes: dict[str, str] = {}
        for key, succeeded in results:
            outcomes[key] = outcomes.get(key, "") + ("1" if succeeded else "0")
        changing = {key: one for key, one in outcomes.items() if "0" in one or key in self._failing}
        if not changing:
            return
        standing = self._record(changing)
        with self._lock:
            for key, one in standing.items():
                self._learn(key, one)

    def states(self) -> dict[str, Standing]:
        """All that are not closed, by key."""
        if self._shared and self._is_up():
            try:
                return self._shared.states()
            except redis.RedisError as error:
                self._went_down(error)
        with self._lock:
            return self._memory.states()

    def _check(self, keys: Collection[str]) -> dict[str, Standing]:
        if self._shared and self._is_up():
            try:
                return self._shared.check(keys)
            except redis.RedisError as error:
                self._went_down(error)
        with self._lock:
            return self._memory.check(keys)

    def _record(self, outcomes: dict[str, str]) -> dict[str, Standing]:
        if self._shared and self._is_up():
            try:
                return self._shared.record(outcomes)
            except redis.RedisError as error:
                self._went_down(error)
        with self._lock:
            return self._memory.record(outcomes)

    def _learn(self, key: str, standing: Standing | None) -> None:
        """Keep in mind what saves a round trip later."""
        self._shut_until.pop(key, None)
        if standing is None or (standing.state == STATE_CLOSED and not standing.failures):
            self._failing.discard(key)
            return
        self._failing.add(key)
        if standing.state != STATE_CLOSED and not standing.probe and standing.wait > 0:
            self._shut_until[key] = time.monotonic() + _admission(standing).wait

    def _is_up(self) -> bool:
        return time.monotonic() >= self._down_until

    def _went_down(self, error: redis.RedisError) -> None:
        """Fail once, not for every batch; what is in the pool is of no use after this."""
        self._down_until = time.monotonic() + self._down
        log.warning("breakers_not_shared", problem=type(error).__name__, seconds=self._down)
        if self._client is not None:
            self._client.connection_pool.disconnect(inuse_connections=False)


def _admission(standing: Standing) -> Admission:
    wait = min(standing.wait, PROBE_PAUSE) if standing.state == STATE_HALF_OPEN else standing.wait
    return Admission(admits=1 if standing.probe else 0, wait=max(wait, 0.1))
