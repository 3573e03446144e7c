"""Moving windows in Redis, shared by all processes: the scripts of `limits`, a whole batch of them in one round trip.

Called one by one, as the library does, two hundred addresses would cost two hundred round trips.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis
from limits.storage import RedisStorage
from redis.exceptions import NoScriptError

from channels.limits_state import Pauses, Rate, Room, item_of, room_of

PREFIX: Final = "bellwire:limits"
PAUSED: Final = f"{PREFIX}:paused"  # accounts by the time until which they are paused


class RedisWindows:
    """The windows of all processes. Every method raises `redis.RedisError` when Redis does not answer.

    A window is the list of its moments, the newest first: taking n places costs n entries of some 20 bytes until the
    window has passed. The moments are those of our clocks, so machines have to agree on the time.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._storage = RedisStorage("redis://", connection_pool=client.connection_pool, key_prefix=PREFIX)

    def look(self, rates: Sequence[Rate]) -> tuple[list[Room], Pauses]:
        """What is free, and who is paused."""
        now = time.time()
        calls = [(self._key(rate), now - rate.seconds, rate.amount) for rate in rates]
        answers, pauses = self._run(self._storage.lua_moving_window, calls, now)
        rooms = []
        for rate, answer in zip(rates, answers, strict=True):
            oldest, used = answer or (now, 0)
            rooms.append(room_of(rate, used, float(oldest), now))
        return rooms, pauses

    def take(self, costs: Mapping[Rate, int]) -> tuple[set[Rate], Pauses]:
        """Take so many places of each, all or none of a rate. Those of which there were none, and who is paused."""
        now = time.time()
        calls = [(self._key(rate), now, rate.amount, rate.seconds, cost) for rate, cost in costs.items()]
        answers, pauses = self._run(self._storage.lua_acquire_moving_window, calls, now)
        return {rate for rate, answer in zip(costs, answers, strict=True) if not answer}, pauses

    def paused(self) -> Pauses:
        """Who is paused, and until when."""
        return _pauses(self._client.zrange(PAUSED, time.time(), "inf", byscore=True, withscores=True))

    def pause(self, account: str, until: float) -> None:
        """Pause an account; a longer pause is not cut short."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(PAUSED, {account: until}, gt=True)
            pipe.zremrangebyscore(PAUSED, "-inf", time.time())
            pipe.execute()

    def _key(self, rate: Rate) -> str:
        return self._storage.prefixed_key(item_of(rate).key_for(rate.name))

    def _run(self, script: Any, calls: Sequence[tuple[Any, ...]], now: float) -> tuple[list[Any], Pauses]:
        """A script for each call and the pauses, in one round trip; two more when Redis does not know the script."""
        answers = self._try(script, calls, now)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            self._client.script_load(script.script)
            answers = self._try(script, calls, now)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers[1:], _pauses(answers[0])

    def _try(self, script: Any, calls: Sequence[tuple[Any, ...]], now: float) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zrange(PAUSED, now, "inf", byscore=True, withscores=True)
            for key, *arguments in calls:
                pipe.evalsha(script.sha, 1, key, *arguments)
            return pipe.execute(raise_on_error=False)


def _pauses(rows: Any) -> Pauses:
    return {account.decode(): until for account, until in rows}
