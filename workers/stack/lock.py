"""One stack per home: a file lock that the kernel drops whatever becomes of its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from workers.stack.errors import StackError
from workers.stack.places import Places


@contextmanager
def hold(places: Places) -> Iterator[None]:
    """Hold the home for the length of the block.

    Raises:
        StackError: another process holds it; the text names its id.
    """
    with (places.home / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StackError(f"Bellwire is already running (pid {file.read().strip()}) on {places.home}.") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
