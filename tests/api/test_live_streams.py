"""Whoever is connected sees at once what appears in the inbox: every tab, on every server, each once and in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import pytest

from tests.support.api import Api, running
from tests.support.show import Publisher
from tests.support.streams import Browser

N = {"id", "type", "event", "title", "content", "link_url", "link_text", "read", "created_at"}

_users = count(1)


@pytest.fixture(scope="module")
def two(
    module_database_url: str, servers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Api]]:
    """Two API processes of one installation."""
    settings = {
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
        "BELLWIRE_LIVE_HEARTBEAT": "0.5",
        "BELLWIRE_LIVE_CONNECTIONS_PER_USER": "3",
        "BELLWIRE_ENABLE_TEST_ENDPOINTS": "true",
    }
    folder = tmp_path_factory.mktemp("two")
    with (
        running(module_database_url, folder, BELLWIRE_SERVER_ID="one", **settings) as one,
        running(module_database_url, folder, BELLWIRE_SERVER_ID="two", **settings) as other,
    ):
        one.key("admin")
        yield one, other


@pytest.fixture(scope="module")
def publisher(module_database_url: str, servers: Mapping[str, str]) -> Iterator[Publisher]:
    """A worker's publishing."""
    with Publisher(module_database_url, servers["redis"]) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Where tabs are opened."""
    with Browser() as made:
        yield made


@pytest.fixture
def user() -> str:
    """Somebody whose inbox is empty."""
    return f"user-{next(_users)}"


@pytest.mark.mission("A-31")
@pytest.mark.mission("C-6")
@pytest.mark.mission("E-9")
def test_every_tab_on_every_server_is_shown_every_notification_once_and_in_order(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    tabs = [browser.sse(two[0].url, user), browser.ws(two[0].url, user), browser.sse(two[1].url, user)]
    tabs.append(browser.ws(two[1].url, user))
    publisher.tell(user, 3)
    publisher.tell(f"not {user}")
    publisher.tell(user, 40)
    for tab in tabs:
        tab.await_numbers(*range(1, 44))
        assert [one["content"] for one in tab.notifications] == [one["content"] for one in tabs[0].notifications]
