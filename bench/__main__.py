"""`python -m bench`: measures everything side by side in one run, prints the tables, and keeps nothing."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.candidates import Bench, Receiver, Run
from bench.digest import digest_costs
from bench.digest import show as show_digest
from bench.idle import idle
from bench.inbox import inbox
from bench.inbox import show as show_inbox
from bench.live import live
from bench.live import show as show_live
from bench.plan import MEASUREMENTS, Measurement
from bench.process import BenchmarkError
from bench.report import as_json, show
from bench.rounds import run_rounds
from bench.servers import running_servers
from bench.words import show as show_words
from bench.words import words

IDLE, LIVE, INBOX, DIGEST, WORDS = "idle", "live", "inbox", "digest", "words"
NAMES = (*(one.name for one in MEASUREMENTS), WORDS, LIVE, INBOX, DIGEST, IDLE)
# Filling a database with a million deliveries or notifications takes a minute, so a quick run does without.
SLOW = ("bellwire_empty", "bellwire_million", INBOX)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _chosen(names: list[str], *, quick: bool) -> list[str]:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(NAMES)}")
    return names or [name for name in NAMES if not (quick and name in SLOW)]


def _measure(
    measurements: list[Measurement], rounds: int, runs: dict[str, list[Run]], *, quick: bool, console: Console
) -> None:
    """Measure on servers of their own; whatever has been measured is in `runs`, even when it ends with an error."""
    if not measurements:
        return
    with ExitStack() as stack:
        servers = stack.enter_context(running_servers())
        receiver = Receiver(servers)
        stack.enter_context(receiver.child)
        bench = Bench(servers, receiver, stack)
        run_rounds(bench, measurements, rounds, runs, quick=quick, say=lambda text: console.print(f"[dim]{text}"))


def _measure_parts(names: Sequence[str], parts: dict[str, Any], *, quick: bool, say: Callable[[str], None]) -> None:
    """What is no rate, each on servers of its own."""
    if WORDS in names:
        parts[WORDS] = words(rounds=10 if quick else 40, say=say)
    if LIVE in names:
        parts[LIVE] = live(seconds=5 if quick else 20, say=say)
    if INBOX in names:
        parts[INBOX] = inbox(rounds=50 if quick else 200, say=say)
    if DIGEST in names:
        parts[DIGEST] = digest_costs(people=500 if quick else 10_000, items=20, say=say)
    if IDLE in names:
        say("the whole product, idle")
        parts[IDLE] = idle(seconds=10 if quick else 30)


def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Two short rounds; nothing with a million rows.")] = False,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often everything is measured.")] = 5,
    only: Annotated[list[str] | None, typer.Option(help=f"Only this, may be repeated: {', '.join(NAMES)}")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the figures go as JSON.")] = None,
) -> None:
    """Compare Bellwire with Celery itself and with the obvious design, on this machine, in one run."""
    signal.signal(signal.SIGTERM, _end)
    progress = Console(stderr=True, highlight=False)
    names = _chosen(only or [], quick=quick)
    rounds = min(rounds, 2) if quick else rounds
    runs: dict[str, list[Run]] = {}
    parts: dict[str, Any] = {}
    failure = ""
    try:
        chosen = [one for one in MEASUREMENTS if one.name in names]
        # The million rows come last and on servers of their own, so that nothing else shares the machine with them.
        for part in ([one for one in chosen if one.name not in SLOW], [one for one in chosen if one.name in SLOW]):
            _measure(part, rounds, runs, quick=quick, console=progress)
        _measure_parts(names, parts, quick=quick, say=lambda text: progress.print(f"[dim]{text}"))
    except BenchmarkError as error:
        failure = str(error)
    results = as_json(runs, parts, rounds, failure)
    if json_file is not None:
        json_file.write_text(json.dumps(results, indent=2) + "\n")
    console = Console() if sys.stdout.isatty() else Console(width=120)
    show(results, console)
    for name, show_part in ((WORDS, show_words), (LIVE, show_live), (INBOX, show_inbox), (DIGEST, show_digest)):
        if results[name]:
            show_part(results[name], console)
    if failure:
        progress.print(f"[red]{failure}")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
