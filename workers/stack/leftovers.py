"""What a killed supervisor left behind: its children are asked to end, and what only they could remove is removed.

PostgreSQL and Valkey are known by the folder they work in, Bellwire's own processes by a mark in their environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil

from workers.stack.places import Places
from workers.stack.process import MARK

# The kernel told every child when the supervisor died, so most are gone or on their way when this is read.
PATIENCE = 5.0
POSTGRES_PATIENCE = 20.0


def end_leftovers(places: Places) -> int:
    """End every process that an earlier stack left on this home, the databases last, and return how many there were.

    The caller holds the home, so none of them has a living supervisor.
    """
    services = [process for process in _others() if _environment(process).get(MARK) == str(places.home)]
    _end(services, signal.SIGTERM, PATIENCE)
    _end(_working_in(str(places.valkey)), signal.SIGTERM, PATIENCE)
    servers = _working_in(str(places.postgres))
    # SIGINT to the parent alone: it ends its own children, in order.
    _end(
        [process for process in servers if process.ppid() not in {other.pid for other in servers}],
        signal.SIGINT,
        POSTGRES_PATIENCE,
    )
    clear_postgres(places)
    return len(services) + len(servers)


def clear_postgres(places: Places) -> None:
    """End what is left of a server whose parent process is gone, then remove its notes.

    In this order: the notes are what keeps two servers from one data folder while a single process of the old one
    lives. Left there, they keep the next from starting once a stranger has the old one's process id, and where ids
    begin anew at each start, as in containers, that is soon.
    """
    _end(_working_in(str(places.postgres)), signal.SIGQUIT, PATIENCE)
    for file in (places.postgres / "postmaster.pid", *places.sockets.glob(".s.PGSQL.*")):
        file.unlink(missing_ok=True)


def _others() -> Iterator[psutil.Process]:
    """Every process of this user but this one and those it descends from."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter(["uids"]):
        uids = process.info["uids"]
        if process.pid not in own and uids is not None and uids.real == os.getuid():
            yield process


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _working_in(folder: str) -> list[psutil.Process]:
    return [process for process in _others() if _folder(process) == folder]


def _folder(process: psutil.Process) -> str | None:
    try:
        return process.cwd()
    except psutil.Error:
        return None


def _end(processes: list[psutil.Process], number: signal.Signals, patience: float) -> None:
    """Send `number`, wait, and kill what is still there."""
    for step, seconds in ((number, patience), (signal.SIGKILL, PATIENCE)):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(step)
        deadline = time.monotonic() + seconds
        while any(_lives(process) for process in processes) and time.monotonic() < deadline:
            time.sleep(0.02)
        processes = [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    """Not so the dead whom nobody buries: where the first process is no real init, they stay in the list for ever."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
