"""Messages that are no messages: each costs itself, and nothing that comes after it."""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver

pytestmark = [pytest.mark.faults]

PICKLE = "application/x-python-serialize"
QUEUES = ("ingest", "deliver.webhook", "sweep")


class Harmful:
    """What a pickle runs in whoever loads it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


def envelope(
    body: bytes, *, task: str = "bellwire.publish", content_type: str = "application/json", **headers: Any
) -> bytes:
    """A message as kombu lays it into a list of Redis."""
    told: Mapping[str, Any] = {"task": task, "id": str(uuid4()), "lang": "py", **headers}
    properties = {
        "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "ingest"},
        "delivery_tag": str(uuid4()),
        "priority": 0,
    }
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": content_type,
            "headers": {name: value for name, value in told.items() if value is not None},
            "properties": properties,
        }
    ).encode()


def bare(body: Any, task: str = "bellwire.publish") -> bytes:
    """A message whose body is what no client sends: JSON instead of text."""
    message = json.loads(envelope(b"", task=task))
    del message["properties"]["body_encoding"]
    return json.dumps({**message, "body": body}).encode()


def poisons(chance: random.Random, trace: Path) -> dict[str, bytes]:
    """Everything that anybody with access to the broker may leave there."""
    harmful = pickle.dumps([[Harmful(trace)], {}, {}])
    noise = chance.randbytes(chance.randint(1, 200))
    event = json.dumps([[numbered("poison", [0])[0]], {}, {}]).encode()
    return {
        "random bytes": b"\xff" + noise,
        "no envelope": b"42",
        "half an envelope": envelope(event)[: chance.randint(1, 300)],
        "an empty object": b"{}",
        "a body of random bytes": envelope(b"\xff" + noise),
        "a delivery of random bytes": envelope(b"\xff" + noise, task="bellwire.deliver.webhook"),
        "a pickle": envelope(harmful, content_type=PICKLE),
        "a pickle of a delivery": envelope(harmful, task="bellwire.deliver.webhook", content_type=PICKLE),
        "no body": bare(None),
        "a number for a body": bare(5),
        "an object for a body": bare({"a": 1}),
        "a list for a body": bare([1]),
        "a delivery without a body": bare(None, "bellwire.deliver.webhook"),
        "a delivery of an object": bare({"a": 1}, "bellwire.deliver.webhook"),
        "an unknown task": envelope(event, task="bellwire.unheard_of"),
        "no task": envelope(event, task=None),  # type: ignore[arg-type]
        "no id": envelope(b'[["hello"], {}, {}]', id=None),
        "no arguments": envelope(b"[[], {}, {}]"),
        "two arguments": envelope(b"[[1, 2], {}, {}]"),
        "no list of arguments": envelope(b'{"a": 1}'),
        "an event that is none": envelope(b'[["hello"], {}, {}]'),
        "a stranger's tenant": envelope(json.dumps([numbered("poison", [0], tenant="nobody"), {}, {}]).encode()),
        "a delivery of nonsense": envelope(b'[[{"a": [1]}], {"b": 2}, {}]', task="bellwire.deliver.webhook"),
        "an ingest of nonsense": envelope(b'[[["no uuid"]], {}, {}]', task="bellwire.ingest"),
    }


def test_poison_in_every_queue_stops_no_worker_and_no_event(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    trace = site.folder / "poisoned"
    site.set_up(webhooks={"all": {"url": f"{receiver.url}/all"}})
    worker = site.start_worker()
    children = worker.children()
    given = poisons(chance, trace)
    published = []
    with redis.Redis.from_url(site.broker_url.replace("redis+socket", "unix").replace("virtual_host", "db")) as broker:
        for number, (name, poison) in enumerate(chance.sample(sorted(given.items()), len(given))):
            for queue in QUEUES:
                broker.lpush(queue, poison)
            published += numbered("poison.after", [number])
            site.publish(published[-1])
            wait_until(lambda: worker.lives(), name, 0)
            site.wait_until_settled(len(published))
        wait_until(lambda: not any(broker.llen(queue) for queue in QUEUES), "the queues to be empty")
    assert worker.children() == children
    assert not trace.exists()
    check_invariants(site, receiver, published, duplicates=False)
    kept = {row["error"] for row in site.rows("SELECT error FROM rejections")}
    assert kept >= {
        "is not UTF-8",
        "args: must be one event or one list of events",
        "must be a JSON object",
        "events[0].tenant: is not a tenant of this installation",
    }
