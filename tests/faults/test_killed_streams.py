"""A thousand open streams on two servers: whichever dies, stops or is away, each tab shows everything once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

import pytest

from bench.crowd import Client, Crowd
from tests.support.api import token
from tests.support.installation import TENANT, Api, Installation
from tests.support.servers import Servers
from tests.support.show import Publisher
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

USERS = 200
TABS = ("sse", "sse", "websocket", "websocket", "sse")  # of each user, in turn at the one and at the other server
HEARTBEAT = 2.0  # seconds
PATIENCE = 4 * HEARTBEAT


class Tabs:
    """The clients, on an event loop in a thread of its own."""

    def __init__(self, users: Sequence[str], secret: str, *servers: Api) -> None:
        self.crowd = Crowd([("127.0.0.1", server.port) for server in servers], patience=PATIENCE)
        self._tokens = {user: token(user, TENANT, secret=secret) for user in users}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for server in range(len(self.crowd.addresses)):
            framings = [framing for number, framing in enumerate(TABS) if number % 2 == server]
            people = [(framing, *known) for framing in framings for known in self._tokens.items()]
            self._do(self.crowd.open(people, server)).result(60)
        self._watching = self._do(self.crowd.watch())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        self._do(self.crowd.close()).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def await_all(self, told: Counter[str], seconds: float = 40) -> None:
        """Wait until every tab has been shown as many as its user was told, and see that they are those, in order."""
        wait_until(lambda: not self._lacking(told), lambda: f"tabs that miss something: {self._lacking(told)}", seconds)
        assert [one for one in self.crowd.clients if one.numbers != list(range(1, told[one.user] + 1))] == []

    def cut(self) -> int:
        """How many tabs were cut off at least once."""
        return sum(client.cuts > 0 for client in self.crowd.clients)

    def _lacking(self, told: Counter[str]) -> list[tuple[str, str, list[int]]]:
        lacking = [one for one in self.crowd.clients if len(one.numbers) < told[one.user]]
        return [_told(one) for one in lacking[:3]]

    def _do(self, work: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class Talk:
    """Notifications for everybody, one round after the other, until it is told to stop."""

    def __init__(self, publisher: Publisher, users: Sequence[str]) -> None:
        self.told: Counter[str] = Counter()
        self._users = users
        self._publisher = publisher
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)

    def await_more(self, count: int) -> None:
        """Wait until so many more were told."""
        before = self.told.total()
        wait_until(lambda: self.told.total() >= before + count, "notifications to be published", 40)

    def _run(self) -> None:
        while True:
            for user in self._users:
                if self._stop.is_set():
                    return
                self._publisher.tell(user, 2, tenant=TENANT)
                self.told[user] += 2


@pytest.fixture(scope="module")
def site(servers: Servers) -> Iterator[Installation]:
    """An installation."""
    with servers.install(LIVE_HEARTBEAT=str(HEARTBEAT)) as made:
        made.set_up()
        yield made


@pytest.fixture(scope="module")
def survivor(site: Installation) -> Api:
    """The server that nothing happens to."""
    return site.start_api()


@pytest.fixture
def server(site: Installation) -> Iterator[Api]:
    """The server that something happens to."""
    made = site.start_api()
    yield made
    made.process.end()


@pytest.fixture(scope="module")
def publisher(site: Installation) -> Iterator[Publisher]:
    """A worker's publishing."""
    with Publisher(site.database_url, site.redis_url) as made:
        yield made


@pytest.fixture
def users(request: pytest.FixtureRequest) -> list[str]:
    """Those whom only this test knows."""
    return [f"{request.node.name}-{number}" for number in range(USERS)]


@pytest.fixture
def talk(publisher: Publisher, users: list[str]) -> Talk:
    """To be begun by the test."""
    return Talk(publisher, users)


@pytest.fixture
def tabs(site: Installation, users: list[str], server: Api, survivor: Api) -> Iterator[Tabs]:
    """A thousand tabs, which were shown nothing yet."""
    with Tabs(users, site.environment["BELLWIRE_JWT_SECRET"], server, survivor) as made:
        yield made


@pytest.mark.mission("E-9", "D-16")
def test_tabs_of_a_killed_server_go_on_at_the_other_without_a_gap_or_a_double(
    tabs: Tabs, talk: Talk, server: Api
) -> None:
    with talk:
        talk.await_more(200)
        server.process.kill()
        talk.await_more(200)
    tabs.await_all(talk.told)
    assert tabs.cut() == USERS * 3


def test_tabs_of_a_frozen_server_go_on_at_the_other_and_see_nothing_twice_when_it_thaws(
    tabs: Tabs, talk: Talk, server: Api
) -> None:
    with talk:
        talk.await_more(200)
        server.process.freeze()
        talk.await_more(200)
        wait_until(lambda: tabs.cut() >= USERS * 3, lambda: f"tabs to leave: {tabs.cut()}", 40)
        server.process.thaw()
        talk.await_more(200)
    tabs.await_all(talk.told)


def test_nobody_misses_anything_while_valkey_is_away_and_when_it_comes_back_empty(
    servers: Servers, tabs: Tabs, talk: Talk
) -> None:
    with talk:
        talk.await_more(200)
        servers.valkey.kill()
        talk.await_more(200)
        servers.start_valkey()
        talk.await_more(200)
    tabs.await_all(talk.told)


def _told(client: Client) -> tuple[str, str, list[int]]:
    return client.framing, client.user, client.numbers
