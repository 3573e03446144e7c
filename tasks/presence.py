"""Who is connected live, as all API processes say in Redis (E-4)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import structlog
from redis import Redis, RedisError

from config.connections import redis_client
from config.settings import settings
from tasks.live import presence_key

log = structlog.get_logger(__name__)


@cache
def _client() -> Redis | None:
    url = settings().redis_url
    return redis_client(url.get_secret_value(), "limits") if url else None


def who_is_present(users: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of these users, as tenant and id, who have a live connection; one round trip, none for nobody.

    Whether somebody is connected is not known while Redis is away: then nobody is, and is told by email as well.
    """
    asked = sorted(set(users))
    client = _client() if asked else None
    if client is None:
        return frozenset()
    try:
        with client.pipeline(transaction=False) as pipe:
            for tenant, user_id in asked:
                pipe.exists(presence_key(tenant, user_id))
            return frozenset(user for user, found in zip(asked, pipe.execute(), strict=True) if found)
    except RedisError as error:
        log.warning("presence_not_known", users=len(asked), problem=type(error).__name__)
        return frozenset()
