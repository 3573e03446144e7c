"""Shows stored notifications to live clients, through the channel that all API processes listen on (E-9, E-10)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import structlog
from redis import Redis, RedisError

from config.connections import redis_client
from config.settings import settings
from pipeline.inbox import Frame

log = structlog.get_logger(__name__)

NOTIFICATIONS = "ws:notification"


@cache
def _client() -> Redis | None:
    url = settings().redis_url
    return redis_client(url.get_secret_value(), "live") if url else None


def show(frames: Sequence[Frame]) -> None:
    """Publish notifications to whoever is connected. What is missed here is read from the database on reconnect."""
    _publish(
        [
            {
                "tenant": frame.tenant,
                "userId": frame.user_id,
                "sequence": frame.sequence,
                "notification": frame.notification,
                "targetServerId": None,
            }
            for frame in frames
        ]
    )


def show_unread(tenant: str, user_id: str, unread: int) -> None:
    """Publish how many notifications a user has not read, so that all tabs show the same count (A-32)."""
    _publish([{"tenant": tenant, "userId": user_id, "unread": unread, "targetServerId": None}])


def _publish(messages: Sequence[dict[str, Any]]) -> None:
    client = _client() if messages else None
    if client is None:
        return
    try:
        with client.pipeline(transaction=False) as pipe:
            for message in messages:
                pipe.publish(NOTIFICATIONS, json.dumps(message, ensure_ascii=False))
            pipe.execute()
    except RedisError as error:
        log.warning("live_not_shown", messages=len(messages), problem=type(error).__name__)
