"""A port on which nobody gets a connection: what wants to send to it hangs before its first byte."""

from __future__ import annotations

import contextlib
import socket
import time
from types import TracebackType
from typing import Self

FILLERS = 8


class StalledPort:
    """Listens without accepting, its queue full, so that the kernel drops every further greeting."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._fillers: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        for _ in range(FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(self._listener.getsockname())
            self._fillers.append(filler)
        time.sleep(0.05)  # the kernel's handshakes, which nobody else takes part in
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._fillers):
            one.close()

    @property
    def url(self) -> str:
        """Where nobody answers."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"
