"""The whole product, started by `bellwire up`: ready, kept running, stopped in order, found again after a crash."""

from __future__ import annotations

import base64
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.running import Running, running_stack
from workers.stack.process import MARK

PROGRAMS = ("postgres", "valkey", "api", "worker", "beat", "bus", "flower")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stack() -> Iterator[Running]:
    with running_stack("--demo") as running:
        yield running


def process_id(stack: Running, name: str) -> int:
    return int((stack.places.run / f"{name}.pid").read_text() or 0)


def everything(stack: Running) -> list[psutil.Process]:
    """The supervisor and all that descend from it."""
    supervisor = psutil.Process(stack.supervisor.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def lives(one: psutil.Process) -> bool:
    try:
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def get(address: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def flower_address(stack: Running) -> str:
    found = re.findall(r"flower: (http://127\.0\.0\.1:\d+)", (stack.places.logs / "stack.log").read_text())
    return str(found[-1])


def test_everything_answers_when_it_says_ready(stack: Running) -> None:
    status, body = get(stack.address, "/health/ready")
    assert (status, json.loads(body)["ready"]) == (200, True)


def test_every_program_runs(stack: Running) -> None:
    running = {one.pid for one in everything(stack)}
    assert [name for name in PROGRAMS if process_id(stack, name) not in running] == []


def test_ready_is_said_once(stack: Running) -> None:
    assert (stack.places.logs / "stack.log").read_text().count(f" ready {stack.address}\n") == 1


def test_the_admin_key_is_kept_private_and_works(stack: Running) -> None:
    file = stack.places.home / "admin.key"
    assert file.stat().st_mode & 0o777 == 0o600
    key = file.read_text().strip()
    assert get(stack.address, "/v1/users", {"Authorization": f"Bearer {key}"})[0] == 200
    assert get(stack.address, "/v1/users", {"Authorization": f"Bearer {key}x"})[0] == 401


def test_nothing_of_it_runs_as_root(stack: Running) -> None:
    assert [one.cmdline() for one in everything(stack) if 0 in one.uids()] == []


def test_only_the_api_and_flower_listen_and_on_the_loopback(stack: Running) -> None:
    listening = [
        f"{connection.laddr.ip}:{connection.laddr.port}"
        for one in everything(stack)
        for connection in one.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    expected = {address.removeprefix("http://") for address in (stack.address, flower_address(stack))}
    assert set(listening) == expected


def test_flower_asks_for_its_password(stack: Running) -> None:
    password = (stack.places.home / "flower.password").read_text().strip()
    token = base64.b64encode(f"bellwire:{password}".encode()).decode()
    assert get(flower_address(stack), "/")[0] == 401
    assert get(flower_address(stack), "/", {"Authorization": f"Basic {token}"})[0] == 200


def test_no_secret_stands_in_a_command_line(stack: Running) -> None:
    secrets = [
        (stack.places.home / name).read_text().strip() for name in ("flower.password", "secret.key", "jwt.secret")
    ]
    lines = [" ".join(one.cmdline()) for one in everything(stack)]
    assert not any(secret in line for secret in secrets for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="proportional set sizes are Linux's")
def test_idle_it_takes_less_than_600_mib(stack: Running) -> None:
    mapped = [Path(f"/proc/{one.pid}/smaps_rollup").read_text() for one in everything(stack)]
    total = sum(int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) for text in mapped)  # type: ignore[index]
    assert total / 1024 < 600


def test_a_second_one_says_so_and_leaves_the_first_alone(stack: Running) -> None:
    command = (sys.executable, "-m", "workers.cli", "up", "--port", "0", "--home", str(stack.places.home))
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 1
    assert second.stderr == f"Bellwire is already running (pid {stack.supervisor.pid}) on {stack.places.home}.\n"
    assert get(stack.address, "/health/live")[0] == 200


@pytest.mark.faults
@pytest.mark.parametrize("name", ["worker", "beat", "bus", "flower", "valkey", "postgres"])
def test_what_dies_is_started_again(stack: Running, name: str) -> None:
    died = psutil.Process(process_id(stack, name))
    died.kill()
    wait_until(lambda: not lives(died) and process_id(stack, name) not in {0, died.pid})
    wait_until(lambda: get(stack.address, "/health/ready")[0] == 200)


@pytest.mark.faults
def test_no_caller_is_refused_while_the_api_is_started_again(stack: Running) -> None:
    answers: list[int] = []
    enough = threading.Event()

    def call() -> None:
        while not enough.is_set():
            try:
                answers.append(get(stack.address, "/health/live")[0])
            except (ConnectionResetError, http.client.RemoteDisconnected):
                answers.append(0)  # it was being answered when the process was killed

    caller = threading.Thread(target=call)
    caller.start()
    try:
        died = process_id(stack, "api")
        os.kill(died, signal.SIGKILL)
        wait_until(lambda: process_id(stack, "api") not in {0, died} and answers[-3:] == [200, 200, 200])
    finally:
        enough.set()
        caller.join()
    assert answers.count(0) <= 1
    assert set(answers) <= {0, 200}


def kill_supervisor(stack: Running) -> None:
    stack.supervisor.kill()


def kill_everything(stack: Running) -> None:
    doomed = everything(stack)
    for one in doomed:
        one.suspend()
    for one in doomed:
        one.send_signal(signal.SIGKILL)


@pytest.mark.faults
@pytest.mark.parametrize("kill", [kill_supervisor, kill_everything])
def test_after_a_kill_the_next_one_recovers(home: Path, kill: Callable[[Running], None]) -> None:
    with running_stack(home=home) as stack:
        key = (home / "admin.key").read_text()
        first = everything(stack)
        kill(stack)
    with running_stack(home=home) as stack:
        assert get(stack.address, "/health/ready")[0] == 200
        assert (home / "admin.key").read_text() == key
        assert get(stack.address, "/v1/users", {"Authorization": f"Bearer {key.strip()}"})[0] == 200
        assert [one for one in first if lives(one)] == []
        assert len([one for one in everything(stack) if one.name() == "postgres" and "-D" in one.cmdline()]) == 1


@pytest.mark.faults
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_runs_where_only_root_may_enter() -> None:
    closed = Path(tempfile.mkdtemp(prefix="bellwire-closed-"))
    try:
        with running_stack(home=closed / "checkout" / ".bellwire") as stack:
            assert get(stack.address, "/health/ready")[0] == 200
            assert {one.uids().real for one in everything(stack)} == {pwd.getpwnam("nobody").pw_uid}
        assert (closed.stat().st_mode & 0o777, closed.stat().st_uid) == (0o700, 0)
    finally:
        shutil.rmtree(closed)


@pytest.mark.mission("D-42")
def test_servers_of_others_are_used_when_they_are_named(home: Path, database_url: str, servers: dict[str, str]) -> None:
    elsewhere = {
        "BELLWIRE_DATABASE_URL": database_url,
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_REDIS_URL": servers["redis"],
    }
    with running_stack(home=home, environment=elsewhere) as stack:
        assert get(stack.address, "/health/ready")[0] == 200
        assert not (stack.places.run / "postgres.pid").exists()
        assert not (stack.places.run / "valkey.pid").exists()
        assert all(one.environ().get(MARK) == str(home) for one in everything(stack)[1:])


def test_it_stops_in_order_and_leaves_nothing_behind(stack: Running) -> None:  # the last one that needs it
    ran = everything(stack)
    before = len(stopped(stack))
    stack.supervisor.terminate()
    assert stack.supervisor.wait(timeout=90) == 0
    assert [one for one in ran if lives(one)] == []
    assert not list(stack.places.sockets.glob("*.sock"))
    assert not list(stack.places.sockets.glob(".s.PGSQL.*"))
    assert "database system is shut down" in (stack.places.logs / "postgres.log").read_text()
    assert stopped(stack)[before:] == ["api, beat, bus", "worker", "flower", "valkey", "postgres"]


def stopped(stack: Running) -> list[str]:
    """What was stopped together, in order."""
    return re.findall(r"stopped: (.+)", (stack.places.logs / "stack.log").read_text())
