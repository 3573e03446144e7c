"""Quiet hours: from when until when nobody wants to be told, by the clock on his wall."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo

from domain.schedule import instant


def quiet_until(now: datetime, start: str, end: str, zone: tzinfo) -> datetime | None:
    """When the quiet hours in which `now` lies are over, in UTC; None outside of them.

    They are stretches between two moments, not a question to the clock: when it is set back during the night, they do
    not begin a second time.

    Args:
        start, end: such as ``22:00`` and ``07:00``; an end that is not later is one of the next day.
    """
    begins, ends = time.fromisoformat(start), time.fromisoformat(end)
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        until = _at(day if begins < ends else day + timedelta(days=1), ends, zone)
        if _at(day, begins, zone) <= now < until:
            return until
    return None


def _at(day: date, at: time, zone: tzinfo) -> datetime:
    return instant(datetime.combine(day, at), zone)
