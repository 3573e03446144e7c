"""The results as a table for people and as JSON for programs. Every figure is the median of the rounds."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.candidates import Run
from bench.plan import COMPARISONS, MEASUREMENTS, Comparison, Measurement

MEBIBYTE = 1024 * 1024
GROUPS = ("publisher", "api", "workers", "beat", "flower", "postgres", "valkey", "receiver")

Runs = Mapping[str, Sequence[Run]]


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def measured(measurement: Measurement, runs: Sequence[Run]) -> dict[str, Any]:
    """One measurement as JSON: rates a second, CPU in microseconds a unit, memory in MiB."""
    groups = [name for name in GROUPS if name in runs[0].usage.cpu]
    others = [run.usage.others / run.usage.seconds for run in runs]
    result: dict[str, Any] = {
        "title": measurement.title,
        "unit": measurement.unit,
        "count": runs[0].count,
        "rate": round(median(run.rate for run in runs), 1),
        "rates": [round(run.rate, 1) for run in runs],
        "cpu_us": round(median(run.cpu_each for run in runs) * 1e6, 1),
        "cpu_us_by_process": {
            name: round(median(run.usage.cpu[name] / run.count for run in runs) * 1e6, 1) for name in groups
        },
        "memory_mib_by_process": {
            name: round(median(run.memory[name] for run in runs) / MEBIBYTE, 1) for name in groups
        },
        "cpu_us_by_round": [round(run.cpu_each * 1e6, 1) for run in runs],
        "cores_used_by_others": round(median(others), 2),
        "cores_used_by_others_by_round": [round(one, 2) for one in others],
    }
    latencies = [seconds * 1000 for run in runs for seconds in run.latencies]
    if latencies:
        result["latency_ms"] = {f"p{part}": round(percentile(latencies, part / 100), 2) for part in (50, 90, 99)}
    return result


def _value(comparison: Comparison, over: Run, under: Run) -> float:
    match comparison.of:
        case "cpu":
            return over.cpu_each / under.cpu_each
        case "time":
            return under.rate / over.rate
        case _:
            return over.rate / under.rate


def compared(comparison: Comparison, runs: Runs) -> dict[str, Any]:
    """One ratio as JSON: the median of the rounds' ratios, so that a slow minute of the machine touches both sides."""
    values = [
        _value(comparison, over, under)
        for over, under in zip(runs[comparison.over], runs[comparison.under], strict=False)
    ]
    value = round(median(values), 3)
    return {
        "title": comparison.title,
        "value": value,
        "values": [round(one, 3) for one in values],
        "bar": comparison.bar,
        "bar_is": "at most" if comparison.at_most else "at least",
        "goal": comparison.goal,
        "met": comparison.met(value),
        "goal_met": None if comparison.goal is None else value >= comparison.goal,
    }


def as_json(runs: Runs, parts: Mapping[str, Any], rounds: int, failure: str = "") -> dict[str, Any]:
    """Everything that was measured, and why it ended early if it did."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "rounds": rounds,
        "measurements": {one.name: measured(one, runs[one.name]) for one in MEASUREMENTS if runs.get(one.name)},
        "ratios": {one.name: compared(one, runs) for one in COMPARISONS if runs.get(one.over) and runs.get(one.under)},
        "words": parts.get("words"),
        "live": parts.get("live"),
        "inbox": parts.get("inbox"),
        "digest": parts.get("digest"),
        "idle": parts.get("idle"),
        "failure": failure or None,
    }


def _rate_table(results: Mapping[str, Any]) -> Table:
    table = Table(title="Rates", title_justify="left")
    table.add_column("what")
    for heading in ("a second", "slowest", "fastest", "CPU µs each", "PSS MiB", "others"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in results.values():
        table.add_row(
            one["title"],
            *(f"{value:,.0f}" for value in (one["rate"], min(one["rates"]), max(one["rates"]), one["cpu_us"])),
            f"{sum(one['memory_mib_by_process'].values()):,.0f}",
            f"{one['cores_used_by_others']:.2f}",
        )
    return table


def _cpu_table(results: Mapping[str, Any]) -> Table:
    groups = [name for name in GROUPS if any(name in one["cpu_us_by_process"] for one in results.values())]
    table = Table(title="CPU by process, microseconds each", title_justify="left")
    table.add_column("what")
    for heading in groups:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in results.values():
        cpu = one["cpu_us_by_process"]
        table.add_row(one["title"], *(f"{cpu[name]:,.0f}" if name in cpu else "" for name in groups))
    return table


def _ratio_table(ratios: Mapping[str, Any]) -> Table:
    table = Table(title="Ratios (median of the rounds)", title_justify="left")
    for heading in ("what", "ratio", "bar", "", "goal", ""):
        table.add_column(heading, justify="left" if heading in {"what", ""} else "right")
    for one in ratios.values():
        goal = one["goal"]
        table.add_row(
            one["title"],
            f"{one['value']:.2f}",
            f"{'≤' if one['bar_is'] == 'at most' else '≥'} {one['bar']:g}",
            _verdict(one["met"]),
            "" if goal is None else f"{goal:g}",
            "" if goal is None else _verdict(one["goal_met"]),
        )
    return table


def _verdict(met: bool) -> str:
    return "[green]met[/green]" if met else "[red]not met[/red]"


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    if results["measurements"]:
        console.print(_rate_table(results["measurements"]))
        console.print("[dim]others: cores that processes outside the benchmark used meanwhile[/dim]")
        console.print(_cpu_table(results["measurements"]))
    for one in results["measurements"].values():
        if "latency_ms" in one:
            figures = ", ".join(f"{name} {value} ms" for name, value in one["latency_ms"].items())
            console.print(f"{one['title']}: published to received {figures}")
    if results["ratios"]:
        console.print(_ratio_table(results["ratios"]))
    if idle := results["idle"]:
        memory = ", ".join(f"{name} {size:.0f}" for name, size in idle["memory_mib_by_process"].items())
        console.print(
            f"Idle, the whole stack: {idle['memory_mib']:.0f} MiB PSS (bar 600: {_verdict(idle['met'])}; {memory}), "
            f"{idle['cpu_percent']:.2f} % of one core"
        )
