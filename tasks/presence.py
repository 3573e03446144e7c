"""Who is connected live, as all API processes say in Redis (E-4)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
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


def who_is_present(users: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Those of these users, as tenant and id, who have a live connection, and since when, in seconds since 1970.

    Of several connections the longest counts. One round trip, none for nobody. Whether somebody is connected is not
    known while Redis is away: then nobody is, and is told by email as well.
    """
    asked = sorted(set(users))
    client = _client() if asked else None
    if client is None:
        return {}
    try:
        with client.pipeline(transaction=False) as pipe:
            for tenant, user_id in asked:
                pipe.hvals(presence_key(tenant, user_id))
            found = zip(asked, pipe.execute(), strict=True)
            return {user: min(map(_since, entries)) for user, entries in found if entries}
    except (RedisError, ValueError, KeyError) as error:
        log.warning("presence_not_known", users=len(asked), problem=type(error).__name__)
        return {}


def _since(entry: bytes) -> float:
    return datetime.fromisoformat(json.loads(entry)["connectedAt"]).timestamp()
