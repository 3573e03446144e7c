"""Signals as things to wait for: the supervisor sleeps until a child ends, somebody asks it to stop, or time is up."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Counts the requests to stop. Make one, in the main thread, before the first child."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, writer = socket.socketpair()
        for end in (self._reader, writer):
            end.setblocking(False)
        self._writer = writer
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in STOPS:
            signal.signal(number, self._count)
        signal.signal(signal.SIGCHLD, self._nothing)

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
