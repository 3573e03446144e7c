"""Programs that end are started again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.stack.keeper import Keeper, Kept, wait_before
from workers.stack.places import Places
from workers.stack.process import Program
from workers.stack.readiness import announce
from workers.stack.signals import Signals
from workers.stack.terminal import Terminal


@pytest.fixture
def keeper(home: Path) -> Iterator[Keeper]:
    places = Places.of(home)
    places.make()
    with Signals() as signals:
        made = Keeper(places, signals, Terminal(places))
        yield made
        made.end(*made.kept)


def look_after(keeper: Keeper, name: str, until: Callable[[Kept], bool]) -> None:
    deadline = time.monotonic() + 10
    while not until(keeper.kept[name]):
        assert time.monotonic() < deadline
        time.sleep(min(0.02, keeper.look_after()))


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.2), (2, 0.4), (3, 0.8), (8, 25.6), (9, 30.0), (2000, 30.0)])
def test_the_wait_before_a_start_grows_with_every_failure(failures: int, seconds: float) -> None:
    assert wait_before(failures) == pytest.approx(seconds)


def test_a_program_that_ends_is_started_again_after_a_growing_wait(keeper: Keeper, home: Path) -> None:
    keeper.start(Program("short", ("sh", "-c", "echo ran; exit 3"), home))
    look_after(keeper, "short", lambda short: short.failures == 3)
    assert (home / "logs" / "short.log").read_text() == "ran\nran\nran\n"
    said = (home / "logs" / "stack.log").read_text()
    assert "short: ended (exit code 3), starting it again in 0.2 s" in said
    assert "starting it again in 0.8 s" in said


def test_a_program_that_is_killed_comes_back(keeper: Keeper, home: Path) -> None:
    keeper.start(Program("long", ("sleep", "600"), home))
    first = keeper.kept["long"].child
    first.kill()
    first.wait()
    look_after(keeper, "long", lambda long: long.failures == 1 and long.due is None)
    assert keeper.kept["long"].child.pid != first.pid
    assert keeper.kept["long"].child.poll() is None


def test_the_end_of_one_leaves_the_others_alone(keeper: Keeper, home: Path) -> None:
    keeper.start(Program("long", ("sleep", "600"), home))
    keeper.start(Program("short", ("false",), home))
    look_after(keeper, "short", lambda short: short.failures == 2)
    assert keeper.kept["long"].failures == 0


def test_a_program_is_ready_when_it_says_so(keeper: Keeper, home: Path) -> None:
    command = "from workers.stack.readiness import announce; announce(); import time; time.sleep(600)"
    keeper.start(Program("polite", (sys.executable, "-c", command), home))
    look_after(keeper, "polite", lambda polite: polite.ready)


def test_nobody_is_told_when_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    announce()


def test_a_listener_that_is_gone_disturbs_nobody(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(home / "nobody"))
    announce()
