"""Keeps programs running: starts each, notices its end, and starts it again after a wait that grows with failures."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from workers.stack.leftovers import clear_postgres
from workers.stack.places import Places
from workers.stack.process import Program, end, start
from workers.stack.readiness import Listener
from workers.stack.signals import Signals
from workers.stack.terminal import Terminal

FIRST_WAIT, LONGEST_WAIT = 0.2, 30.0
# After a minute of running an end is an accident, not a habit.
SETTLED = 60.0


def wait_before(failures: int) -> float:
    """Seconds before the next start after that many ends in a row: 0.2, 0.4, 0.8 ... 30."""
    # Past the tenth it stays the longest; without the bound a night of failures ends in a number too large.
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (min(failures, 10) - 1))


@dataclass(slots=True)
class Kept:
    """A program and how it fares. `due` is when it is started again, None while it runs."""

    program: Program
    child: subprocess.Popen[bytes]
    started: float
    failures: int = 0
    due: float | None = None
    ready: bool = False


class Keeper:
    """The programs that run, in the order they were started."""

    def __init__(self, places: Places, signals: Signals, terminal: Terminal) -> None:
        self.kept: dict[str, Kept] = {}
        self._places, self._signals, self._terminal = places, signals, terminal
        self._notices = Listener(places)

    def start(self, program: Program) -> None:
        """Start `program` and keep it running from now on."""
        self.kept[program.name] = Kept(program, start(program, self._places), time.monotonic())

    def look_after(self) -> float:
        """Notice ends, restart what is due, and return the seconds until something is due again."""
        now = time.monotonic()
        ready = self._notices.ready()
        for kept in self.kept.values():
            kept.ready = kept.ready or kept.child.pid in ready
            if kept.due is None and kept.child.poll() is not None:
                self._note_end(kept, now)
            if kept.due is not None and kept.due <= now:
                self._start_again(kept, now)
        return min((kept.due - now for kept in self.kept.values() if kept.due is not None), default=LONGEST_WAIT)

    def end(self, *names: str) -> list[str]:
        """End the named programs together, and return when they are gone which of them there were."""
        leaving = [self.kept.pop(name) for name in names if name in self.kept]
        end([(kept.program, kept.child) for kept in leaving], self._signals.pause)
        return [kept.program.name for kept in leaving]

    def _note_end(self, kept: Kept, now: float) -> None:
        kept.failures = 1 if now - kept.started > SETTLED else kept.failures + 1
        kept.ready = False
        wait = wait_before(kept.failures)
        kept.due = now + wait
        self._terminal.warn(
            kept.program.name,
            f"ended ({_how(kept.child.returncode)}), starting it again in {wait:.1f} s; "
            f"see {self._places.logs / kept.program.name}.log",
        )

    def _start_again(self, kept: Kept, now: float) -> None:
        if kept.program.name == "postgres":
            clear_postgres(self._places)
        kept.child, kept.started, kept.due = start(kept.program, self._places), now, None


def _how(status: int) -> str:
    return f"exit code {status}" if status >= 0 else f"signal {-status}"
