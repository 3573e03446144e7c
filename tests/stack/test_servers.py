"""PostgreSQL and Valkey as the stack starts them: who they run as, what they are allowed, and what a crash leaves."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from workers.stack.places import Places

ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not ROOT, reason="only root can become another user")

# Starts both with nobody to tell them when their parent dies, as after a crash of the supervisor in the wrong instant.
ORPHAN = """
import subprocess, sys
from pathlib import Path
from workers.stack import postgres, valkey
from workers.stack.places import Places
from workers.stack.privileges import leave_root
places = Places.of(Path(sys.argv[1]))
leave_root(places.home, ())
places.make()
postgres.make(places, volatile=True)
for program in (postgres.program(places, volatile=True), valkey.program(places)):
    child = subprocess.Popen(program.command, cwd=program.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(child.pid, flush=True)
"""


@contextmanager
def running(home: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = (sys.executable, "-m", "workers.stack.servers", str(home), *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as servers:
        assert servers.stdout is not None
        try:
            yield servers, json.loads(servers.stdout.readline())
        finally:
            servers.terminate()


def process(home: Path, name: str) -> psutil.Process:
    return psutil.Process(int((home / "run" / f"{name}.pid").read_text()))


def wait_until_gone(gone: psutil.Process) -> None:
    deadline = time.monotonic() + 20
    while gone.is_running() and gone.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def closed_folder() -> Iterator[Path]:
    """A folder that only its owner may enter."""
    folder = Path(tempfile.mkdtemp(prefix="bellwire-closed-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def closed_home(closed_folder: Path) -> Path:
    return closed_folder / "deeper" / ".bellwire"


@pytest.fixture(scope="module")
def in_closed_home(closed_home: Path) -> Iterator[dict[str, str]]:
    """Addresses of servers that keep what they are told, in there."""
    with running(closed_home) as (_, urls):
        yield urls


@pytest.fixture(scope="session")
def shared_home(servers: dict[str, str]) -> Path:
    """Where the servers of all tests run."""
    return Path(servers["redis"].removeprefix("unix://").partition("?")[0]).parent.parent


def test_what_was_written_is_there_after_a_restart(home: Path) -> None:
    with running(home) as (_, urls), psycopg.connect(urls["postgres"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with running(home) as (_, urls), psycopg.connect(urls["postgres"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_commit_is_on_disk_before_it_is_confirmed(in_closed_home: dict[str, str]) -> None:
    with psycopg.connect(in_closed_home["postgres"]) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_nothing_listens_on_the_network(shared_home: Path) -> None:
    found = [process(shared_home, "postgres"), process(shared_home, "valkey")]
    assert [server.net_connections("inet") for server in found] == [[], []]


def test_valkey_refuses_rather_than_forgets_when_it_is_full(servers: dict[str, str]) -> None:
    with redis.Redis.from_url(servers["redis"]) as valkey:
        assert valkey.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert valkey.config_get("save") == {"save": ""}


def test_the_log_of_the_database_holds_no_values(servers: dict[str, str], shared_home: Path) -> None:
    with psycopg.connect(servers["postgres"], autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE loggers (address text PRIMARY KEY)")
        connection.execute("INSERT INTO loggers VALUES ('logged@example.org')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO loggers VALUES ('logged@example.org')")
    log = (shared_home / "logs" / "postgres.log").read_text()
    assert 'duplicate key value violates unique constraint "loggers_pkey"' in log
    assert "logged@example.org" not in log


@root_only
def test_root_runs_them_as_another_user_also_where_only_root_may_enter(
    closed_folder: Path, closed_home: Path, in_closed_home: dict[str, str]
) -> None:
    with psycopg.connect(in_closed_home["postgres"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for name in ("postgres", "valkey"):
        assert process(closed_home, name).uids() == (pwd.getpwnam("nobody").pw_uid,) * 3
    assert (closed_folder.stat().st_mode & 0o777, closed_folder.stat().st_uid) == (0o700, 0)
    assert ((closed_home.parent.stat().st_mode & 0o022), closed_home.parent.stat().st_uid) == (0, 0)


@root_only
@pytest.mark.usefixtures("in_closed_home")
def test_nothing_is_kept_of_roots_power_but_to_read(closed_home: Path) -> None:
    status = Path(f"/proc/{process(closed_home, 'postgres').pid}/status").read_text()
    held = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    assert held["CapEff:"] == held["CapPrm:"] in {1 << 1, 1 << 2}


@root_only
def test_root_keeps_its_hands_off_a_folder_that_holds_something_else(home: Path) -> None:
    (home / "letter").write_text("dear")
    done = subprocess.run(
        (sys.executable, "-m", "workers.stack.servers", str(home)),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert (
        done.stderr == f"{home} belongs to root and is not empty; set BELLWIRE_HOME to a folder that is new or empty.\n"
    )
    assert home.stat().st_uid == 0


@root_only
def test_a_home_of_another_user_is_run_as_that_user(home: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    os.chown(home, daemon.pw_uid, daemon.pw_gid)
    with running(home, "--volatile"):
        assert process(home, "postgres").uids().real == daemon.pw_uid


def test_both_end_when_who_started_them_is_killed(home: Path) -> None:
    with running(home) as (servers, _):
        children = [process(home, "postgres"), process(home, "valkey")]
        servers.kill()
    for child in children:
        wait_until_gone(child)


def test_servers_that_were_left_behind_are_ended_and_the_data_is_whole(home: Path) -> None:
    done = subprocess.run((sys.executable, "-c", ORPHAN, str(home)), capture_output=True, text=True, check=True)
    orphans = [psutil.Process(int(line)) for line in done.stdout.split()]
    assert all(orphan.is_running() for orphan in orphans)
    with running(home) as (_, urls), psycopg.connect(urls["postgres"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not any(orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE for orphan in orphans)


def test_a_stranger_with_the_process_id_of_the_dead_server_does_not_stand_in_the_way(home: Path) -> None:
    with running(home) as (servers, _):
        postgres = process(home, "postgres")
        notes = (home / "postgres" / "postmaster.pid").read_text()
        for child in (postgres, *postgres.children(recursive=True)):
            child.send_signal(signal.SIGKILL)
        servers.kill()
    owner = home.stat()
    with subprocess.Popen(("sleep", "60"), user=owner.st_uid if ROOT else None) as stranger:
        try:
            (home / "postgres" / "postmaster.pid").write_text(notes.replace(str(postgres.pid), str(stranger.pid), 1))
            with running(home) as (_, urls), psycopg.connect(urls["postgres"]) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_data_folder_that_was_half_made_is_made_anew(home: Path) -> None:
    (home / "run").mkdir(mode=0o700)
    half = home / "postgres.making"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    if ROOT:
        nobody = pwd.getpwnam("nobody")
        for path in (home, home / "run", half, half / "PG_VERSION"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    with running(home, "--volatile") as (_, urls), psycopg.connect(urls["postgres"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_data_of_another_version_is_left_alone(home: Path) -> None:
    with running(home):
        pass
    (home / "postgres" / "PG_VERSION").write_text("9\n")
    done = subprocess.run(
        (sys.executable, "-m", "workers.stack.servers", str(home)),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "was made by PostgreSQL 9 and this is 18" in done.stderr


def test_sockets_are_private(servers: dict[str, str]) -> None:
    folder = Path(servers["redis"].removeprefix("unix://").partition("?")[0]).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Places.of(folder.parent).sockets == folder


def test_a_deep_home_leaves_nothing_outside_of_it(home: Path) -> None:
    deep = home / ("d" * 90) / "home"
    deep.parent.mkdir()
    deep.parent.chmod(0o755)
    if ROOT:
        home.chmod(0o755)
    with running(deep, "--volatile") as (_, urls), psycopg.connect(urls["postgres"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        outside = Places.of(deep).sockets
        assert outside.parent == Path("/tmp")
        assert outside.exists()
    assert not outside.exists()
