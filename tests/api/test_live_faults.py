"""Servers that die, stop or hang, and readers that do not read: nobody misses anything, and nobody else notices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict

from tests.support.api import Api, running, token
from tests.support.show import Publisher
from tests.support.streams import SSE, WS, Browser
from tests.support.waiting import wait_until
from workers.stack import valkey
from workers.stack.places import Places

HEARTBEAT = 1.0


class Valkey:
    """A Valkey to be killed."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="bellwire-live-"))
        self._places = Places.of(self._home)
        self.url = f"unix://{self._places.valkey_socket}?db=1"

    def __enter__(self) -> Self:
        self._places.make()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for folder in (self._home, self._places.sockets):
            shutil.rmtree(folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, empty."""
        program = valkey.program(self._places)
        self.process = subprocess.Popen(program.command, cwd=program.folder, stdout=subprocess.DEVNULL)
        wait_until(lambda: valkey.is_ready(self._places), "Valkey")

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[Valkey]:
    """A Valkey that nobody else uses."""
    with Valkey() as made:
        yield made


@pytest.fixture(scope="module")
def settings(servers: Mapping[str, str], own_valkey: Valkey) -> dict[str, str]:
    """An installation's."""
    return {
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": own_valkey.url,
        "BELLWIRE_LIVE_HEARTBEAT": str(HEARTBEAT),
    }


@pytest.fixture(scope="module")
def api(module_database_url: str, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API that survives."""
    with running(module_database_url, tmp_path_factory.mktemp("api"), **settings) as made:
        made.key("admin")
        yield made


@pytest.fixture(scope="module")
def publisher(module_database_url: str, own_valkey: Valkey) -> Iterator[Publisher]:
    """A worker's publishing."""
    with Publisher(module_database_url, own_valkey.url) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Where tabs are opened."""
    with Browser() as made:
        yield made


def test_tabs_of_a_killed_server_go_on_at_another_without_a_gap_or_a_double(
    api: Api, settings: dict[str, str], publisher: Publisher, browser: Browser, tmp_path: Path
) -> None:
    with running(api.database_url, tmp_path, **settings) as dying:
        sse, ws = browser.sse(dying.url, "killed"), browser.ws(dying.url, "killed")
        publisher.tell("killed", 3)
        sse.await_numbers(1, 2, 3)
        ws.await_numbers(1, 2, 3)
        dying.process.send_signal(signal.SIGKILL)
        publisher.tell("killed", 2)
        sse.await_end()
        ws.await_end()
    again = browser.sse(api.url, "killed", Last_Event_ID=sse.last_id or "")
    other = browser.ws(api.url, "killed", query=f"?since={ws.numbers[-1]}")
    publisher.tell("killed")
    again.await_numbers(4, 5, 6)
    other.await_numbers(4, 5, 6)


def test_a_server_that_stops_sends_its_clients_elsewhere_at_once(
    api: Api, settings: dict[str, str], browser: Browser, tmp_path: Path
) -> None:
    with running(api.database_url, tmp_path, **settings) as stopping:
        sse, ws = browser.sse(stopping.url, "drained"), browser.ws(stopping.url, "drained")
        began = time.monotonic()
        stopping.process.terminate()
        assert sse.await_end().reason is None  # the orderly end of an answer
        assert ws.await_end().code == 1012
        stopping.process.wait(10)
        assert stopping.process.returncode in (0, -signal.SIGTERM)
        assert time.monotonic() - began < 5


def test_nothing_is_missed_while_valkey_is_away(
    api: Api, own_valkey: Valkey, publisher: Publisher, browser: Browser
) -> None:
    sse, ws = browser.sse(api.url, "cut"), browser.ws(api.url, "cut")
    publisher.tell("cut")
    own_valkey.kill()
    publisher.tell("cut", 2)
    fresh = browser.sse(api.url, "cut", Last_Event_ID="0")
    with api.user("cut") as client, api.client() as admin:
        refused = client.post("/v1/notifications/ticket")
        assert (refused.status_code, refused.json()["code"]) == (503, "bellwire.live_away")
        assert admin.post("/v1/broadcasts", json={"message": "Hello"}).status_code == 503
    assert browser.sse(api.url, None, query="?ticket=x", opened=False).await_end().code == 503
    assert browser.ws(api.url, None, query="?ticket=x", opened=False).await_end().code == 1011
    for tab in (sse, ws, fresh):
        tab.await_numbers(1, 2, 3)
    own_valkey.start()
    wait_until(lambda: "bellwire_live_subscribed 1.0" in _metrics(api), "the subscription")
    publisher.tell("cut")
    for tab in (sse, ws, fresh):
        tab.await_numbers(1, 2, 3, 4)


UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
CONNECT = b"\x81\x82\0\0\0\x0040"  # Socket.IO's, in a WebSocket's frame
# How a stream is opened: where, with which headers, and what is said then.
FRAMINGS = {
    "sse": (SSE, "", b""),
    "websocket": (WS, UPGRADE.format(key="c" * 22 + "=="), b""),
    "socketio": ("/socket.io/?EIO=4&transport=websocket", UPGRADE.format(key="c" * 22 + "=="), CONNECT),
}


@pytest.mark.mission("E-11")
@pytest.mark.parametrize("framing", FRAMINGS)
def test_who_does_not_read_is_cut_off_and_nobody_else_notices(
    api: Api, own_valkey: Valkey, browser: Browser, framing: str
) -> None:
    where, headers, said = FRAMINGS[framing]
    reader = browser.sse(api.url, "slow")
    with socket.socket() as stuck, redis.Redis.from_url(own_valkey.url) as client:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host = api.url.removeprefix("http://").split(":")
        stuck.connect((host[0], int(host[1])))
        request = f"GET {where} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('slow')}\r\n{headers}\r\n"
        stuck.sendall(request.encode())
        if said:
            assert stuck.recv(12) == b"HTTP/1.1 101"
            stuck.sendall(said)
        wait_until(lambda: client.hlen("ws:connections:default:slow") == 2, "both streams")
        sent = 0
        deadline = time.monotonic() + 15
        while client.hlen("ws:connections:default:slow") == 2:
            assert time.monotonic() < deadline, f"still there after {sent} frames"
            frame = {"title": "x" * 30_000}
            client.publish("ws:notification", _direct("slow", frame))
            sent += 1
            wait_until(lambda: len(reader.notifications) == sent, "the reader")  # noqa: B023
        # An orderly end would wait for this reader for ever.
        wait_until(lambda: not _holds(api, stuck), "the connection to be dropped", 5)
    assert not reader.ended
    assert "ASGI callable" not in api.log.read_text()  # a reader who is slow is no trouble of ours
    assert _memory(api) < 400
    browser.close(reader)
    with redis.Redis.from_url(own_valkey.url) as client:
        wait_until(lambda: not client.exists("ws:connections:default:slow"), "the end of both")


def test_a_database_that_is_away_ends_new_websockets_as_internal_trouble(
    api: Api, own_valkey: Valkey, browser: Browser
) -> None:
    before = browser.sse(api.url, "kept")
    name = conninfo_to_dict(api.database_url)["dbname"]
    administration = api.database_url.replace(f"/{name}?", "/postgres?", 1)
    with psycopg.connect(administration, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            assert browser.ws(api.url, "kept", opened=False).await_end().code == 1011
            assert browser.sse(api.url, "kept", opened=False).await_end().code == 503
            assert not before.ended
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")  # type: ignore[arg-type]


def _direct(user: str, notification: Mapping[str, Any]) -> str:
    return json.dumps({"tenant": "default", "userId": user, "sequence": None, "notification": notification})


def _holds(api: Api, client: socket.socket) -> bool:
    """Whether the API still has the other end of a connection."""
    port = client.getsockname()[1]
    held = psutil.Process(api.process.pid).net_connections("tcp")
    return any(one.raddr and one.raddr.port == port for one in held)


def _memory(api: Api) -> float:
    """Resident memory of the API in MiB."""
    pages = int(Path(f"/proc/{api.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _metrics(api: Api) -> str:
    return httpx.get(f"{api.url}/metrics", trust_env=False, timeout=20, verify=False).text
