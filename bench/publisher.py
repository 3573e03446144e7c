"""The upstream service: a process that publishes when it is told to, one JSON line a question on standard input.

Run as ``python -m bench.publisher``. It answers with the times (CLOCK_MONOTONIC) of its first and last message.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import aiohttp
import uvloop
from celery import Celery, chain

from bench import chain as chains
from bench import obvious
from bench.people import PLATFORMS, TENANT, name_of

EVENT_TYPE = "ssl_expiry"
HTTP_CONNECTIONS = 16

Publish = Callable[[int, int, int], None]
"""Publishes from the first number on so many, so many in a message."""


def event(number: int) -> dict[str, Any]:
    """The event `number`; each is an issue of its own."""
    return {
        "tenant": TENANT,
        "type": EVENT_TYPE,
        "severity": "high",
        "data": {"host": f"shop-{number}.example.org", "days_left": 7, "published_ns": time.monotonic_ns()},
    }


def _upstream() -> Celery:
    """The Celery app of a service that knows of Bellwire no more than a task's name and a queue."""
    return Celery("upstream", broker=os.environ["BENCH_BROKER_URL"])


def named_event(number: int, kind: str) -> dict[str, Any]:
    """The same, for one person who is reached by `kind` only; routes know the channel by the branch."""
    branch = kind if kind in {"email", "sms"} else "push"
    return {**event(number), "branch": branch, "recipients": [f"{kind}-{name_of(number)}"]}


def publish_chains(first: int, count: int, batch: int) -> None:
    """Chains of two empty tasks."""
    for _ in range(count):
        chain(chains.first.s(), chains.second.s()).delay()


def publish_singles(first: int, count: int, batch: int) -> None:
    """Empty tasks."""
    for _ in range(count):
        chains.single.delay()


def publish_obvious(first: int, count: int, batch: int) -> None:
    """A task per event for the obvious design."""
    for number in range(first, first + count):
        obvious.ingest.delay(event(number))


def bellwire_publisher(make: Callable[[int], dict[str, Any]] = event) -> Publish:
    """Events for Bellwire, `batch` in a message."""
    app = _upstream()

    def publish(first: int, count: int, batch: int) -> None:
        for start in range(first, first + count, batch):
            events = [make(number) for number in range(start, min(start + batch, first + count))]
            app.send_task("bellwire.publish", args=[events], queue="ingest")

    return publish


def http_publisher() -> Publish:
    """Events for Bellwire's API, one a request, over connections that are kept; each waits for its 202."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    session = runner.run(_open_session())

    async def post(numbers: Iterator[int]) -> None:
        for number in numbers:
            body = {name: value for name, value in event(number).items() if name != "tenant"}
            async with session.post("/v1/events", json=body) as response:
                if response.status != 202:
                    raise RuntimeError(f"the API answered {response.status}")

    async def publish_all(first: int, count: int) -> None:
        numbers = iter(range(first, first + count))
        await asyncio.gather(*(post(numbers) for _ in range(HTTP_CONNECTIONS)))

    return lambda first, count, _batch: runner.run(publish_all(first, count))


async def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        os.environ["BENCH_API_URL"],
        headers={"X-API-Key": os.environ["BENCH_API_KEY"]},
        connector=aiohttp.TCPConnector(limit=HTTP_CONNECTIONS),
    )


def people_publisher(kind: str) -> Callable[[], Publish]:
    """Events for Bellwire, each for one of the people who are reached by `kind`."""
    return lambda: bellwire_publisher(partial(named_event, kind=kind))


KINDS: dict[str, Callable[[], Publish]] = {
    "chain": lambda: publish_chains,
    "single": lambda: publish_singles,
    "obvious": lambda: publish_obvious,
    "bellwire": bellwire_publisher,
    "http": http_publisher,
    **{kind: people_publisher(kind) for kind in ("email", "sms", *PLATFORMS)},
}


def _turns(rate: float, count: int) -> Iterator[int]:
    """`count` numbers, `rate` a second."""
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        yield number


def answer(publish: Publish, question: dict[str, Any]) -> dict[str, int]:
    """Publish what is asked for: `count` events from `first` on, `batch` a message, at `rate` a second or at once."""
    first, count, batch, rate = (question[name] for name in ("first", "count", "batch", "rate"))
    began = time.monotonic_ns()
    if rate:
        for number in _turns(rate, count):
            publish(first + number, 1, 1)
    else:
        publish(first, count, batch)
    return {"began_ns": began, "ended_ns": time.monotonic_ns()}


def answer_questions(kinds: Mapping[str, Callable[[], Publish]]) -> None:
    """Answer until standard input ends."""
    publishers: dict[str, Publish] = {}
    for line in sys.stdin:
        question = json.loads(line)
        kind = question["kind"]
        if kind not in publishers:
            publishers[kind] = kinds[kind]()
        publish = publishers[kind]
        print(json.dumps(answer(publish, question)), flush=True)


if __name__ == "__main__":
    answer_questions(KINDS)
