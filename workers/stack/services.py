"""The processes of Bellwire itself, as the local stack starts them."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from config.settings import Settings
from workers.stack.keys import flower_password
from workers.stack.places import Places
from workers.stack.process import Program

CELERY = (sys.executable, "-m", "celery", "-A", "workers")
# A worker that is asked to stop finishes what it has claimed: longer than any send may take.
WORKER_PATIENCE = 50.0
# Browsers hold their streams open for ever; after this long they are cut, and resume elsewhere without a gap.
STREAM_PATIENCE = 3


def api(settings: Settings, listener: socket.socket) -> Program:
    """The API on a socket that the supervisor holds: while it is restarted, callers wait and none is refused."""
    proxies = (
        ("--forwarded-allow-ips", settings.trusted_proxies) if settings.trusted_proxies else ("--no-proxy-headers",)
    )
    options = ("--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", str(STREAM_PATIENCE))
    return Program(
        name="api",
        command=(sys.executable, "-m", "uvicorn", "api.app:app", "--fd", str(listener.fileno()), *options, *proxies),
        folder=Path.cwd(),
        inherited=(listener.fileno(),),
    )


def worker(settings: Settings) -> Program:
    """The worker of every queue. It does without gossip and mingle, which only chat with other workers."""
    return Program(
        name="worker",
        command=(
            *CELERY,
            "worker",
            "--concurrency",
            str(settings.worker_processes),
            "--loglevel",
            settings.log_level,
            "--without-gossip",
            "--without-mingle",
            "--heartbeat-interval",
            "20",
            "--include",
            "workers.stack.celery_signals",
        ),
        folder=Path.cwd(),
        steps=((signal.SIGTERM, WORKER_PATIENCE), (signal.SIGQUIT, 5.0)),
    )


def beat(settings: Settings, places: Places) -> Program:
    """The clock that rings the sweep. What it remembers may be lost."""
    options = ("--schedule", str(places.run / "beat"), "--pidfile", "", "--loglevel", settings.log_level)
    return Program(name="beat", command=(*CELERY, "beat", *options), folder=Path.cwd())


def bus() -> Program:
    """The intake of plain JSON messages on the exchange."""
    return Program(name="bus", command=(sys.executable, "-m", "workers.bus"), folder=Path.cwd())


def flower(places: Places, port: int) -> Program:
    """The operators' view of tasks, on the loopback only; its password is not in the command line, for all to read."""
    return Program(
        name="flower",
        command=(*CELERY, "flower", "--address=127.0.0.1", f"--port={port}", "--max-tasks=2000"),
        folder=Path.cwd(),
        environment={"FLOWER_BASIC_AUTH": f"bellwire:{flower_password(places)}"},
        steps=((signal.SIGTERM, 3.0),),
    )
