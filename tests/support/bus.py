"""The bus intake and those who publish to it."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from kombu import Connection, Exchange, Producer

from config.queue import events_exchange
from tests.support.installation import Installation
from tests.support.process import Process
from tests.support.waiting import wait_until

LISTENING = '"event": "listening"'


def listening(site: Installation, times: int = 1) -> Process:
    """A bus that listens, for the so many-th time in its life."""
    bus = next((one for one in site.processes if one.name == "bus"), None) or site.start_bus()
    wait_until(lambda: bus.log.read_text().count(LISTENING) >= times, lambda: f"the bus\n{bus.last_words()}", 40)
    return bus


def publish(site: Installation, *messages: Any, **properties: Any) -> None:
    """Publish messages as any program of the platform would: JSON, no Celery. Bytes go out as they are."""
    where = events_exchange()
    with Connection(site.broker_url) as connection, connection.channel() as channel:
        producer = Producer(channel, Exchange(where.name, type=where.type, durable=True))
        for message in messages:
            body = message if isinstance(message, bytes) else json.dumps(message).encode()
            producer.publish(
                body, routing_key="task.failed", content_type="application/json", content_encoding="utf-8", **properties
            )


def an_event(**more: Any) -> dict[str, Any]:
    """An event that nobody has published before."""
    return {"type": "task.failed", "tenant": "acme", "data": {"task": uuid4().hex}, **more}


def stored(site: Installation, *events: dict[str, Any], seconds: float = 20.0) -> list[dict[str, Any]]:
    """Wait until all these events are stored; the rows of them, duplicates too."""
    tasks = [event["data"]["task"] for event in events]
    count = "SELECT count(DISTINCT data->>'task') AS n FROM events WHERE data->>'task' = ANY(%(tasks)s)"
    wait_until(
        lambda: site.value(count, tasks=tasks) == len(tasks),
        lambda: f"{len(tasks)} events, of which {site.value(count, tasks=tasks)} are there",
        seconds,
    )
    return site.rows("SELECT *, xmin::text AS batch FROM events WHERE data->>'task' = ANY(%(tasks)s)", tasks=tasks)


def nothing_is_left(site: Installation) -> None:
    """Wait until the broker has no message more, and none that is not confirmed."""
    with Connection(site.broker_url) as connection, connection.channel() as channel:
        wait_until(lambda: channel.client.hlen("unacked") == 0, "all to be confirmed")
        wait_until(lambda: channel.client.llen(events_exchange().queue) == 0, "the queue to be empty")
