"""How a program is started and ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from workers.stack.places import Places
from workers.stack.process import Program, Steps, end, start

# Ignores the signals it is given by number and says when it does. No others: shells start what runs in the background
# deaf to some, and that is inherited.
STUBBORN = """
import signal, sys, time
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
for number in sys.argv[1:]:
    signal.signal(int(number), lambda *_: None)
print("deaf", flush=True)
while True:
    time.sleep(1)
"""
PARENT = """
import sys
from pathlib import Path
from workers.stack.places import Places
from workers.stack.process import Program, start
places = Places.of(Path(sys.argv[1]))
child = start(Program("child", ("sleep", "600"), places.home), places)
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def places(home: Path) -> Places:
    made = Places.of(home)
    made.make()
    return made


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def patient(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def deaf_program(places: Places, *steps: tuple[signal.Signals, float], deaf_to: tuple[int, ...]) -> Program:
    command = (sys.executable, "-c", STUBBORN, *(str(number) for number in deaf_to))
    return Program("stubborn", command, places.home, steps=steps)


def running(program: Program, places: Places) -> subprocess.Popen[bytes]:
    child = start(program, places)
    wait_for(lambda: b"deaf" in (places.logs / "stubborn.log").read_bytes())
    return child


def test_output_goes_to_the_log_and_the_process_id_to_its_file(places: Places) -> None:
    child = start(Program("echo", ("echo", "hello"), places.home), places)
    child.wait()
    assert (places.logs / "echo.log").read_text() == "hello\n"
    assert (places.run / "echo.pid").read_text() == f"{child.pid}\n"


def test_a_program_that_obeys_gets_the_first_signal_only(places: Places) -> None:
    program = deaf_program(places, (signal.SIGINT, 5.0), (signal.SIGQUIT, 5.0), deaf_to=())
    child = running(program, places)
    end([(program, child)], patient)
    assert child.returncode == -signal.SIGINT


def test_a_program_that_does_not_listen_gets_the_next_signal(places: Places) -> None:
    program = deaf_program(places, (signal.SIGTERM, 0.2), (signal.SIGQUIT, 5.0), deaf_to=(signal.SIGTERM,))
    child = running(program, places)
    end([(program, child)], patient)
    assert child.returncode == -signal.SIGQUIT


def test_a_program_that_listens_to_nothing_is_killed(places: Places) -> None:
    program = deaf_program(places, (signal.SIGTERM, 0.2), deaf_to=(signal.SIGTERM,))
    child = running(program, places)
    end([(program, child)], patient)
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("steps", "deaf_to", "last"),
    [
        (((signal.SIGTERM, 600.0), (signal.SIGQUIT, 600.0)), (signal.SIGTERM,), signal.SIGQUIT),
        (((signal.SIGTERM, 600.0), (signal.SIGQUIT, 0.2)), (signal.SIGTERM, signal.SIGQUIT), signal.SIGKILL),
        (((signal.SIGTERM, 600.0),), (signal.SIGTERM,), signal.SIGKILL),
    ],
)
def test_a_second_request_skips_the_first_patience(
    places: Places, steps: Steps, deaf_to: tuple[int, ...], last: signal.Signals
) -> None:
    program = deaf_program(places, *steps, deaf_to=deaf_to)
    child = running(program, places)
    end([(program, child)], lambda seconds: not patient(seconds))
    assert child.returncode == -last


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_program_does_not_outlive_a_killed_supervisor(places: Places) -> None:
    with subprocess.Popen((sys.executable, "-c", PARENT, str(places.home)), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
