"""Breakers in Redis, shared by all processes: one script to ask for a batch, one to tell, a round trip each.

The rows are those of pybreaker's `CircuitRedisStorage`: a plain `CircuitBreaker` over the same Redis agrees.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from typing import Any, Final

import redis
from pybreaker import CircuitRedisStorage

from channels.breaker_state import Standing

PREFIX: Final = "bellwire:breaker:"
NOT_CLOSED: Final = "bellwire:breakers"  # the set of those that are open or half-open
KEEP: Final = 86400  # seconds after which failures in a row are forgotten

# KEYS: rows. ARGV: who asks, milliseconds of a probe. Answers only about rows with failures:
# {position, state, failures, milliseconds to wait, whether the asker has the probe}
_CHECK: Final = """
local answers = {}
for position, row in ipairs(KEYS) do
  local found = redis.call('MGET', row .. 'state', row .. 'fail_counter')
  local state, failures = found[1] or 'closed', tonumber(found[2] or 0)
  if state ~= 'closed' then
    local wait, probe = redis.call('PTTL', row .. 'until'), 0
    if wait > 0 then
      state = 'open'
    elseif redis.call('SET', row .. 'probe', ARGV[1], 'NX', 'PX', ARGV[2]) then
      redis.call('SET', row .. 'state', 'half-open', 'KEEPTTL')
      state, wait, probe = 'half-open', tonumber(ARGV[2]), 1
    else
      wait = redis.call('PTTL', row .. 'probe')
    end
    answers[#answers + 1] = {position, state, failures, wait, probe}
  elseif failures > 0 then
    answers[#answers + 1] = {position, state, failures, 0, 0}
  end
end
return answers
"""

# KEYS: the set of those not closed, then rows. ARGV: who tells, fail_max, milliseconds of being open, seconds to keep,
# then for each row its outcomes in order. Answers {state, failures, milliseconds to wait} for each.
_RECORD: Final = """
local teller, fail_max, open_for, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local answers = {}
for position = 2, #KEYS do
  local row = KEYS[position]
  local found = redis.call('MGET', row .. 'state', row .. 'fail_counter', row .. 'probe')
  local state, failures = found[1] or 'closed', tonumber(found[2] or 0)
  local trips = false
  for outcome in string.gmatch(ARGV[position + 3], '.') do
    if state == 'closed' then
      failures = outcome == '1' and 0 or failures + 1
      trips = failures >= fail_max
    elseif state == 'half-open' and (not found[3] or found[3] == teller) then
      if outcome == '1' then state, failures = 'closed', 0 else trips = true end
    end
    if trips then state = 'open' break end
  end
  if trips then
    redis.call('SET', row .. 'state', 'open', 'EX', keep)
    redis.call('SET', row .. 'fail_counter', failures, 'EX', keep)
    redis.call('SET', row .. 'opened_at', redis.call('TIME')[1], 'EX', keep)
    redis.call('SET', row .. 'until', '1', 'PX', open_for)
    redis.call('DEL', row .. 'probe')
    redis.call('SADD', KEYS[1], row)
  elseif state == 'closed' and failures > 0 then
    redis.call('SET', row .. 'fail_counter', failures, 'EX', keep)
  elseif state == 'closed' then
    redis.call('DEL', row .. 'state', row .. 'fail_counter', row .. 'opened_at', row .. 'until', row .. 'probe')
    redis.call('SREM', KEYS[1], row)
  end
  answers[#answers + 1] = {state, failures, math.max(0, redis.call('PTTL', row .. 'until'))}
end
return answers
"""

_STATES: Final = """
local answers = {}
for _, row in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local found = redis.call('MGET', row .. 'state', row .. 'fail_counter')
  if found[1] then
    local wait = math.max(redis.call('PTTL', row .. 'until'), redis.call('PTTL', row .. 'probe'), 0)
    answers[#answers + 1] = {row, found[1], tonumber(found[2] or 0), wait}
  else
    redis.call('SREM', KEYS[1], row)
  end
end
return answers
"""


class RedisBreakers:
    """The breakers of all processes. Every method raises `redis.RedisError` when Redis does not answer."""

    def __init__(self, client: redis.Redis, fail_max: int, reset_timeout: float, probe_seconds: float) -> None:
        self._me = secrets.token_hex(8)
        self._fail_max = fail_max
        self._open_for = round(reset_timeout * 1000)
        self._probe_for = round(probe_seconds * 1000)
        self._check = client.register_script(_CHECK)
        self._record = client.register_script(_RECORD)
        self._states = client.register_script(_STATES)

    def check(self, keys: Collection[str]) -> dict[str, Standing]:
        """How the breakers stand that have failures, giving out a probe where one is due."""
        asked = list(keys)
        answers: list[Any] = self._check(keys=[row(key) for key in asked], args=[self._me, self._probe_for])
        return {
            asked[position - 1]: Standing(state.decode(), failures, wait / 1000, bool(probe))
            for position, state, failures, wait, probe in answers
        }

    def record(self, outcomes: Mapping[str, str]) -> dict[str, Standing]:
        """Take results in, ``1`` for a success and ``0`` for a failure, in order, and return how things stand then."""
        answers: list[Any] = self._record(
            keys=[NOT_CLOSED, *(row(key) for key in outcomes)],
            args=[self._me, self._fail_max, self._open_for, KEEP, *outcomes.values()],
        )
        return {
            key: Standing(state.decode(), failures, wait / 1000)
            for key, (state, failures, wait) in zip(outcomes, answers, strict=True)
        }

    def states(self) -> dict[str, Standing]:
        """Those that are not closed."""
        answers: list[Any] = self._states(keys=[NOT_CLOSED])
        return {
            name.decode().removeprefix(PREFIX).removesuffix(_SUFFIX): Standing(state.decode(), failures, wait / 1000)
            for name, state, failures, wait in answers
        }


_SUFFIX: Final = f":{CircuitRedisStorage.BASE_NAMESPACE}:"


def row(key: str) -> str:
    """What the names of a breaker's keys begin with, as pybreaker makes them in the namespace `PREFIX` and key."""
    return f"{PREFIX}{key}{_SUFFIX}"
