"""API, beat, broker and everything at once: what was answered with 202 is delivered, whatever dies."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.support.installation import Api, Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

AT_ONCE = 2.0  # seconds; on an idle machine it is a few milliseconds
NOT_NOW = Reply(429, headers={"Retry-After": "1"})


class Upstream:
    """Services that publish one event after the other over HTTP, each until it is told 202."""

    def __init__(self, api: Api, key: str, senders: int) -> None:
        self.api = api
        self.accepted: list[dict[str, Any]] = []
        self._key = key
        self._stop = threading.Event()
        self._numbers = iter(range(1_000_000))
        self._threads = [threading.Thread(target=self._publish, daemon=True) for _ in range(senders)]

    def _publish(self) -> None:
        while not self._stop.is_set():
            (event,) = numbered("upstream", [next(self._numbers)])
            idempotency_key = str(uuid4())
            while not self._is_accepted(event, idempotency_key):
                time.sleep(0.1)
            self.accepted.append(event)

    def _is_accepted(self, event: dict[str, Any], idempotency_key: str) -> bool:
        body = {name: value for name, value in event.items() if name != "tenant"}
        try:
            answer = self.api.post("/v1/events", self._key, body, **{"Idempotency-Key": idempotency_key})
        except requests.RequestException:
            return False
        assert answer.status_code in {202, 503}, answer.text
        return answer.status_code == 202

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Publish nothing new; return when the last event has been accepted."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)


@contextmanager
def publishing(api: Api, key: str, senders: int = 4) -> Iterator[Upstream]:
    """Upstream services at work while the block lasts."""
    upstream = Upstream(api, key, senders)
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()


@pytest.fixture
def key(site: Installation, receiver: HttpReceiver) -> str:
    """The tenant's key; everything that it publishes goes to the receiver."""
    made = site.set_up(webhooks={"all": {"url": f"{receiver.url}/all"}}, keys=["publisher"])
    key: str = made["keys"]["publisher"]
    return key


def test_a_killed_api_has_stored_all_that_it_answered(
    site: Installation, receiver: HttpReceiver, chance: random.Random, key: str
) -> None:
    site.start_worker()
    api = site.start_api()
    with publishing(api, key) as upstream:
        for _ in range(2):
            time.sleep(chance.uniform(0.3, 1.0))
            api.process.kill_all()
            upstream.api = api = site.start_api(api.port)
    site.wait_until_settled(len(upstream.accepted))
    check_invariants(site, receiver, upstream.accepted, duplicates=False)
    assert len(upstream.accepted) > 8


def away(servers: Servers) -> None:
    """Nobody listens."""
    servers.valkey.kill()


def frozen(servers: Servers) -> None:
    """It takes connections and says nothing."""
    servers.valkey.freeze()


@pytest.mark.parametrize("harm", [away, frozen])
def test_without_a_broker_the_api_takes_events_at_once_and_workers_find_them(
    site: Installation,
    servers: Servers,
    receiver: HttpReceiver,
    chance: random.Random,
    key: str,
    harm: Callable[[Servers], None],
) -> None:
    receiver.script("/all", NOT_NOW, Reply(), each=True)
    site.start_worker()
    api = site.start_api()
    published = numbered("unheard", range(chance.randint(10, 30)))
    harm(servers)
    try:
        assert slowest(api, key, published) < AT_ONCE
        site.wait_until_settled(len(published), 30)
    finally:
        servers.valkey.kill()
        servers.start_valkey()
    more = numbered("heard", range(10))
    slowest(api, key, more)
    site.wait_until_settled(len(published) + len(more))
    check_invariants(site, receiver, published + more, duplicates=False)


def test_events_that_were_taken_without_broker_and_workers_are_delivered_when_both_are_back(
    site: Installation, servers: Servers, receiver: HttpReceiver, key: str
) -> None:
    api = site.start_api()
    published = numbered("alone", range(20))
    servers.valkey.kill()
    try:
        assert slowest(api, key, published) < AT_ONCE
        wait_until(lambda: "bell_not_rung" in api.process.log.read_text(), "the API to give up ringing")
    finally:
        servers.start_valkey()
    site.start_worker()
    site.wait_until_settled(len(published))
    check_invariants(site, receiver, published, duplicates=False)


@pytest.mark.mission("B-13")
@pytest.mark.parametrize("beats", [0, 2])
def test_two_beats_or_a_dead_one_change_nothing_that_arrives(
    site: Installation, receiver: HttpReceiver, chance: random.Random, key: str, beats: int
) -> None:
    published = numbered("beaten", range(chance.randint(20, 60)))
    receiver.script("/all", NOT_NOW, NOT_NOW, Reply(wait=2.0), each=True)
    site.start_worker()
    running = [site.start_beat(f"beat{number}") for number in range(max(beats, 1))]
    site.publish(published)
    wait_until(lambda: receiver.received, "the first to arrive")
    if not beats:
        running[0].kill()
    site.wait_until_settled(len(published))
    check_invariants(site, receiver, published, duplicates=False)
    assert all(beat.lives() for beat in running) is bool(beats)


def test_everything_dies_at_once_and_goes_on_where_it_was(
    site: Installation, servers: Servers, receiver: HttpReceiver, chance: random.Random, key: str
) -> None:
    receiver.script("/all", NOT_NOW, Reply(wait=chance.uniform(2.0, 4.0)), each=True)

    def start_all(port: int | None = None) -> Api:
        site.start_worker()
        site.start_beat()
        return site.start_api(port)

    api = start_all()
    with publishing(api, key) as upstream:
        wait_until(lambda: len(receiver.received) > 20, "deliveries to be under way")
        site.wait_until_processing(5)
        for process in [*site.processes, servers.valkey, servers.postgres]:
            process.kill_all()
        servers.start_valkey()
        servers.start_postgres()
        upstream.api = start_all(api.port)
        time.sleep(1.0)
    site.wait_until_settled(len(upstream.accepted), 60)
    check_invariants(site, receiver, upstream.accepted)


def slowest(api: Api, key: str, events: list[dict[str, Any]]) -> float:
    """Publish one by one; seconds that the slowest answer took, all of which are 202."""
    taken = []
    for event in events:
        began = time.monotonic()
        body = {name: value for name, value in event.items() if name != "tenant"}
        assert api.post("/v1/events", key, body).status_code == 202
        taken.append(time.monotonic() - began)
    return max(taken)
