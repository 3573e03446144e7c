"""The view of a user's push tokens in Redis (E-19), for whoever reads it there; the database is the truth.

A set `push_tokens:{tenant}:{user}` for a day after a change. It is a courtesy: written after the commit, and left as it
was when Redis does not answer.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import structlog
from redis import Redis, RedisError

from config.connections import redis_client
from config.settings import settings
from models.scope import transaction_of
from pipeline.push_tokens import active_tokens

log = structlog.get_logger(__name__)

LASTS: Final = 86_400  # seconds


@cache
def _client() -> Redis | None:
    url = settings().redis_url
    return redis_client(url.get_secret_value(), "limits") if url else None


def show_push_tokens(tenant: str, user_id: str) -> None:
    """Write a user's active tokens as they are now; none at all when there are none. For the API."""
    redis = _client()
    if redis is None:
        return
    with transaction_of(tenant) as connection:
        tokens = active_tokens(connection, tenant=tenant, user_id=user_id)
    key = f"push_tokens:{tenant}:{user_id}"
    try:
        with redis.pipeline() as pipe:
            pipe.delete(key)
            if tokens:
                pipe.sadd(key, *tokens)
                pipe.expire(key, LASTS)
            pipe.execute()
    except RedisError as error:
        log.warning("push_tokens_not_shown", problem=type(error).__name__)
