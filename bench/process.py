"""Starting and stopping child processes so that nothing is left behind, even when the benchmark itself is killed."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class BenchmarkError(RuntimeError):
    """The benchmark cannot go on; the text says why in one sentence."""


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str, pause: float = 0.01) -> None:
    """Look at `condition` every `pause` seconds.

    Raises:
        BenchmarkError: it is still false after `seconds`; the text names `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)


def _die_with_the_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A child process in a group of its own, with its output in a log file.

    Attributes:
        name: how the table calls it: ``workers``, ``postgres``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        pipes: bool = False,
        inherited: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._heard = b""
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,
                preexec_fn=_die_with_the_parent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, which is the id of its group too."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def wait_ready(self, condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Wait until `condition` holds.

        Raises:
            BenchmarkError: it ended before, or `seconds` passed; the text ends with its last words.
        """

        def ready_or_dead() -> bool:
            return not self.alive() or condition()

        try:
            wait_until(ready_or_dead, seconds=seconds, what=f"{self.name} to be ready")
        except BenchmarkError as error:
            raise BenchmarkError(f"{error}: {self.last_words()}") from None
        if not self.alive():
            raise BenchmarkError(f"{self.name} ended at once: {self.last_words()}")

    def ask(self, question: Mapping[str, Any], *, seconds: float = 120.0) -> dict[str, Any]:
        """Write one JSON line to the child and read one back (children with `pipes` only)."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        return self.hear(seconds=seconds)

    def hear(self, *, seconds: float = 120.0) -> dict[str, Any]:
        """The next line that the child writes, which is JSON; see `hear_line`."""
        parsed: dict[str, Any] = json.loads(self.hear_line(seconds=seconds))
        return parsed

    def hear_line(self, *, seconds: float) -> str:
        """The next line that the child writes (children with `pipes` only).

        Raises:
            BenchmarkError: it wrote nothing in time, or ended.
        """
        assert self._process.stdout
        deadline = time.monotonic() + seconds
        while b"\n" not in self._heard:
            # Read past the file object's own buffer: select does not see what lies in there.
            if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise BenchmarkError(f"waited {seconds:.0f} s for an answer from {self.name}")
            read = os.read(self._process.stdout.fileno(), 65536)
            if not read:
                raise BenchmarkError(f"{self.name} ended: {self.last_words()}")
            self._heard += read
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def last_words(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " / ".join(lines[-5:]) or "it wrote nothing"

    def stop(self, *, seconds: float = 20.0) -> None:
        """Ask it to stop, then end what is left of its group."""
        if self.alive():
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


def python(*arguments: str | Path) -> list[str | Path]:
    """The command that runs `arguments` with this interpreter."""
    return [sys.executable, *arguments]
