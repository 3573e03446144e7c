"""Signs of life of a process that nobody can call: a file that it touches. `python -m workers.pulse NAME` looks at it.

The health check of a container; the local stack needs none, since it sees its processes end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from config.settings import settings

OLDEST = 30.0
"""Seconds without a sign after which a process counts as dead."""


def beat(name: str) -> None:
    """Give a sign of life; several times within 30 seconds is right."""
    file = _file(name)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch()


def is_alive(name: str) -> bool:
    """Whether the process gave a sign within the last 30 seconds."""
    try:
        return time.time() - _file(name).stat().st_mtime < OLDEST
    except FileNotFoundError:
        return False


def _file(name: str) -> Path:
    return settings().home / "run" / f"{name}.alive"


if __name__ == "__main__":
    sys.exit(0 if is_alive(sys.argv[1]) else f"{sys.argv[1]} has given no sign of life for {OLDEST:.0f} seconds.")
