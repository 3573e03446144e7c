"""The limited processes in which tenants' templates run: started when first needed, replaced when one is lost."""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, Final

from pipeline.sandbox_frames import LENGTH, frame_of

ROOT: Final = Path(__file__).resolve().parents[1]
SIZE: Final = 2  # processes that one process of ours uses at most; each holds some 60 MB
START_SECONDS: Final = 30.0
WALL_SECONDS: Final = 5.0  # for one question
LEAST_CPU: Final = 0.4  # seconds that a process must have had before we say that the template takes too long
MOST_BYTES: Final = 16 * 2**20  # of an answer; characters may take twelve bytes each


class SandboxAwayError(Exception):
    """No process could be started, or the machine was too busy to let it work: nothing is said of the template."""


class LostError(Exception):
    """The process ended over this question, as its limits have it."""


class Sandbox:
    """One limited process. Used by one thread at a time."""

    def __init__(self) -> None:
        """Raises SandboxAwayError."""
        command = (sys.executable, "-s", "-m", "pipeline.sandbox_child")
        try:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={"LC_ALL": "C.UTF-8"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            raise SandboxAwayError("no process for tenants' templates can be started") from error
        self.is_new = True  # nobody has asked it anything yet
        self._used = 0.0  # seconds of processor before the question that is under way
        try:
            self._used = json.loads(self._read(monotonic() + START_SECONDS))["used"]
        except (LostError, OSError, TimeoutError) as error:
            self.end()
            raise SandboxAwayError("the process for tenants' templates does not start") from error

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, question: bytes, seconds: float = WALL_SECONDS) -> dict[str, Any]:
        """The answer to a question, within so many seconds.

        Raises:
            LostError: it ended, or was ended because it took too long.
            SandboxAwayError: it got no processor in time; it was ended.
        """
        deadline = monotonic() + seconds
        try:
            self._write(frame_of(question), deadline)
            answer: dict[str, Any] = json.loads(self._read(deadline))
        except TimeoutError:
            used = self._cpu_seconds() - self._used
            self.end()
            if used < LEAST_CPU:
                raise SandboxAwayError("the machine is too busy for tenants' templates") from None
            raise LostError("takes too long") from None
        except (OSError, LostError):
            self.end()
            raise LostError("takes more time or memory than a template may") from None
        self._used = answer.pop("used", 0.0)
        self.is_new = False
        return answer

    def end(self) -> None:
        """Kill it. It has nothing to tidy up."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    @cached_property
    def _pipes(self) -> tuple[int, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        return self._process.stdin.fileno(), self._process.stdout.fileno()

    def _write(self, content: bytes, deadline: float) -> None:
        pipe, rest = self._pipes[0], memoryview(content)
        while rest:
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:
                _await(pipe, select.POLLOUT, deadline)

    def _read(self, deadline: float) -> bytes:
        head = self._exactly(LENGTH, deadline)
        length = int.from_bytes(head, "big")
        if length > MOST_BYTES:
            raise LostError
        return self._exactly(length, deadline)

    def _exactly(self, count: int, deadline: float) -> bytes:
        found = bytearray()
        while len(found) < count:
            _await(self._pipes[1], select.POLLIN, deadline)
            piece = os.read(self._pipes[1], count - len(found))
            if not piece:
                raise LostError
            found += piece
        return bytes(found)

    def _cpu_seconds(self) -> float:
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # gone
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pool:
    """At most `size` processes, each started when all others are busy. Safe for threads.

    Attributes:
        seconds: for one question.
        started: how many processes there have been.
    """

    def __init__(self, size: int = SIZE, seconds: float = WALL_SECONDS) -> None:
        self.seconds = seconds
        self._free: list[Sandbox] = []
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._size = size
        self._late = 0  # processes that are starting still though whoever wanted them has given up
        self.started = 0

    def ask(self, question: Mapping[str, Any], until: float | None = None) -> dict[str, Any]:
        """The answer of one of the processes. It keeps what it has compiled, so a version's body is sent only if asked.

        Args:
            until: when to give up, whatever it is that takes so long (seconds of time.monotonic); None: a process may
                take its time to start.

        Raises:
            LostError: the template made the process end.
            SandboxAwayError: no process could be had.
        """
        if not self._slots.acquire(timeout=min(2 * self.seconds, _left(until))):
            raise SandboxAwayError("all processes for tenants' templates are busy")
        try:
            return self._asked(self._taken(until), question, until)
        finally:
            self._slots.release()

    def pids(self) -> list[int]:
        """The process ids of those that are free; the last one is taken next."""
        with self._lock:
            return [sandbox.pid for sandbox in self._free]

    def close(self) -> None:
        """End all that are free."""
        with self._lock:
            free, self._free = self._free, []
        for sandbox in free:
            sandbox.end()

    def _taken(self, until: float | None) -> Sandbox:
        while True:
            with self._lock:
                sandbox = self._free.pop() if self._free else None
            if sandbox is None:
                return self._begun(until)
            if sandbox._process.poll() is None:
                return sandbox
            sandbox.end()  # somebody else has killed it

    def _begun(self, until: float | None) -> Sandbox:
        """A new process. One that is not there in time is for whoever asks next, and until then none is begun."""
        with self._lock:
            if until is not None and self._late >= self._size:
                raise SandboxAwayError("the processes for tenants' templates are starting still")
            self.started += 1
        if until is None:
            return Sandbox()
        coming: Future[Sandbox] = Future()
        threading.Thread(target=self._begin, args=(coming,), name="sandbox", daemon=True).start()
        try:
            return coming.result(_left(until))
        except TimeoutError:
            if self._given_up(coming):
                raise SandboxAwayError("no process for tenants' templates has started in time") from None
            return coming.result()

    def _given_up(self, coming: Future[Sandbox]) -> bool:
        with self._lock:
            is_late = coming.cancel()
            self._late += is_late
        return is_late

    def _begin(self, coming: Future[Sandbox]) -> None:
        sandbox, problem = None, None
        try:
            sandbox = Sandbox()
        except Exception as error:
            problem = error
        if not coming.set_running_or_notify_cancel():
            with self._lock:
                self._late -= 1
            if sandbox is not None:
                self._keep(sandbox)
        elif sandbox is not None:
            coming.set_result(sandbox)
        else:
            coming.set_exception(problem)

    def _keep(self, sandbox: Sandbox) -> None:
        with self._lock:
            is_needed = len(self._free) < self._size
            if is_needed:
                self._free.append(sandbox)
        if not is_needed:
            sandbox.end()

    def _asked(self, sandbox: Sandbox, question: Mapping[str, Any], until: float | None) -> dict[str, Any]:
        """One that ran out of memory is replaced; what others have left in it must be nobody's fault."""
        was_new = sandbox.is_new
        answer = self._answer(sandbox, question, until)
        if not answer.pop("spent", False):
            self._keep(sandbox)
            return answer
        sandbox.end()
        if was_new:
            return answer
        return self._asked(self._begun(until), question, until)

    def _answer(self, sandbox: Sandbox, question: Mapping[str, Any], until: float | None) -> dict[str, Any]:
        if question["do"] == "render":
            answer = sandbox.ask(json.dumps({**question, "body": None}).encode(), min(self.seconds, _left(until)))
            if "missing" not in answer:
                return answer
        return sandbox.ask(json.dumps(question).encode(), min(self.seconds, _left(until)))


_pools: dict[int, Pool] = {}


def pool() -> Pool:
    """This process's own; a fork does not use those of its parent."""
    process = os.getpid()
    found = _pools.get(process)
    if found is None:
        made = Pool()
        found = _pools.setdefault(process, made)  # of two threads that come at once one is first
        if found is made:
            atexit.register(found.close)
            for other in _pools.keys() - {process}:
                _pools.pop(other, None)
    return found


def _left(until: float | None) -> float:
    """Seconds until then."""
    return threading.TIMEOUT_MAX if until is None else max(0.0, until - monotonic())


def _await(pipe: int, event: int, deadline: float) -> None:
    """Raises TimeoutError when nothing happens until then."""
    left = deadline - monotonic()
    waiting = select.poll()
    waiting.register(pipe, event)
    if left <= 0 or not waiting.poll(left * 1000):
        raise TimeoutError
