"""The one factory of Redis clients: every purpose has its own patience.

Left alone, the library tries ten times and waits five seconds each: a refused connection would cost 4 s, and a blocking
read would fail after a minute.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

Purpose = Literal["breakers", "limits", "live", "listen"]

# Seconds for one answer; None waits for ever, which only a listener may.
PATIENCE: Final[dict[Purpose, float | None]] = {
    "breakers": 0.25,  # a send waits for it, and can do without
    "limits": 0.25,  # so does a request
    "live": 1.0,  # nobody waits, but frames pile up
    "listen": None,
}
_CONNECT: Final = 1.0  # seconds at most until a connection stands
_CHECK_EVERY: Final = 15  # seconds between a listener's questions whether the other side still lives


def redis_client(url: str, purpose: Purpose) -> redis.Redis:
    """A client that may be used by several threads. It connects when it is first used and never tries twice."""
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_options(purpose))


def async_redis_client(url: str, purpose: Purpose) -> redis.asyncio.Redis:
    """The same for an event loop."""
    return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **_options(purpose))


def _options(purpose: Purpose) -> dict[str, Any]:
    patience = PATIENCE[purpose]
    return {
        "socket_timeout": patience,
        "socket_connect_timeout": min(_CONNECT, patience or _CONNECT),
        "health_check_interval": 0 if patience else _CHECK_EVERY,
    }
