"""Real processes that a test starts, kills, freezes and ends; none outlives the test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.support.waiting import wait_until
from workers.stack.linux import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable


class Process:
    """One process in a session of its own, with its output in a log.

    Attributes:
        log: what it wrote; a second process of the same name writes behind the first.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        folder: Path = ROOT,
        user: str | None = None,
        last_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._started = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=user,
                extra_groups=[] if user else None,
                # After the change of user, which would undo it.
                preexec_fn=lambda: die_with_parent(last_signal),
            )
        self._process = psutil.Process(self._started.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._started.pid

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._started.poll()

    def lives(self) -> bool:
        """Whether it runs."""
        return self.code is None

    def children(self) -> list[psutil.Process]:
        """Its children and theirs, the oldest first."""
        try:
            return self._process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """`kill -9` of the process alone."""
        self._started.kill()
        self._started.wait()

    def kill_all(self) -> None:
        """`kill -9` of it and of everything below it, at once: none has time to notice that another is gone."""
        if not self.lives():
            return
        everybody = [*self.children(), self._process]
        self._signal(everybody, signal.SIGSTOP)
        self._signal(everybody, signal.SIGKILL)
        self._started.wait()
        wait_until(lambda: not any(_lives(one) for one in everybody), f"{self.name} to be gone")

    def freeze(self) -> None:
        """SIGSTOP it and everything below it."""
        self._signal([self._process, *self.children()], signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal([*self.children(), self._process], signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Any signal, to the process alone."""
        self._started.send_signal(number)

    def end(self, seconds: float = 15.0) -> None:
        """Ask it to end, then kill what is left of it."""
        everybody = self.children()
        if self.lives():
            self.thaw()
            self._started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._started.wait(seconds)
        self._signal(everybody, signal.SIGKILL)
        self._started.kill()
        self._started.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        written = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(written[-lines:]) or "it wrote nothing"

    @staticmethod
    def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


class ReadySocket:
    """Hears a process say that it is ready, as a supervisor does (`NOTIFY_SOCKET`)."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bellwire-ready-")
        self.address = os.path.join(self._folder.name, "ready")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)

    def wait(self, process: Process, seconds: float = 30.0) -> None:
        """Wait for the word.

        Raises:
            AssertionError: the process ended, or said nothing in time; the text ends with its last words.
        """
        self._socket.settimeout(0.1)
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(TimeoutError):
                self._socket.recv(4096)
                return
            if not process.lives() or time.monotonic() > deadline:
                raise AssertionError(f"{process.name} did not get ready ({process.code}):\n{process.last_words()}")

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
        self._folder.cleanup()
