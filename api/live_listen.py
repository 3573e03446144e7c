"""The one subscription of a process: what other processes publish reaches the hub (E-9, E-10)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from redis import RedisError
from redis.asyncio.client import PubSub

from api.hub import Hub
from config.connections import async_redis_client
from tasks.live import BROADCASTS, NOTIFICATIONS

log = structlog.get_logger(__name__)

QUIET: Final = 5.0  # seconds without a word until the other side is asked whether it lives
TURN: Final = 50  # messages until others get their turn: what has arrived already is read without waiting
LONGEST_PAUSE: Final = 3.0  # seconds between two attempts to connect


async def listen(hub: Hub, url: str, subscribed: Callable[[], None]) -> None:
    """Listen for ever. `subscribed` is called whenever a subscription begins: what was published before is missing."""
    pause = 0.1
    while True:
        client = async_redis_client(url, "listen")
        try:
            async with client.pubsub() as channel:
                await channel.subscribe(NOTIFICATIONS, BROADCASTS)
                await _pass_on(hub, channel, subscribed)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("live_subscription_lost", problem=type(error).__name__)
        finally:
            with suppress(RedisError, OSError):
                await client.aclose()
        pause = 0.1 if hub.subscribed else min(LONGEST_PAUSE, pause * 2)
        hub.subscribed = False
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))


async def _pass_on(hub: Hub, channel: PubSub, subscribed: Callable[[], None]) -> None:
    asked = False
    taken = 0
    while True:
        message = await channel.get_message(timeout=QUIET)
        if message is None:
            if asked:
                raise TimeoutError
            await channel.ping("still there?")
            asked = True
            continue
        asked = False
        if message["type"] == "message":
            _receive(hub, message)
        elif message["type"] == "subscribe" and message["data"] == 2:  # the second of two channels
            hub.subscribed = True
            subscribed()
        taken += 1
        if taken % TURN == 0:
            await asyncio.sleep(0)


def _receive(hub: Hub, message: dict[str, Any]) -> None:
    """Whatever others publish there, it must not end the subscription."""
    try:
        hub.receive(message["channel"].decode(), json.loads(message["data"]))
    except Exception as error:
        log.warning("live_message_not_used", problem=type(error).__name__)
