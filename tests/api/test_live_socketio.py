"""Socket.IO clients are shown what all others are: by polling and by WebSocket, once, in order, wherever they are."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import NullPool, create_engine, text

from models.engine import normalised
from tests.support.api import Api, running, token
from tests.support.show import Publisher
from tests.support.sockets import BOTH, PATH, Transport, begin_polling, close_socket, open_socket
from tests.support.streams import Browser
from tests.support.waiting import wait_until

N = {"id", "type", "event", "title", "content", "link_url", "link_text", "read", "created_at"}

UNANSWERED = 7.0  # seconds: a poll that nobody answers takes nine
WAITING = text("SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'inboxes'::regclass AND NOT granted)")

_users = count(1)


@pytest.fixture(scope="module")
def settings(servers: Mapping[str, str]) -> dict[str, str]:
    """An installation's."""
    return {
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
        "BELLWIRE_LIVE_HEARTBEAT": "2",
        "BELLWIRE_LIVE_CONNECTIONS_PER_USER": "3",
        "BELLWIRE_ENABLE_TEST_ENDPOINTS": "true",
        "BELLWIRE_CORS_ORIGINS": "https://app.example.org",
    }


@pytest.fixture(scope="module")
def two(
    module_database_url: str, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Api]]:
    """Two API processes of one installation."""
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


@pytest.mark.mission("A-5")
@pytest.mark.mission("A-31")
@pytest.mark.mission("E-9")
def test_every_tab_of_any_framing_is_shown_every_notification_once_and_in_order(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    tabs: list[Any] = [open_socket(browser, two[0].url, transport, {"token": token(user)}) for transport in BOTH]
    tabs += [open_socket(browser, two[1].url, "websocket", {"token": token(user)}), browser.ws(two[1].url, user)]
    publisher.tell(user, 3)
    publisher.tell(f"not {user}")
    publisher.tell(user, 40)
    for tab in tabs:
        tab.await_numbers(*range(1, 44))
        assert tab.notifications == tabs[-1].notifications
        assert tab.notifications[0].keys() >= N


@pytest.mark.parametrize("transport", BOTH)
def test_more_at_once_than_may_wait_for_a_tab_arrives_all_the_same(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str, transport: Transport
) -> None:
    tab = open_socket(browser, two[0].url, transport, {"token": token(user)})
    publisher.tell(user, 250)
    tab.await_numbers(*range(1, 251))


def test_nothing_is_lost_while_a_client_goes_over_from_polling_to_a_websocket(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    tab = open_socket(browser, two[0].url, None, {"token": token(user)})
    for _ in range(10):
        publisher.tell(user)
    tab.await_numbers(*range(1, 11))
    wait_until(lambda: tab.client.transport() == "websocket", "the WebSocket")
    publisher.tell(user)
    tab.await_numbers(*range(1, 12))
    close_socket(browser, tab)


@pytest.mark.mission("E-5")
def test_a_connection_begins_with_who_it_is_and_how_much_is_unread(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    publisher.tell(user, 2)
    tab = open_socket(browser, two[0].url, "websocket", {"token": token(user)})
    wait_until(lambda: tab.of("unread_count") == [{"unread": 2}], "the count")
    (first, acknowledged), *_ = tab.others
    assert (first, acknowledged.keys()) == ("connection_ack", {"connectionId", "timestamp", "sequence"})
    assert acknowledged["sequence"] == 2
    publisher.unread(user, 2)
    wait_until(lambda: len(tab.of("unread_count")) == 2, "the count again")


@pytest.mark.mission("E-10")
def test_a_system_message_reaches_socket_io_clients_too(two: tuple[Api, Api], browser: Browser, user: str) -> None:
    tab = open_socket(browser, two[0].url, "polling", {"token": token(user)})
    with two[1].client() as client:
        sent = client.post("/v1/broadcasts", json={"message": "Maintenance tonight"}).json()
    wait_until(lambda: tab.of("broadcast") == [sent], "the message")


@pytest.mark.parametrize("transport", BOTH)
@pytest.mark.parametrize("where", ["auth", "query"])
def test_a_client_goes_on_after_the_last_number_that_it_has(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str, transport: Transport, where: str
) -> None:
    publisher.tell(user, 130)
    since = {"since": 2} if where == "auth" else {}
    query = "?since=2" if where == "query" else "?since=77"
    tab = open_socket(browser, two[0].url, transport, {"token": token(user), **since}, query=query)
    publisher.tell(user)
    tab.await_numbers(*range(3, 132))


@pytest.mark.mission("D-30")
@pytest.mark.mission("A-33")
def test_streams_of_all_framings_count_together_and_a_closed_one_no_more(
    two: tuple[Api, Api], browser: Browser, user: str
) -> None:
    auth = {"token": token(user)}
    first, *_ = [open_socket(browser, two[0].url, transport, auth) for transport in (*BOTH, "polling")]
    other = browser.ws(two[0].url, user, opened=False).await_end()
    assert other.code == 1008, other.reason
    refused = open_socket(browser, two[0].url, "websocket", auth, opened=False)
    assert refused.why_refused()["data"]["code"] == "bellwire.too_many_connections"
    close_socket(browser, first)
    wait_until(lambda: open_socket(browser, two[0].url, "websocket", auth, opened=False).let_in(), "a place")


@pytest.mark.mission("E-4")
def test_all_servers_know_who_is_connected_until_he_leaves(
    two: tuple[Api, Api], servers: Mapping[str, str], browser: Browser, user: str
) -> None:
    key = f"ws:connections:default:{user}"
    with redis.Redis.from_url(servers["redis"]) as client:
        tab = open_socket(browser, two[1].url, "polling", {"token": token(user), "device_id": "phone"})
        identity = tab.of("connection_ack")[0]["connectionId"]
        stored = wait_until(lambda: client.hget(key, identity), "the connection")
        assert json.loads(stored)["serverId"] == "two"
        assert json.loads(stored)["deviceId"] == "phone"
        began = time.monotonic()
        close_socket(browser, tab)  # which waits until its poll was answered
        assert time.monotonic() - began < UNANSWERED
        wait_until(lambda: not client.exists(key), "the end")


@pytest.mark.parametrize("transport", BOTH)
def test_a_connection_ends_with_its_token_and_the_client_does_not_come_back_with_it(
    two: tuple[Api, Api], browser: Browser, user: str, transport: Transport
) -> None:
    auth = {"token": token(user, exp=time.time() + 2)}
    tab = open_socket(browser, two[0].url, transport, auth, reconnects=True).await_end()
    assert tab.of("error") == [{"message": "Token expired"}]
    assert tab.connected == 1


@pytest.mark.mission("A-33")
def test_who_stops_asking_without_a_word_is_forgotten(
    two: tuple[Api, Api], servers: Mapping[str, str], publisher: Publisher, user: str
) -> None:
    key = f"ws:connections:default:{user}"
    identity = {"Authorization": f"Bearer {token(user)}"}
    with (
        redis.Redis.from_url(servers["redis"]) as client,
        httpx.Client(base_url=two[0].url, trust_env=False, headers=identity) as poller,
    ):
        session = begin_polling(poller)
        poller.post(PATH, params=session, content=b"40")
        wait_until(lambda: client.exists(key), "the connection")
        publisher.tell(user)
        wait_until(lambda: not client.exists(key), "the end", 10)
        assert poller.post(PATH, params=session, content=b"40").status_code == 400


def test_who_leaves_while_being_let_in_takes_no_place_for_ever(
    two: tuple[Api, Api], browser: Browser, user: str
) -> None:
    let_in = b'40{"token":"' + token(user).encode() + b'"}'
    with (
        httpx.Client(base_url=two[0].url, trust_env=False, timeout=30) as poller,
        ThreadPoolExecutor() as beside,
        create_engine(normalised(two[0].database_url), poolclass=NullPool).connect() as connection,
    ):
        for _ in range(3):  # as many as one user may have
            session = begin_polling(poller)
            connection.execute(text("LOCK TABLE inboxes IN ACCESS EXCLUSIVE MODE"))
            letting_in = beside.submit(poller.post, PATH, params=session, content=let_in)
            wait_until(lambda: connection.execute(WAITING).scalar(), "somebody who asks for the inbox")
            poller.post(PATH, params=session, content=b"1")
            poller.get(PATH, params=session)  # the library forgets a session that is over when it is asked for
            connection.rollback()
            letting_in.result()
    open_socket(browser, two[0].url, "websocket", {"token": token(user)})


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_clients_of_a_server_that_ends_go_on_at_another_without_a_gap_or_a_double(
    two: tuple[Api, Api],
    settings: dict[str, str],
    publisher: Publisher,
    browser: Browser,
    user: str,
    tmp_path: Path,
    ending: signal.Signals,
) -> None:
    with running(two[0].database_url, tmp_path, **settings) as dying:
        stranger = open_socket(browser, dying.url, "polling", opened=False)  # holds up no end
        addresses = [dying.url]
        tabs = [
            open_socket(browser, lambda: addresses[-1], transport, {"token": token(user)}, reconnects=True)
            for transport in BOTH
        ]
        publisher.tell(user, 3)
        for tab in tabs:
            tab.await_numbers(1, 2, 3)
        addresses.append(two[1].url)
        dying.process.send_signal(ending)
        publisher.tell(user, 2)
        dying.process.wait(10)
    for tab in tabs:
        wait_until(lambda tab=tab: tab.connected == 2, "the client to come back", 20)
    publisher.tell(user)
    for tab in tabs:
        tab.await_numbers(1, 2, 3, 4, 5, 6)
    assert stranger.why_refused()


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://app.example.org", True), ("https://elsewhere.example", False)]
)
def test_only_pages_of_the_configured_origins_may_read_the_answers(
    two: tuple[Api, Api], origin: str, allowed: bool
) -> None:
    with httpx.Client(base_url=two[0].url, trust_env=False) as client:
        answer = client.get(PATH, params={"EIO": "4", "transport": "polling"}, headers={"Origin": origin})
    assert answer.status_code == 200
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_socket_io_connections_are_counted_as_such(two: tuple[Api, Api], browser: Browser, user: str) -> None:
    tab = open_socket(browser, two[0].url, "websocket", {"token": token(user)})
    said = httpx.get(f"{two[0].url}/metrics", trust_env=False, timeout=20).text
    line = next(line for line in said.splitlines() if line.startswith('bellwire_live_connections{kind="socketio"}'))
    assert float(line.split()[1]) >= 1
    close_socket(browser, tab)
