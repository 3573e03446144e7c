"""Candidate (a): Celery itself. Tasks that do nothing, so that what is measured is Celery and the broker.

The last task adds one to a counter in a memory-mapped file, one per pool process: 0.2 us, no lock, no message.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

COUNTER = struct.Struct("=Q")

app = Celery("chain", broker=os.environ.get("BENCH_BROKER_URL"))
_counter: list[mmap.mmap] = []


@worker_process_init.connect  # type: ignore[untyped-decorator]
def open_counter(**_: Any) -> None:
    """Give this pool process a counter of its own."""
    path = Path(os.environ["BENCH_COUNTERS"]) / str(os.getpid())
    path.write_bytes(bytes(COUNTER.size))
    with path.open("r+b") as file:
        _counter[:] = [mmap.mmap(file.fileno(), COUNTER.size)]


def _count() -> None:
    COUNTER.pack_into(_counter[0], 0, COUNTER.unpack_from(_counter[0], 0)[0] + 1)


@app.task(name="chain.first")  # type: ignore[untyped-decorator]
def first() -> None:
    """Do nothing."""


@app.task(name="chain.second")  # type: ignore[untyped-decorator]
def second(_previous: None) -> None:
    """End a chain."""
    _count()


@app.task(name="chain.single")  # type: ignore[untyped-decorator]
def single() -> None:
    """A task alone."""
    _count()


def counted(folder: Path) -> int:
    """The sum of all pool processes' counters."""
    return sum(COUNTER.unpack(path.read_bytes())[0] for path in folder.iterdir() if path.stat().st_size == COUNTER.size)
