"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.03  # seconds between two looks


def wait_until(condition: Callable[[], T], what: str | Callable[[], str], seconds: float = 20.0) -> T:
    """Look again and again; returns what the condition finally was.

    Args:
        what: what was waited for; it may be asked when the time is over, to say how far things came.

    Raises:
        AssertionError: it is still false after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what if isinstance(what, str) else what()}")
        time.sleep(PAUSE)
