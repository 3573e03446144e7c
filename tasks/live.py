"""Shows stored notifications to live clients, through the channel that all API processes listen on (E-9, E-10)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import quote

import structlog
from redis import Redis, RedisError

from config.connections import redis_client
from config.settings import settings
from pipeline.acknowledge import Acknowledged, Marked
from pipeline.inbox import Frame

log = structlog.get_logger(__name__)

NOTIFICATIONS = "ws:notification"
BROADCASTS = "ws:broadcast"

MOST_TOGETHER: Final = 500  # in one message, of those whom an acknowledgement concerns
NEWEST: Final = 25  # notifications of one issue that a user's tabs hear of, as many as they show at first


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


def show_acknowledged(tenant: str, taken: Acknowledged) -> None:
    """Publish who took an issue to all who were told of it, so that no second one takes it; nothing unless it was
    taken just now. An issue may concern thousands: many go in one message, and nobody asks who is there."""
    said = {name: taken.notification[name] for name in ("ack_by_user_id", "ack_at", "ack_note", "status")}
    concerned = [[one.user_id, one.id, one.customer_id] for one in _newest(taken.marked)]
    messages = [concerned[start : start + MOST_TOGETHER] for start in range(0, len(concerned), MOST_TOGETHER)]
    document = {"tenant": tenant, "acknowledged": said, "targetServerId": None}
    _publish([{**document, "notifications": some} for some in messages])


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


def _newest(marked: Sequence[Marked]) -> Iterator[Marked]:
    """The newest of each user; ids are in the order of time."""
    of_user: Counter[str] = Counter()
    for one in sorted(marked, key=lambda one: one.id, reverse=True):
        of_user[one.user_id] += 1
        if of_user[one.user_id] <= NEWEST:
            yield one


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
