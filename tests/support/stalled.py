"""A port on which nobody gets a connection: what wants to send to it hangs before its first byte."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

MOST_FILLERS = 16
PATIENCE = 0.3  # seconds, in which the kernel of the same machine has long answered if it does


class StalledPort:
    """Listens without accepting, its queue full, so that the kernel drops every further greeting."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._fillers: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        while self._connects():
            assert len(self._fillers) < MOST_FILLERS, "the queue of a listener that takes nobody never fills"
        return self

    def _connects(self) -> bool:
        filler = socket.socket()
        self._fillers.append(filler)
        filler.settimeout(PATIENCE)
        try:
            filler.connect(self._listener.getsockname())
        except TimeoutError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._fillers):
            one.close()

    @property
    def url(self) -> str:
        """Where nobody answers."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"
