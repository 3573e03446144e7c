"""One program of the stack as a child process: its log, how it is ended, and that it never outlives the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workers.stack.linux import die_with_parent
from workers.stack.places import Places

# Marks the children in their environment, so that those of a killed supervisor are found again.
MARK = "BELLWIRE_STACK"


Steps = tuple[tuple[signal.Signals, float], ...]


@dataclass(frozen=True, slots=True)
class Program:
    """What is started, and how it is asked to end.

    Attributes:
        steps: signals in the order they are tried, each with the seconds it is given; SIGKILL follows the last.
        inherited: file descriptors that it keeps open.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    steps: Steps = ((signal.SIGTERM, 10.0),)
    environment: Mapping[str, str] = field(default_factory=dict)
    inherited: tuple[int, ...] = ()


def start(program: Program, places: Places) -> subprocess.Popen[bytes]:
    """Start `program`, its output appended to `logs/NAME.log` and its process id in `run/NAME.pid`."""

    def ready_to_die() -> None:
        die_with_parent(program.steps[0][0])

    with (places.logs / f"{program.name}.log").open("ab") as log:
        child = subprocess.Popen(
            program.command,
            cwd=program.folder,
            env={**os.environ, **program.environment, MARK: str(places.home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=program.inherited,
            # Ctrl-C in the terminal reaches the supervisor alone, which ends the others in order.
            start_new_session=True,
            preexec_fn=ready_to_die,
        )
    (places.run / f"{program.name}.pid").write_text(f"{child.pid}\n")
    return child


Pause = Callable[[float], bool]
"""Waits that many seconds at the most and says whether there is no time left to be polite."""


def end(children: Iterable[tuple[Program, subprocess.Popen[bytes]]], pause: Pause) -> None:
    """End `children` together, each by its own steps, and return when all are gone."""
    begun, hurry = time.monotonic(), False
    told: dict[int, signal.Signals] = {}
    running = [(program, child) for program, child in children if child.poll() is None]
    while running:
        for program, child in running:
            # In a hurry the polite first step is over at once.
            step = _step(program.steps[1:] if hurry else program.steps, time.monotonic() - begun)
            if told.get(child.pid) != step:
                told[child.pid] = step
                child.send_signal(step)
        if pause(0.05) and not hurry:
            begun, hurry = time.monotonic(), True
        running = [(program, child) for program, child in running if child.poll() is None]


def _step(steps: Steps, elapsed: float) -> signal.Signals:
    """The signal whose turn it is `elapsed` seconds after the first."""
    for number, seconds in steps:
        if elapsed < seconds:
            return number
        elapsed -= seconds
    return signal.SIGKILL
