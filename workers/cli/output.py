"""What commands print: rich tables for people, JSON for programs, the same words in both."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

WIDE: Final = 200  # columns where there is no terminal to ask

STYLES: Final[Mapping[str, str]] = {
    "sent": "green",
    "delivered": "green",
    "routed": "green",
    "queued": "cyan",
    "held": "cyan",
    "accepted": "cyan",
    "processing": "cyan",
    "failed": "yellow",
    "dead_letter": "bold red",
    "unrouted": "yellow",
    "open": "bold red",
    "half-open": "yellow",
}

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Only this tenant; all by default.", show_default=False)
]


def console() -> Console:
    """Where results go. Made anew each time, so that it writes to what standard output is now."""
    terminal = sys.stdout.isatty()
    return Console(highlight=False, width=None if terminal else shutil.get_terminal_size((WIDE, 25)).columns)


def print_json(value: Any) -> None:
    """Nothing but one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def say(sentence: str, style: str = "") -> None:
    """One line that is not wrapped."""
    console().print(Text(sentence, style=style), soft_wrap=True)


def show_table(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    title: str | None = None,
    nothing: str | None = None,
    spare: Sequence[str] = (),
) -> None:
    """A table of `columns`, named by the fields of the rows.

    Args:
        nothing: what is said when there are no rows.
        spare: columns that are left out, the first one first, where the terminal is too narrow for all.
    """
    listed = list(rows)
    if not listed:
        if nothing:
            say(nothing, "dim")
        return
    screen, shown, left_out = console(), list(columns), list(spare)
    table = _table(listed, shown, title)
    unbounded = screen.options.update(max_width=10_000)
    while left_out and Measurement.get(screen, unbounded, table).maximum > screen.width:
        shown.remove(left_out.pop(0))
        table = _table(listed, shown, title)
    screen.print(table)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numbers = all(isinstance(row.get(column), int | None) for row in rows)
        # An id that is folded cannot be copied.
        table.add_column(
            column.replace("_", " "),
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=column == "id",
            min_width=36 if column == "id" else None,
        )
    for row in rows:
        table.add_row(*(cell(row.get(column), column) for column in columns))
    return table


def cell(value: Any, column: str = "") -> Text:
    """A value as it stands in a table; statuses in their colours."""
    if value is None:
        return Text("–", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}")
    words = str(value)
    return Text(words, style=STYLES.get(words, "dim") if column in ("status", "state") else "")


def ago(moment: str | None) -> str | None:
    """How long ago a moment of the API was, in one unit: ``3m ago``, ``in 5s``."""
    if moment is None:
        return None
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def duration(seconds: float) -> str:
    """Seconds in one unit: ``0.4s``, ``59s``, ``3m``, ``5h``, ``2d``."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 event``, ``2,000 events``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
