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

# What is written in sentences, and may be broken between words.
PROSE: Final = frozenset({"", "because", "detail", "for_example", "outcomes", "title", "what_became_of_it"})
NARROW: Final = 24  # columns that a sentence needs at least
GAP: Final = 3  # columns between two columns; the edges take two

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


def warn(sentence: str) -> None:
    """Something that a person may have overlooked; not among the results."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(sentence, style="yellow"))


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
    if title:
        say(title, "bold")
    screen, shown, left_out = console(), list(columns), [name for name in spare if name in columns]
    while left_out and _least_width(listed, shown) > screen.width:
        shown.remove(left_out.pop(0))
    # Where even that is too wide, the terminal breaks the lines; no name is broken, and nothing is lost.
    screen.width = max(screen.width, _least_width(listed, shown))
    _print(screen, _table(listed, shown))


def _print(screen: Console, table: Table) -> None:
    """Programs that read lines want no blanks at their ends."""
    if screen.is_terminal:
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numbers = all(isinstance(row.get(column), int | None) for row in rows)
        table.add_column(
            column.replace("_", " "),
            justify="right" if numbers else "left",
            overflow="fold",
            no_wrap=column not in PROSE,
            min_width=_least(rows, column),
        )
    for row in rows:
        table.add_row(*(cell(row.get(column), column) for column in columns))
    return table


def _least_width(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> int:
    return sum(_least(rows, column) for column in columns) + GAP * (len(columns) - 1) + 2


def _least(rows: Sequence[Mapping[str, Any]], column: str) -> int:
    """Ids and names are not broken, since nobody could copy or search them; sentences are, between their words."""
    cells = [cell(row.get(column), column) for row in rows]
    widest = max((one.cell_len for one in cells), default=0)
    return max(len(column), min(widest, NARROW) if column in PROSE else widest)


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


def lead_on(cursor: str | None) -> None:
    """Say how to see the next page, if there is one."""
    if cursor is not None:
        say(f"More with --cursor {cursor}", "dim")
