"""Signals as things to wait for: the supervisor sleeps until a child ends, somebody asks it to stop, or time is up."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType
from typing import Self

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Counts the requests to stop for the length of a block, in the main thread."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, self._writer = socket.socketpair()

    def __enter__(self) -> Self:
        for end in (self._reader, self._writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # Who started us with SIGHUP ignored (nohup) wants us to outlive the terminal. SIGINT is ignored in whatever a
        # script starts with `&`, which nobody wants.
        outlive = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heard = [number for number in STOPS if number is not signal.SIGHUP or not outlive]
        self._before = {number: signal.signal(number, self._count) for number in heard}
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._nothing)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float, *others: socket.socket) -> None:
        """Sleep until a signal arrives, one of `others` can be read or `seconds` are over."""
        select.select([self._reader, *others], [], [], max(0.0, seconds))
        try:
            while self._reader.recv(512):
                continue
        except BlockingIOError:
            return

    def pause(self, seconds: float) -> bool:
        """Sleep as `wait` does and say whether somebody asked a second time."""
        self.wait(seconds)
        return self.stops > 1

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1

    def _nothing(self, number: int, frame: FrameType | None) -> None:
        """A handler must exist, or the kernel wakes nobody."""
