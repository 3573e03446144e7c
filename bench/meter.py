"""What a group of processes has used: CPU from /proc/<pid>/stat, memory as proportional set size.

A process's figure includes its children that have ended, so nothing is lost when a server's child comes and goes.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def _fields(pid: int) -> list[str] | None:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _fields(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    return children


def trees(roots: Sequence[int]) -> Iterator[int]:
    """The processes `roots` and all their descendants."""
    children = _children()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting.extend(children.get(pid, ()))


def cpu_seconds(roots: Sequence[int]) -> float:
    """User and system CPU that the trees below `roots` have used so far, ended children included. 10 ms steps."""
    ticks = 0
    for pid in trees(roots):
        if fields := _fields(pid):
            ticks += sum(int(field) for field in fields[11:15])
    return ticks * _TICK


def proportional_bytes(roots: Sequence[int]) -> int:
    """Proportional set size of the trees below `roots`: shared pages are divided among those who share them."""
    total = 0
    for pid in trees(roots):
        try:
            rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def machine_busy_seconds() -> float:
    """CPU that the whole machine has used since it started, idle and waiting for disks left out."""
    numbers = [int(part) for part in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(numbers) - numbers[3] - numbers[4]) * _TICK


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds by process group between two readings, and what the rest of the machine took meanwhile."""

    cpu: Mapping[str, float]
    seconds: float
    others: float

    @property
    def total(self) -> float:
        """CPU seconds of all groups together."""
        return sum(self.cpu.values())


class Meter:
    """Reads the CPU of named groups of processes at the start and at the end of a measurement."""

    def __init__(self, groups: Mapping[str, Sequence[int]]) -> None:
        self._groups = dict(groups)
        self._began = time.monotonic()
        self._machine = machine_busy_seconds()
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        return {name: cpu_seconds(roots) for name, roots in self._groups.items()}

    def usage(self) -> Usage:
        """What was used since this meter was made."""
        cpu = {name: after - self._before[name] for name, after in self._read().items()}
        machine = machine_busy_seconds() - self._machine
        return Usage(cpu, time.monotonic() - self._began, max(0.0, machine - sum(cpu.values())))
