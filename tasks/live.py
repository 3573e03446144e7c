"""Shows stored notifications to live clients, through the channel that all API processes listen on (E-9, E-10)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

import structlog
from redis import Redis, RedisError

from config.connections import redis_client
from config.settings import settings
from pipeline.inbox import Frame

log = structlog.get_logger(__name__)

NOTIFICATIONS = "ws:notification"
BROADCASTS = "ws:broadcast"


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


def show_directly(tenant: str, user_ids: Sequence[str] | None, notification: Mapping[str, Any]) -> bool:
    """Publish a notification that is in nobody's inbox, to users or to the whole tenant; whether it was published."""
    message = {"tenant": tenant, "sequence": None, "notification": notification, "targetServerId": None}
    users: Sequence[str | None] = [None] if user_ids is None else user_ids
    return _publish([{**message, "userId": user_id} for user_id in users])


def broadcast(tenant: str, message: str, sender_id: str, timestamp: str) -> bool:
    """Publish a message to everyone connected in a tenant (E-10); whether it was published. Nobody keeps it."""
    document = {"tenant": tenant, "message": message, "senderId": sender_id, "timestamp": timestamp}
    return _publish([{**document, "targetServerId": None}], BROADCASTS)


def presence_key(tenant: str, user_id: str) -> str:
    """Where Redis has a user's connections (E-4): connection -> ``{serverId, connectedAt, deviceId}``."""
    return f"ws:connections:{quote(tenant, safe='')}:{user_id}"


def _publish(messages: Sequence[dict[str, Any]], channel: str = NOTIFICATIONS) -> bool:
    client = _client() if messages else None
    if client is None:
        return not messages
    try:
        with client.pipeline(transaction=False) as pipe:
            for message in messages:
                pipe.publish(channel, json.dumps(message))
            pipe.execute()
    except RedisError as error:
        log.warning("live_not_shown", messages=len(messages), problem=type(error).__name__)
        return False
    return True
