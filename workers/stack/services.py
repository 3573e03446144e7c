"""The processes of Bellwire itself, as the local stack starts them."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from config.settings import Settings
from workers.stack.keys import flower_password
from workers.stack.places import Places
from workers.stack.process import Program, Steps

# A worker that is asked to stop finishes what it has claimed: longer than any send may take.
WORKER_PATIENCE = 50.0
# Browsers hold their streams open for ever; after this long they are cut, and resume elsewhere without a gap.
STREAM_PATIENCE = 3
# Of a WebSocket frame; by itself the server would gather 16 MiB for every client before we may refuse it.
MOST_FRAME_BYTES = 64 * 1024


def api(settings: Settings, listener: socket.socket) -> Program:
    """The API on a socket that the supervisor holds: while it is restarted, callers wait and none is refused."""
    proxies = (
        ("--forwarded-allow-ips", settings.trusted_proxies) if settings.trusted_proxies else ("--no-proxy-headers",)
    )
    streams = ("--timeout-graceful-shutdown", str(STREAM_PATIENCE), "--ws-max-size", str(MOST_FRAME_BYTES))
    options = ("--no-access-log", "--no-server-header", *streams)
    return Program(
        name="api",
        command=(sys.executable, "-m", "uvicorn", "api.app:app", "--fd", str(listener.fileno()), *options, *proxies),
        folder=Path.cwd(),
        inherited=(listener.fileno(),),
    )


def worker() -> Program:
    """The worker of every queue."""
    return _celery("worker", ((signal.SIGTERM, WORKER_PATIENCE), (signal.SIGQUIT, 5.0)))


def beat() -> Program:
    """The clock that rings the sweep."""
    return _celery("beat", ((signal.SIGTERM, 5.0),))


def bus() -> Program:
    """The intake of plain JSON messages on the exchange."""
    return Program(name="bus", command=(sys.executable, "-m", "workers.bus"), folder=Path.cwd())


def polling() -> Program:
    """Asks Telegram for updates."""
    return Program(name="polling", command=(sys.executable, "-m", "workers.polling"), folder=Path.cwd())


def asks_for_updates(settings: Settings) -> bool:
    """Whether Telegram is asked for updates: it is the chosen way, and there is a bot to ask for."""
    token = settings.telegram_bot_token
    return settings.telegram_updates == "polling" and token is not None and bool(token.get_secret_value())


def flower(places: Places, port: int) -> Program:
    """Flower; its password is not in the command line, for all to read."""
    variables = {"FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": f"bellwire:{flower_password(places)}"}
    return _celery("flower", ((signal.SIGTERM, 3.0),), variables)


def _celery(name: str, steps: Steps, environment: Mapping[str, str] = {}) -> Program:
    command = (sys.executable, "-m", "workers.stack.celery_main", name)
    return Program(name=name, command=command, folder=Path.cwd(), steps=steps, environment=environment)
