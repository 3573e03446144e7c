"""When a cron line comes round next, by the clock on somebody's wall, on the two days too on which it is changed."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from domain.cron import FIELDS

SHORT: Final = {"hourly": "0 * * * *", "daily": "0 8 * * *", "weekly": "0 8 * * 1"}
"""The short forms of a schedule."""

FARTHEST: Final = 8 * 366 + 1  # days; from 29 February 2096 to the next one there are eight years
LEAP_YEAR: Final = 2000


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron line as sets of numbers. `either`: day and weekday are both named, and one of them is enough."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    every_hour: bool

    def is_on(self, day: date) -> bool:
        """Whether it comes round on a day."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either else by_day and by_weekday


@lru_cache(maxsize=1024)
def parse_cron(line: str) -> Cron:
    """A line that `cron_problem` finds nothing wrong with, or a short form."""
    written = SHORT.get(line, line).split()
    numbers = [_numbers(text, least, most) for text, (_, least, most) in zip(written, FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = numbers
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(day % 7 for day in weekdays),
        either=not written[2].startswith("*") and not written[4].startswith("*"),
        every_hour=written[1] == "*",
    )


def comes_round(line: str) -> bool:
    """Whether there is such a day at all: no February has thirty."""
    cron = parse_cron(line)
    return cron.either or any(min(cron.days) <= monthrange(LEAP_YEAR, month)[1] for month in cron.months)


def next_time(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    """The first time after `after`, in UTC; None when there is none within eight years.

    What falls into the hour that spring leaves out comes at the change; what falls into the hour that autumn repeats
    comes once, the first time, unless it comes every hour anyway.
    """
    return _next_time(line, after.replace(second=0, microsecond=0), zone)


@lru_cache(maxsize=4096)
def _next_time(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    cron, wall = parse_cron(line), after.astimezone(zone).replace(tzinfo=None)
    for number in range(-1, FARTHEST):
        day = wall.date() + timedelta(days=number)
        if cron.is_on(day):
            for found in _on(cron, day, zone, wall):
                if found > after:
                    return found
    return None


def instant(wall: datetime, zone: tzinfo) -> datetime:
    """When a clock on the wall shows `wall` for the first time, in UTC; if it skips that, when it has passed it."""
    late = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _wall(late, zone) == wall:
        return late
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while late - early > timedelta(minutes=1):
        middle = (early + (late - early) / 2).replace(second=0, microsecond=0)
        if _wall(middle, zone) >= wall:
            late = middle
        else:
            early = middle
    return late


def first_of_week(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    """The first time of a week that begins on Monday, after `after`."""
    today = after.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    for start in (monday, monday + timedelta(days=7)):
        found = next_time(line, instant(datetime.combine(start, time()), zone) - timedelta(minutes=1), zone)
        if found is not None and found > after:
            return found
    return found


@lru_cache(maxsize=1024)
def zone_named(*names: str | None) -> tzinfo:
    """The first of these zones that there is; else UTC. One that was stored long ago may have left the list."""
    for name in names:
        if name:
            try:
                return ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                continue
    return UTC


def _on(cron: Cron, day: date, zone: tzinfo, wall: datetime) -> Iterator[datetime]:
    """The times of one day, the earliest first; hours that are long over by `wall` are left out."""
    over = wall - timedelta(hours=4)  # no clock is set back by more
    for hour in cron.hours:
        if datetime.combine(day, time(hour, 59)) < over:
            continue
        again = []
        for minute in cron.minutes:
            shown = datetime.combine(day, time(hour, minute))
            found = instant(shown, zone)
            if not cron.every_hour:
                yield found
            elif _wall(found, zone) == shown:
                yield found
                second = shown.replace(tzinfo=zone, fold=1).astimezone(UTC)
                again += [second] if second > found else []
        yield from again


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _numbers(text: str, least: int, most: int) -> set[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = least if first == "*" else int(first)
        high = int(last) if last else most if step or first == "*" else low
        numbers.update(range(low, high + 1, int(step or 1)))
    return numbers
