"""What it costs to put an event into words, by channel: `python -m bench --only words`. No server takes part."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from statistics import mean, median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from config.catalogue import TEMPLATES, shipped
from config.demo import sample_events
from domain.brand import Brand
from domain.vocabulary import Severity
from pipeline.context import context
from pipeline.custom import render_custom
from pipeline.faces import SHIPPED, Faces
from pipeline.published import Published
from pipeline.render import Context, render

CHANNELS: Final = ("email", "telegram", "in_app", "sms", "push", "whatsapp", "apprise")
COLD: Final = "ssl_failure"
BRAND: Final = Brand(version=1, name="Nordlicht Cloud", primary="#0b7a75", footer="Nordlicht Cloud GmbH, Berlin")
OWN: Final = {
    "email": {"subject": "{{ data.host }}", "html": "<p>{{ data.host }}: {{ data.error }}</p>"},
    **{channel: {"text": "{{ data.host }}: {{ data.error }}"} for channel in CHANNELS[1:]},
}

Events = Sequence[tuple[str, Context]]


def words(rounds: int, say: Callable[[str], object]) -> dict[str, Any]:
    """Microseconds of CPU a message, over all sample events; the tenant's own template counts the wait for it too."""
    say(f"words for {len(sample_events())} sample events on {len(CHANNELS)} channels")
    english, german = _contexts("en", None), _contexts("de-AT", "Europe/Vienna")
    branded = [(template, replace(told, brand=BRAND)) for template, told in english]
    SHIPPED.warm()
    found: dict[str, dict[str, float]] = {}
    for channel in CHANNELS:
        found[channel] = {
            "english": _cached(channel, english, rounds),
            "german": _cached(channel, german, rounds),
            "branded": _cached(channel, branded, rounds),
            "cold": _cold(channel, english, rounds),
            "own": _own(channel, english, rounds),
        }
    return {channel: {name: round(value, 1) for name, value in one.items()} for channel, one in found.items()}


def _contexts(locale: str, zone: str | None) -> Events:
    catalogue = shipped().event_types
    return [
        (
            catalogue[event["type"]].template,
            context(
                event_id="0190c2a4-0000-7000-8000-000000000001",
                event_type=event["type"],
                severity=Severity(event.get("severity", "medium")),
                condition=event.get("status", "firing"),
                occurred_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
                branch=None,
                data=event.get("data", {}),
                tenant="acme",
                user_id="u1",
                name="Lena",
                locale=locale,
                time_zone=zone,
            ),
        )
        for event in sample_events()
        if event["type"] in catalogue
    ]


def _cached(channel: str, events: Events, rounds: int) -> float:
    for template, told in events:
        render(channel, template, told)
    return median(_round(channel, events) for _ in range(rounds))


def _round(channel: str, events: Events) -> float:
    began = time.process_time()
    for template, told in events:
        render(channel, template, told)
    return (time.process_time() - began) / len(events) * 1e6


def _cold(channel: str, events: Events, rounds: int) -> float:
    """The first message of a process that has compiled nothing, shared parts included."""
    told = next(told for template, told in events if template == COLD)

    def first() -> float:
        faces = Faces(TEMPLATES)
        began = time.process_time()
        render(channel, COLD, told, faces)
        return (time.process_time() - began) * 1e6

    return median(first() for _ in range(max(3, rounds // 4)))


def _own(channel: str, events: Events, rounds: int) -> float:
    """In the tenant's own template: wall clock, because another process fills it."""
    told = next(told for template, told in events if template == COLD)
    published = Published(f"bench-{channel}", COLD, channel, "", OWN[channel])
    render_custom(published, channel, told)
    began = time.perf_counter()
    times = rounds * 10
    for _ in range(times):
        render_custom(published, channel, told)
    return (time.perf_counter() - began) / times * 1e6


def show(results: Mapping[str, Mapping[str, float]], console: Console) -> None:
    """Print the figures."""
    table = Table(title="Words, microseconds a message", title_justify="left")
    table.add_column("channel")
    for heading in ("English", "German", "own brand", "first of a process", "tenant's own template"):
        table.add_column(heading, justify="right", no_wrap=True)
    for channel, one in results.items():
        table.add_row(channel, *(f"{value:,.0f}" for value in one.values()))
    table.add_row(
        "mean", *(f"{mean(one[name] for one in results.values()):,.0f}" for name in next(iter(results.values())))
    )
    console.print(table)
