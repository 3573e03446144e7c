"""Rate limits (E-45): no account sends more than its provider takes, and nobody is told more than a person can read.

Counted by `limits` over all workers, a batch at a time. What does not fit waits and uses up no attempt.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

import redis

from channels.base import Limit
from channels.limits_state import Rate, Room
from channels.limits_windows import DOWN, Full, Windows

MOST_WAIT: Final = 60.0  # seconds in the queue after which it is asked again: what was ahead may be gone by then
MOST_PAUSE: Final = 3600.0  # seconds; then we see whether the provider still means it
MOST_ENTRIES: Final = 10_000  # places of one window; a larger limit is kept second by second
SOONEST: Final = 0.1  # seconds
CAP_SPREAD: Final = 0.05  # of a cap's window: not everybody's ends at the same instant
REMEMBERED: Final = 10_000
FOR_MACHINES: Final = frozenset({"webhook", "in_app"})  # a program wants every event, and an inbox holds them all


@dataclass(frozen=True, slots=True)
class Ask:
    """One send that may have to wait.

    Attributes:
        account: ``<tenant>:<provider>`` for a tenant's own account, ``:<provider>`` for the installation's, which all
            tenants share.
        provider: what ``BELLWIRE_RATE_LIMITS`` calls it.
        address: for limits that are counted by address; it is stored as a hash only.
        limits: as the provider declares them.
    """

    account: str
    provider: str
    address: str
    limits: tuple[Limit, ...]


class Limits:
    """The accounts' limits and pauses, for any number of threads and processes.

    Args:
        overrides: amount and seconds of an account by its provider's name, instead of the declared limits of
            accounts; those by address stay. An amount of 0 means no limit.
        down: seconds without another try after Redis did not answer.
    """

    def __init__(
        self, client: redis.Redis | None, overrides: Mapping[str, tuple[int, int]], down: float = DOWN
    ) -> None:
        self._windows = Windows(client, down)
        self._overrides = overrides
        self._queue = _Queue()

    def admit(self, asks: Sequence[Ask]) -> list[float | None]:
        """Which may go out now, the first ones first.

        One round trip when all is well and the limits are of accounts, else two or three, whatever the size of the
        batch; none for accounts without limits, but for a look at the pauses once a second.

        Returns:
            For each None, and it is counted; or the seconds that it waits.
        """
        if not asks:
            return []
        wanted = [() if self._paused(ask.account) else self._rates(ask) for ask in asks]
        if not all(wanted):
            self._windows.hear()  # what is counted hears of pauses by the way
        full = self._windows.admit(wanted)
        late: dict[Rate, int] = {}
        return [self._wait(ask, one, late) for ask, one in zip(asks, full, strict=True)]

    def pause(self, account: str, seconds: float) -> None:
        """The provider says that we are too fast: nothing goes out on this account until then, in any process."""
        self._windows.pause(account, min(max(0.0, seconds), MOST_PAUSE))

    def _wait(self, ask: Ask, full: Full, late: dict[Rate, int]) -> float | None:
        left = self._paused(ask.account)
        if left:
            return left + random.random() * max(1.0, left / 10)
        if not full:
            return None
        return max(self._turn(rate, room, late) for rate, room in full.items())

    def _turn(self, rate: Rate, room: Room, late: dict[Rate, int]) -> float:
        """The first ones of a batch are the most urgent: they come back with the next window, the others queue up."""
        before = late[rate] = late.get(rate, -1) + 1
        if before < rate.amount:
            wait = room.renewed_in + (before + random.random()) * rate.spacing
        else:
            wait = self._queue.next(rate, room.renewed_in + rate.seconds)
        return min(max(SOONEST, wait), MOST_PAUSE)

    def _paused(self, account: str) -> float:
        """Seconds."""
        pauses = self._windows.pauses
        return max(0.0, pauses[account] - time.time()) if account in pauses else 0.0

    def _rates(self, ask: Ask) -> tuple[Rate, ...]:
        override = self._overrides.get(ask.provider)
        if override is None and not ask.limits:
            return ()
        rates = [
            _rate(ask.account if limit.scope == "account" else f"{ask.account}/{_hashed(ask.address)}", limit)
            for limit in ask.limits
            if override is None or limit.scope == "address"
        ]
        if override is not None and override[0]:
            rates.append(_rate(ask.account, Limit(*override)))
        return tuple(rates)


class Caps:
    """How many messages an address gets, by channel; an amount of 0 means no cap. Webhooks and the inbox have none.

    A delivery is counted when it is admitted, so whoever asks does so once a delivery: not again after a rate limit, an
    open breaker or a failed attempt, which would use the cap up without a single message.
    """

    def __init__(self, client: redis.Redis | None, caps: Mapping[str, tuple[int, int]]) -> None:
        self._client = client
        self._caps = {channel: cap for channel, cap in caps.items() if cap[0] and channel not in FOR_MACHINES}

    @cached_property
    def _windows(self) -> Windows:
        return Windows(self._client)

    def admit(self, channel: str, keys: Sequence[str]) -> list[float | None]:
        """Who may be told one more, the first ones first.

        Args:
            keys: ``<tenant>:<address>``, as often as there are messages for it. Stored as hashes only.

        Returns:
            For each None, and it is counted; or the seconds until the window ends, the same for all of an address.
        """
        if channel not in self._caps or not keys:
            return [None] * len(keys)
        amount, seconds = self._caps[channel]
        rates = {key: Rate(f"{channel}/{_hashed(key)}", amount, seconds) for key in set(keys)}
        full = self._windows.admit([(rates[key],) for key in keys])
        return [_until_the_end(one) for one in full]


class _Queue:
    """When the next one of those that found no room has its turn, as far as this process knows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[Rate, float] = {}

    def next(self, rate: Rate, earliest: float) -> float:
        """Seconds until a turn of its own: not before `earliest`, and a spacing after the one before."""
        now = time.monotonic()
        with self._lock:
            if len(self._turns) >= REMEMBERED:
                self._turns = {one: at for one, at in self._turns.items() if at > now}
            turn = max(now + earliest, self._turns.get(rate, 0.0))
            if turn > now + earliest + MOST_WAIT:  # so far behind that its exact turn does not matter
                return earliest + MOST_WAIT * random.uniform(0.5, 1.0)
            self._turns[rate] = turn + rate.spacing
        return turn - now + random.random() * rate.spacing


def _rate(name: str, limit: Limit) -> Rate:
    """A window holds an entry for each send, so a limit of 600,000 a minute becomes one of 10,000 a second."""
    if limit.amount > MOST_ENTRIES and limit.amount >= limit.seconds:
        return Rate(name, limit.amount // limit.seconds, 1)
    return Rate(name, limit.amount, limit.seconds)


def _hashed(address: str) -> str:
    return sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _until_the_end(full: Full) -> float | None:
    """The same for all of a window, so that what it holds up comes back together."""
    for rate, room in full.items():
        own = int(rate.name[-4:], 16) / 0xFFFF * CAP_SPREAD * rate.seconds
        return max(SOONEST, room.renewed_in + own)
    return None
