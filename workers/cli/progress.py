"""Progress of something long, step by step, on standard error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Steps:
    """A bar for each step; every step is about the same `total` things."""

    def __init__(self, total: int, *, hidden: bool = False) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), disable=hidden)
        self._total = total

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, name: str) -> Callable[[int], None]:
        """A new bar; call what is returned with the number of things that are done."""
        task = self._bars.add_task(name, total=self._total)
        return lambda count: self._bars.advance(task, count)
