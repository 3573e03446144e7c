"""When a cron line comes round next, by the clock on somebody's wall, on the two days too on which it is changed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

SHORT: Final = {"hourly": "0 * * * *", "daily": "0 8 * * *", "weekly": "0 8 * * 1"}
"""The short forms of a schedule."""

_CAME_ROUND: Final = datetime(2000, 1, 1, tzinfo=UTC)  # a leap year


@lru_cache(maxsize=1024)
def comes_round(line: str) -> bool:
    """Whether there is such a day at all: no February has thirty."""
    return _first(line, _CAME_ROUND, UTC) is not None


def next_time(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    """The first time after `after`, in UTC; None when it never comes round.

    What falls into the hour that spring leaves out comes at the change; what falls into the hour that autumn repeats
    comes once, the first time, unless its minutes or hours are any, as in ``*/20 1-3 * * *``.

    Source: Debian's cron(8), whose ways with changed clocks cronsim follows.
    """
    return _first(line, after.replace(second=0, microsecond=0), zone)


@lru_cache(maxsize=4096)
def _first(line: str, after: datetime, zone: tzinfo) -> datetime | None:
    try:
        times = CronSim(SHORT.get(line, line), after.astimezone(zone))
    except CronSimError:  # there is no such day
        return None
    # Begun within the hour that is repeated, it names times of that hour's first passing too.
    return next((found.astimezone(UTC) for found in times if found.astimezone(UTC) > after), None)


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


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
