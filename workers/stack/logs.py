"""Keeps the log files of a long life small. The programs append, so a file can be cut under their feet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from workers.stack.places import Places

LARGEST = 20 * 1024 * 1024


def cut(places: Places) -> None:
    """Move what has grown beyond 20 MiB to NAME.log.1. Lines written in that instant are lost."""
    for file in places.logs.glob("*.log"):
        if file.stat().st_size > LARGEST:
            shutil.copyfile(file, file.with_suffix(".log.1"))
            os.truncate(file, 0)


def last_line(file: Path) -> str:
    """The last line with anything on it, or a note that there is none."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - 4096))
        lines = [line.strip() for line in opened.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it left no message"
