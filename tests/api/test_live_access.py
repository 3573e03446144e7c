"""Who may open a stream, and what clients are told that may not or that talk nonsense."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.support.api import Api, token
from tests.support.streams import SSE, Browser, Tab
from tests.support.waiting import wait_until

JUNK = ["", "hello", "{", "[]", "7", '{"type": "subscribe"}', '{"type": 7}', b"\x00\xff", "[" * 20_000]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Where tabs are opened."""
    with Browser() as made:
        yield made


def identities(api: Api) -> dict[str, dict[str, str]]:
    """Headers with which nobody is let in."""
    return {
        "none": {},
        "a key": {"Authorization": f"Bearer {api.key('admin')}"},
        "an expired token": {"Authorization": f"Bearer {token('u1', exp=time.time() - 5)}"},
        "a forged token": {"Authorization": f"Bearer {token('u1', secret='x' * 40)}"},
        "no such tenant": {"Authorization": f"Bearer {token('u1', 'nowhere')}"},
        "another scheme": {"Authorization": "Basic dTE6cHc="},
    }


NOBODY = ("none", "a key", "an expired token", "a forged token", "no such tenant", "another scheme")


@pytest.mark.mission("D-19")
@pytest.mark.mission("E-3")
@pytest.mark.parametrize("who", NOBODY)
def test_nobody_hears_without_a_users_token(api: Api, browser: Browser, who: str) -> None:
    headers = identities(api)[who]
    sse = browser.sse(api.url, None, opened=False, **headers).await_end()
    assert (sse.code, json.loads(sse.reason or "")["code"]) == (401, "notifications_m.invalid_user_id")
    ws = browser.ws(api.url, None, headers=headers, opened=False).await_end()
    assert (ws.code, ws.others) == (1008, [])


def ticket(api: Api, user: str = "ana", **claims: Any) -> str:
    """A ticket for a user."""
    api.key("admin")
    with api.user(user, **claims) as client:
        answer = client.post("/v1/notifications/ticket")
    assert answer.json()["expires_in"] == 30
    return str(answer.json()["ticket"])


@pytest.mark.parametrize("kind", ["sse", "ws"])
def test_a_ticket_opens_one_stream_and_no_second(api: Api, browser: Browser, kind: str) -> None:
    def opened(query: str) -> Tab:
        return getattr(browser, kind)(api.url, None, query=query, opened=False).settled()

    query = f"?ticket={ticket(api)}"
    first, second, none = opened(query), opened(query), opened("?ticket=")
    assert first.is_open
    assert query not in api.log.read_text()  # where servers write the address of each WebSocket
    assert second.await_end().code == none.await_end().code == (401 if kind == "sse" else 1008)
    browser.close(first)


def test_a_ticket_ends_with_the_token_that_it_was_given_for(api: Api, browser: Browser) -> None:
    tab = browser.sse(api.url, None, query=f"?ticket={ticket(api, exp=time.time() + 2)}")
    tab.await_end()


def test_a_live_count_is_of_what_the_token_may_see_as_the_inbox_has_it(api: Api, browser: Browser) -> None:
    mine, other = str(uuid4()), str(uuid4())
    with api.client() as admin:
        admin.put("/v1/users/limited", json={"name": "limited"})
    data = {"sender": "Ben", "message": "Hello", "conversation": "c"}
    told = {"type": "message_received", "recipients": ["limited"], "data": data}
    api.route(*({**told, **customer} for customer in ({"customer_id": mine}, {"customer_id": other}, {})))
    with api.user("limited", customers=[mine]) as client:
        tab = browser.sse(api.url, None, Authorization=client.headers["Authorization"])
        wait_until(lambda: tab.of("unread_count") == [{"unread": 2}], "the count")
        inbox = client.get("/v1/notifications").json()
        assert inbox["unread"] == 2
        client.patch(f"/v1/notifications/{inbox['notifications'][0]['id']}/read")
        wait_until(lambda: tab.of("unread_count")[1:] == [{"unread": 1}], "one less")
    browser.close(tab)


def test_a_key_gets_no_ticket(api: Api) -> None:
    with api.client() as client:
        assert client.post("/v1/notifications/ticket").status_code == 403


def test_a_browser_may_send_its_token_as_a_subprotocol(api: Api, browser: Browser) -> None:
    api.key("admin")
    tab = browser.ws(api.url, None, protocols=("bearer", token("ana")))
    assert tab.socket.protocol == "bearer"
    browser.close(tab)


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 30, "%00"])
def test_a_number_to_go_on_after_must_be_one(api: Api, browser: Browser, number: str) -> None:
    api.key("admin")
    with api.user("ana") as client:
        answer = client.get(SSE, params={"since": number})
    assert (answer.status_code, answer.json()["field"]) == (400, "since")
    assert browser.ws(api.url, "ana", query=f"?since={number}", opened=False).await_end().code == 1008


@pytest.mark.parametrize("name", ["x" * 5000, "%00"])
def test_a_device_has_a_name_that_people_can_read(api: Api, browser: Browser, name: str) -> None:
    api.key("admin")
    with api.user("ana") as client:
        answer = client.get(f"{SSE}?device_id={name}")
    assert (answer.status_code, answer.json()["field"]) == (400, "device_id")
    assert browser.ws(api.url, "ana", query=f"?device_id={name}", opened=False).await_end().code == 1008


@pytest.mark.mission("E-5")
@pytest.mark.mission("E-6")
@pytest.mark.mission("E-7")
def test_nonsense_is_answered_and_the_connection_stays(api: Api, browser: Browser) -> None:
    api.key("admin")
    tab = browser.ws(api.url, "ana")
    (acknowledged,) = tab.of("connection_ack")
    assert acknowledged.keys() == {"connectionId", "timestamp"}
    for frame in JUNK:
        browser.say(tab, frame)
    browser.say(tab, '{"type": "pong"}')
    browser.say(tab, '{"type": "ping"}')
    wait_until(lambda: tab.of("pong"), "the pong")
    assert tab.of("error") == [{"message": "Invalid message format"}] * len(JUNK)
    assert not tab.ended
    browser.close(tab)


def test_text_that_is_no_utf_8_closes_the_connection_and_fills_no_log(api: Api, browser: Browser) -> None:
    api.key("admin")
    tab = browser.ws(api.url, "ana")
    browser.wait(tab.socket.send_frame(b"\xff", aiohttp.WSMsgType.TEXT))
    assert tab.await_end().code == 1007
    assert '"error"' not in api.log.read_text()


def test_a_frame_that_is_too_large_closes_the_connection_and_no_other(api: Api, browser: Browser) -> None:
    api.key("admin")
    tab, other = browser.ws(api.url, "ana"), browser.ws(api.url, "ana")
    browser.say(other, "x" * 64 * 1024)
    browser.say(tab, "x" * (64 * 1024 + 1))
    assert tab.await_end().code == 1009
    wait_until(lambda: other.of("error"), "the answer to the other")
    assert not other.ended
    browser.close(other)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/broadcasts", {}),
        ("/v1/broadcasts", {"message": " "}),
        ("/v1/broadcasts", {"message": 7}),
        ("/v1/broadcasts", {"message": "x" * 4001}),
        ("/v1/broadcasts", {"message": "a\x00b"}),
        ("/v1/broadcasts", {"message": "a", "to": "b"}),
        ("/v1/broadcasts", ["a"]),
    ],
)
def test_a_broadcast_that_says_nothing_usable_is_refused(api: Api, path: str, body: Any) -> None:
    with api.client() as client:
        assert client.post(path, json=body).status_code == 400


def test_only_admins_tell_everyone(api: Api) -> None:
    with api.client("operator") as client:
        assert client.post("/v1/broadcasts", json={"message": "Hello"}).status_code == 403


def test_direct_frames_are_for_tests_alone(api: Api) -> None:
    with api.client() as client:
        answer = client.post("/v1/notifications/sse", json={"type": "chat", "event": "x", "title": "y"})
    assert answer.status_code == 404
