"""Whoever is connected sees at once what appears in the inbox: every tab, on every server, each once and in order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from itertools import count
from uuid import uuid4

import httpx
import pytest
import redis

from tests.support.api import Api, running, token
from tests.support.show import Publisher
from tests.support.streams import Browser
from tests.support.waiting import wait_until

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


def test_more_at_once_than_may_wait_for_a_tab_arrives_all_the_same(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    tabs = [browser.sse(two[0].url, user), browser.ws(two[0].url, user)]
    publisher.tell(user, 400)
    for tab in tabs:
        tab.await_numbers(*range(1, 401))


@pytest.mark.mission("D-16")
@pytest.mark.mission("D-17")
def test_a_notification_is_a_frame_without_an_event_line(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    tab = browser.sse(two[0].url, user, Origin="https://app.example.org")
    publisher.tell(user)
    tab.await_numbers(1)
    assert tab.notifications[0].keys() >= N
    assert tab.notifications[0]["created_at"].endswith("Z")
    assert tab.last_id == "1"
    assert tab.headers["Content-Type"].startswith("text/event-stream")
    assert tab.headers["Cache-Control"] == "no-cache"
    assert tab.headers["X-Accel-Buffering"] == "no"
    assert tab.headers["Access-Control-Allow-Origin"] == "*"


def test_a_quiet_stream_shows_that_it_lives(two: tuple[Api, Api], browser: Browser, user: str) -> None:
    tab = browser.sse(two[0].url, user)
    wait_until(lambda: tab.beats >= 2, "two heartbeats")
    assert not tab.ended


@pytest.mark.mission("D-18")
@pytest.mark.parametrize("given", ["Last-Event-ID", "since"])
def test_a_stream_goes_on_after_the_last_number_that_the_client_has(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str, given: str
) -> None:
    publisher.tell(user, 130)
    headers = {"Last_Event_ID": "2"} if given == "Last-Event-ID" else {}
    sse = browser.sse(two[0].url, user, query="?since=2" if not headers else "", **headers)
    ws = browser.ws(two[1].url, user, query="?since=128")
    publisher.tell(user)
    sse.await_numbers(*range(3, 132))
    ws.await_numbers(129, 130, 131)


def test_a_client_that_was_cut_off_before_its_first_notification_knows_where_to_go_on(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    publisher.tell(user, 2)
    tab = browser.sse(two[0].url, user)
    assert tab.last_id == "2"
    browser.close(tab)
    publisher.tell(user)
    browser.sse(two[0].url, user, Last_Event_ID=tab.last_id).await_numbers(3)


def test_a_number_from_before_a_restored_backup_does_not_silence_what_comes(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    publisher.tell(user)
    tab = browser.sse(two[0].url, user, Last_Event_ID="900")
    publisher.tell(user)
    tab.await_numbers(2)


def test_what_was_never_shown_is_read_from_the_database(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    tab = browser.sse(two[0].url, user)
    publisher.tell(user, 2, silent=True)
    publisher.tell(user)
    tab.await_numbers(1, 2, 3)
    publisher.tell(user, silent=True)  # and nothing after it
    tab.await_numbers(1, 2, 3, 4)


def test_another_customers_notifications_are_passed_over(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    mine, other = str(uuid4()), str(uuid4())
    identity = {"Authorization": f"Bearer {token(user, customers=[mine])}"}
    sse = browser.sse(two[0].url, None, **identity)
    ws = browser.ws(two[0].url, None, headers=identity)
    for customer in (other, mine, None, other, mine):
        publisher.tell(user, **({"customer_id": customer} if customer else {}))
    for tab in (sse, ws, browser.sse(two[0].url, None, Last_Event_ID="0", **identity)):
        tab.await_numbers(2, 3, 5)


@pytest.mark.mission("A-32")
def test_counts_of_unread_notifications_follow_in_all_tabs(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    publisher.tell(user, 3)
    sse, ws = browser.sse(two[0].url, user), browser.ws(two[1].url, user)
    for tab in (sse, ws):
        wait_until(lambda tab=tab: tab.of("unread_count") == [{"unread": 3}], "the first count")
    ((first,),) = two[0].rows("SELECT id FROM notifications WHERE user_id = %s AND sequence = 1", user)
    two[0].rows("UPDATE notifications SET read_at = now() WHERE id = %s", first)
    publisher.unread(user, 2)
    for tab in (sse, ws):
        wait_until(lambda tab=tab: tab.of("unread_count")[1:] == [{"unread": 2}], "the second count")


@pytest.mark.mission("E-10")
def test_a_system_message_reaches_everyone_in_the_tenant_and_nobody_else(
    two: tuple[Api, Api], browser: Browser, user: str
) -> None:
    two[0].key("admin", "another")
    sse, ws = browser.sse(two[0].url, user), browser.ws(two[1].url, f"{user} too")
    stranger = browser.sse(two[0].url, None, Authorization=f"Bearer {token(user, 'another')}")
    with two[1].client() as one, two[0].client(tenant="another") as another:
        assert another.post("/v1/broadcasts", json={"message": "To the others."}).status_code == 200
        sent = one.post("/v1/broadcasts", json={"message": "Maintenance\ntonight"}).json()
    assert sent.keys() == {"message", "senderId", "timestamp"}
    for tab, told in ((sse, sent["message"]), (ws, sent["message"]), (stranger, "To the others.")):
        wait_until(lambda tab=tab: tab.of("broadcast"), "the message")
        assert [one["message"] for one in tab.of("broadcast")] == [told]


@pytest.mark.mission("D-14")
@pytest.mark.mission("D-15")
def test_a_direct_frame_is_shown_and_not_stored(two: tuple[Api, Api], browser: Browser, user: str) -> None:
    sse, ws = browser.sse(two[1].url, user), browser.ws(two[1].url, user)
    with two[0].client() as client:
        body = {"type": "chat", "event": "x", "title": "Hello", "content": "there", "user_ids": [user], "rec_id": "7"}
        answer = client.post("/v1/notifications/sse", json=body)
    assert answer.json() == {"message": "Notification sent to all connected users"}
    for tab in (sse, ws):
        tab_shown = wait_until(lambda tab=tab: tab.notifications, "the frame")
        assert tab_shown[0].keys() >= N
        assert tab_shown[0]["title"] == "Hello"
        assert tab.numbers == [None]
    assert two[0].rows("SELECT FROM notifications WHERE user_id = %s", user) == []


def test_a_message_for_another_server_is_ignored(
    two: tuple[Api, Api], servers: Mapping[str, str], browser: Browser, user: str
) -> None:
    tabs = [browser.sse(one.url, user) for one in two]
    with redis.Redis.from_url(servers["redis"]) as client:
        for target, title in (("two", "for two"), ("one", "for one"), (None, "for all")):
            frame = {"tenant": "default", "userId": user, "sequence": None, "notification": {"title": title}}
            client.publish("ws:notification", json.dumps({**frame, "targetServerId": target}))
        client.publish("ws:notification", "junk")
    for tab, name in zip(tabs, ("one", "two"), strict=True):
        wait_until(lambda tab=tab: len(tab.notifications) >= 2, "both")
        assert [one["title"] for one in tab.notifications] == [f"for {name}", "for all"]


@pytest.mark.mission("D-30")
def test_a_user_may_have_so_many_streams_and_no_more(two: tuple[Api, Api], browser: Browser, user: str) -> None:
    tabs = [browser.sse(two[0].url, user), browser.ws(two[0].url, user), browser.sse(two[0].url, user)]
    refused = browser.sse(two[0].url, user, opened=False).await_end()
    assert refused.code == 429
    assert json.loads(refused.reason or "")["code"] == "bellwire.too_many_connections"
    assert browser.ws(two[0].url, user, opened=False).await_end().code == 1008
    assert browser.sse(two[0].url, f"{user} too").is_open
    browser.close(tabs[0])
    wait_until(lambda: browser.sse(two[0].url, user, opened=False).settled().code == 200, "a place that is free")


@pytest.mark.mission("A-33")
@pytest.mark.mission("E-4")
def test_all_servers_know_who_is_connected_until_he_leaves(
    two: tuple[Api, Api], servers: Mapping[str, str], browser: Browser, user: str
) -> None:
    key = f"ws:connections:default:{user}"
    with redis.Redis.from_url(servers["redis"]) as client:
        sse = browser.sse(two[0].url, user, query="?device_id=phone")
        ws = browser.ws(two[1].url, user)
        wait_until(lambda: client.hlen(key) == 2, "both connections")
        stored = {identity.decode(): json.loads(value) for identity, value in client.hgetall(key).items()}
        assert sorted((one["serverId"], one["deviceId"]) for one in stored.values() if one["deviceId"]) == [
            ("one", "phone")
        ]
        assert ws.of("connection_ack")[0]["connectionId"] in stored
        client.delete(key)
        wait_until(lambda: client.hlen(key) == 2, "the heartbeat")
        assert 0 < client.pttl(key) <= 2000
        browser.close(sse)
        wait_until(lambda: client.hlen(key) == 1, "the end of one")
        browser.close(ws)
        wait_until(lambda: not client.exists(key), "the end of both")


def test_what_was_written_to_a_connection_has_arrived(
    two: tuple[Api, Api], publisher: Publisher, browser: Browser, user: str
) -> None:
    tab = browser.ws(two[0].url, user)
    publisher.tell(user)
    tab.await_numbers(1)
    statement = """SELECT d.status FROM deliveries d JOIN notifications n ON n.id = d.notification_id
                   WHERE n.user_id = %s AND d.channel = 'in_app'"""
    wait_until(lambda: two[0].rows(statement, user) == [("delivered",)], "the delivery")


def test_live_connections_are_counted_by_kind(two: tuple[Api, Api], browser: Browser, user: str) -> None:
    def counted() -> str:
        return httpx.get(f"{two[1].url}/metrics", trust_env=False, timeout=20, verify=False).text

    tabs = [browser.ws(two[1].url, user), browser.sse(two[1].url, user)]
    said = counted()
    for tab, kind in zip(tabs, ("websocket", "sse"), strict=True):
        line = next(
            line for line in said.splitlines() if line.startswith(f'bellwire_live_connections{{kind="{kind}"}}')
        )
        assert float(line.split()[1]) >= 1
        assert not tab.ended


@pytest.mark.parametrize("kind", ["sse", "ws"])
def test_a_stream_ends_with_its_token(two: tuple[Api, Api], browser: Browser, user: str, kind: str) -> None:
    identity = {"Authorization": f"Bearer {token(user, exp=time.time() + 2)}"}
    if kind == "sse":
        assert browser.sse(two[0].url, None, **identity).await_end().code == 200
    else:
        assert browser.ws(two[0].url, None, headers=identity).await_end().code == 1008
