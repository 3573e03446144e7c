"""PostgreSQL and Valkey alone, for as long as this program runs: `python -m workers.stack.servers HOME [--volatile]`.

Prints one line of JSON with their addresses when both answer. Tests and benchmarks use it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from workers.stack import postgres, valkey
from workers.stack.errors import StackError
from workers.stack.leftovers import end_leftovers
from workers.stack.linux import die_with_parent
from workers.stack.lock import hold
from workers.stack.places import Places
from workers.stack.privileges import leave_root
from workers.stack.process import Program, end, start
from workers.stack.signals import Signals

PATIENCE = 30.0


def start_servers(
    places: Places, signals: Signals, *, volatile: bool = False
) -> list[tuple[Program, subprocess.Popen[bytes]]]:
    """Start both servers and return when both take connections.

    Raises:
        StackError: one of them ended, or did not answer in time; the other has been ended too.
    """
    postgres.make(places, volatile=volatile)
    programs = (postgres.program(places, volatile=volatile), valkey.program(places))
    children = [(program, start(program, places)) for program in programs]
    try:
        _wait(places, children, signals)
    except StackError:
        end(children, signals.pause)
        raise
    return children


def _wait(places: Places, children: list[tuple[Program, subprocess.Popen[bytes]]], signals: Signals) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (postgres.is_ready(places) and valkey.is_ready(places)):
        for program, child in children:
            if child.poll() is not None:
                raise StackError(
                    f"{program.name} ended while it was starting; {places.logs / program.name}.log says why."
                )
        if time.monotonic() > deadline:
            raise StackError(
                f"The servers did not answer within {PATIENCE:.0f} seconds; the reason is in {places.logs}."
            )
        signals.wait(0.02)


def main() -> int:
    """Run the servers until a signal or the parent's end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument(
        "--volatile", action="store_true", help="keep nothing: no syncing, and the home is removed at the end"
    )
    options = parser.parse_args()
    places = Places.of(options.home)
    leave_root(places.home, (postgres.PROGRAMS / "postgres", valkey.server()))
    die_with_parent(signal.SIGTERM)
    os.umask(0o077)
    places.make()
    with hold(places), Signals() as signals:
        end_leftovers(places)
        children = start_servers(places, signals, volatile=options.volatile)
        _say_where(places)
        while not signals.stops and all(child.poll() is None for _, child in children):
            signals.wait(60.0)
        end(children, signals.pause)
    places.leave()
    if options.volatile:
        shutil.rmtree(places.home, ignore_errors=True)
    return 0 if signals.stops else 1


def _say_where(places: Places) -> None:
    urls = {
        "postgres": places.database_url_of("postgres"),
        "redis": places.redis_url,
        "broker": places.broker_url,
    }
    print(json.dumps(urls), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.exit(str(error))
