"""Starts APIs quickly: one process that imported what they are made of, and forks for each of them.

Starting Python with all of it costs two seconds of CPU, which the suite would pay fifty times.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, Final

from workers.stack.linux import die_with_parent

MOST: Final = 1 << 20  # bytes of a message: the environment

# Not `tasks` and what stands on it, which reads its settings while it is imported: each API has its own.
IMPORTED: Final = (
    "aiohttp",
    "celery.app.base",
    "channels.registry",
    "cryptography.fernet",
    "fastapi.openapi.utils",
    "httptools",
    "jinja2.sandbox",
    "jwt",
    "kombu.transport.redis",
    "limits.aio",
    "models.engine",
    "pipeline.ledger",
    "pipeline.publish",
    "prometheus_client",
    "psycopg",
    "pybreaker",
    "redis.asyncio",
    "requests",
    "sqlalchemy.dialects.postgresql.psycopg",
    "structlog",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.main",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)


class Started:
    """A process of ours that is no child of ours; as `subprocess.Popen` has it.

    Attributes:
        returncode: None while it lives, else as `subprocess` says it: below zero for a signal.
    """

    def __init__(self, said: socket.socket) -> None:
        self._said = said
        self.pid = int(said.recv(20))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("uvicorn", timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._said.settimeout(timeout)
            try:
                self.returncode = int(self._said.recv(20))
            except (BlockingIOError, TimeoutError):
                return None
            self._said.close()
        return self.returncode


def start(app: str, environment: Mapping[str, str], listener: int, log: int) -> Started:
    """Start an API on a listening socket; it is told `environment` and writes to `log`."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        socket.send_fds(_forking(), [json.dumps([app, dict(environment)]).encode()], [listener, log, there.fileno()])
    return Started(here)


@cache
def _forking() -> socket.socket:
    """The way to the process that forks; it ends with this one, and what it started with it."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        command = (sys.executable, "-m", "tests.support.prepared", str(there.fileno()))
        subprocess.Popen(command, pass_fds=(there.fileno(),))
    return here


def main() -> None:
    """Fork as often as it is asked; returns in each API when that ends, and here when nobody can ask any more."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED:
        import_module(name)
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, MOST, 3)
        if not message:
            return
        if os.fork() == 0:
            asked.close()
            _watch(*json.loads(message), *descriptors)
            return
        for one in descriptors:
            os.close(one)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch(app: str, environment: dict[str, str], listener: int, log: int, answer: int) -> None:
    """Start it, and say how it ended: only its parent learns that."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)
    said = socket.socket(fileno=answer)
    pid = os.fork()
    if pid == 0:
        said.close()
        _serve(app, environment, listener, log)
        return
    os.close(listener)
    os.close(log)
    said.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    said.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _serve(app: str, environment: dict[str, str], listener: int, log: int) -> None:
    die_with_parent(signal.SIGTERM)
    os.environ.clear()
    os.environ.update(environment)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    uvicorn: Any = import_module("uvicorn.main").main
    uvicorn([app, "--fd", str(listener), "--no-access-log"])


if __name__ == "__main__":
    main()
