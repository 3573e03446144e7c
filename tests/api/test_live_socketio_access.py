"""Who may open a stream with Socket.IO, and what clients are told that may not or that talk nonsense."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import httpx
import pytest

from tests.support.api import Api, token
from tests.support.sockets import PATH, begin_polling, close_socket, open_socket
from tests.support.streams import Browser
from tests.support.waiting import wait_until

NOBODY = "Authentication required"
# Junk, events without a name, answers to what was never asked, kinds that do not exist, and what is binary.
NONSENSE = (
    "42junk",
    "42",
    "42{}",
    "42[]",
    "43[]",
    "431[1]",
    "44{}",
    "49zz",
    "4zz",
    "4{}",
    "450-[]",
    '451-["x",{"num":0}]',
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Where tabs are opened."""
    with Browser() as made:
        yield made


@pytest.fixture(autouse=True)
def tenant(api: Api) -> None:
    """There is a tenant."""
    api.key("admin")


def ways_in(api: Api) -> dict[str, dict[str, Any]]:
    """How a client shows who it is."""

    def ticket() -> str:
        with api.user("ana") as client:
            return str(client.post("/v1/notifications/ticket").json()["ticket"])

    return {
        "header": {"Authorization": f"Bearer {token('ana')}"},
        "auth.token": {"auth": {"token": token("ana")}},
        "auth.ticket": {"auth": {"ticket": ticket()}},
        "?ticket=": {"query": f"?ticket={ticket()}"},
        "a token instead of a ticket that was used": {"query": "?ticket=used", "auth": {"token": token("ana")}},
    }


def test_there_are_several_ways_to_show_who_one_is(api: Api, browser: Browser) -> None:
    for how in ways_in(api).values():
        close_socket(browser, open_socket(browser, api.url, "websocket", **how))


def strangers(api: Api) -> list[Any]:
    """What nobody is let in with."""
    return [
        None,
        {},
        {"token": api.key("admin")},
        {"token": token("ana", exp=time.time() - 5)},
        {"token": token("ana", secret="x" * 40)},
        {"token": token("ana", "nowhere")},
        {"token": "\u20ac\ud800"},
        {"ticket": "unknown"},
    ]


@pytest.mark.mission("E-3")
def test_who_shows_no_users_token_is_told_why_and_shown_nothing(api: Api, browser: Browser) -> None:
    for auth in strangers(api):
        tab = open_socket(browser, api.url, "websocket", auth, opened=False)
        refused = tab.why_refused()
        assert (refused["message"], refused["data"]["status"]) == (NOBODY, 401), auth
        assert refused["data"]["code"] == "notifications_m.invalid_user_id"
        assert not tab.others
        close_socket(browser, tab)


@pytest.mark.parametrize(
    ("auth", "field"),
    [
        ("token", "auth"),
        ([1], "auth"),
        ({"token": ["x"]}, "auth.token"),
        ({"token": True}, "auth.token"),
        ({"since": {"a": 1}}, "auth.since"),
        ({"since": -1}, "since"),
        ({"since": "1.5"}, "since"),
        ({"since": "9" * 30}, "since"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_named(api: Api, browser: Browser, auth: Any, field: str) -> None:
    if isinstance(auth, dict):
        auth = {"token": token("ana"), **auth}
    tab = open_socket(browser, api.url, "websocket", auth, opened=False)
    refused = tab.why_refused()
    assert (refused["data"]["status"], refused["data"]["field"]) == (400, field)
    close_socket(browser, tab)


@pytest.mark.mission("E-7")
def test_nonsense_is_answered_and_the_connection_stays(api: Api, browser: Browser) -> None:
    tab = open_socket(browser, api.url, "websocket", {"token": token("ana")})
    browser.wait(tab.client.emit("subscribe", {"a": 1}))
    browser.wait(tab.client.emit("notification", "mine"))
    browser.wait(tab.client.emit("binary", b"\x00"))
    browser.wait(tab.client.emit("ping"))
    wait_until(lambda: tab.of("pong"), "the pong")
    assert tab.of("error") == [{"message": "Invalid message format"}] * 3
    assert not tab.ended
    close_socket(browser, tab)


@pytest.mark.mission("E-7")
def test_every_packet_that_makes_no_sense_is_answered_once(api: Api) -> None:
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        session = begin_polling(client)
        client.post(PATH, params=session, content=f'40{{"token":"{token("ana")}"}}')
        said = ""
        for packet in (*NONSENSE, '42["ping"]'):
            assert client.post(PATH, params=session, content=packet).status_code == 200
        while "pong" not in said:
            said += client.get(PATH, params=session).text
        client.post(PATH, params=session, content=b"1")
    assert said.count(json.dumps(["error", {"message": "Invalid message format"}], separators=(",", ":"))) == len(
        NONSENSE
    )


async def said_to(url: str, frames: Sequence[str]) -> list[str]:
    """What a WebSocket hears that says who it is and then these."""
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{url}{PATH}?EIO=4&transport=websocket") as socket:
        for frame in (f'40{{"token":"{token("ana")}"}}', *frames, '42["ping"]'):
            await socket.send_str(frame)
        said: list[str] = []
        while not said or "pong" not in said[-1]:
            said.append((await socket.receive(timeout=5)).data)
        return said


@pytest.mark.mission("E-7")
def test_a_frame_that_is_no_packet_at_all_is_answered_too_and_fills_no_log(api: Api) -> None:
    frames = ("9zz", "zz", "", "\u00b2", "b!!!")
    said = asyncio.run(said_to(api.url, frames))
    assert said.count('42["error",{"message":"Invalid message format"}]') == len(frames)
    assert "Traceback" not in api.log.read_text()


@pytest.mark.parametrize(
    ("method", "query", "content"),
    [
        ("GET", "", b""),
        ("GET", "?EIO=3&transport=polling", b""),
        ("GET", "?EIO=4&transport=carrier-pigeon", b""),
        ("GET", "?EIO=4&transport=polling&sid=unknown", b""),
        ("POST", "?EIO=4&transport=polling&sid=unknown", b"40"),
        ("POST", "?EIO=4&transport=polling&sid=%00%ff", b"\xff"),
        ("PUT", "?EIO=4&transport=polling", b""),
        ("GET", "?EIO=4&transport=polling&j=x", b""),
    ],
)
def test_what_no_client_would_send_is_refused(api: Api, method: str, query: str, content: bytes) -> None:
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        assert 400 <= client.request(method, f"{PATH}{query}", content=content).status_code < 500


@pytest.mark.parametrize(
    "content", [b"", b"4", b"49", b"42[", b"4" + b"[" * 30_000, b"451-[]", b"\xff\xfe", b"9", b"2", b"1"]
)
def test_junk_in_a_session_breaks_nothing(api: Api, content: bytes) -> None:
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        session = begin_polling(client)
        for _ in range(2):
            assert client.post(PATH, params=session, content=content).status_code < 500


@pytest.mark.parametrize("query", ["", "&sid=unknown<b>", "&transport=carrier-pigeon"])
def test_no_answer_is_kept_or_taken_for_a_page_or_says_what_was_asked(api: Api, query: str) -> None:
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        answer = client.get(f"{PATH}?EIO=4{query}")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == ("nosniff", "no-store")
    assert "unknown" not in answer.text


def test_too_much_at_once_ends_a_session(api: Api) -> None:
    with httpx.Client(base_url=api.url, trust_env=False) as client:
        session = begin_polling(client)
        assert client.post(PATH, params=session, content=b"4" * (64 * 1024 + 1)).status_code == 400
        assert client.post(PATH, params=session, content=b"40").status_code == 400
