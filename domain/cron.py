"""The shape of a cron line: five fields, each a list of numbers, ranges and steps."""

from __future__ import annotations

import re
from typing import Final

FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))

_PART: Final = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", re.ASCII)


def cron_problem(line: str) -> str | None:
    """What is wrong with a cron line such as ``0 8 * * 1-5``; None when it can be used."""
    fields = line.split()
    if len(fields) != len(FIELDS):
        return "must have five fields: minute, hour, day, month and weekday, such as 0 8 * * *"
    for field, (name, least, most) in zip(fields, FIELDS, strict=True):
        if not all(_fits(part, least, most) for part in field.split(",")):
            return f"has a {name} that is not *, a number from {least} to {most}, a range or a step"
    return None


def _fits(part: str, least: int, most: int) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    first, last, step = (None if text is None else int(text) for text in found.groups())
    if step is not None and not 1 <= step <= most:
        return False
    if first is None:
        return True
    return least <= first <= most and (last is None or first <= last <= most)
