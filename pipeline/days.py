"""How many days are left, put into words: ahead, today, or over."""

from __future__ import annotations

from math import floor
from typing import Final

from pipeline.wording import digits, number_of, sentence

_MOST: Final = 10**6  # beyond that it is no number of days


def days(value: object) -> int | None:
    """The whole days that `value` names, negative where they are over; None where it is no number of days.

    Part of a day is none: with half a day left it is today.
    """
    try:
        given = float(digits(value))
        return floor(given) if abs(given) < _MOST else None
    except ValueError:
        return None


def time_left(value: object) -> str:
    """Days for people: "7 days", "today"; nothing where they are over, which a sentence has to say."""
    left = days(value)
    if left is None:
        return number_of(value, "day")
    if left < 0:
        return ""
    return number_of(left, "day") if left else sentence("today")
