"""Moments as everybody outside reads them: ISO 8601 in UTC, to the millisecond, with a Z."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload
from uuid import UUID

from domain.errors import InvalidInputError


@overload
def written(moment: datetime) -> str: ...


@overload
def written(moment: datetime | None) -> str | None: ...


def written(moment: datetime | None) -> str | None:
    """``2026-11-20T09:00:00.000Z``; None stays None."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_moment(text: str, field: str, now: datetime) -> datetime:
    """A moment from a filter: ISO 8601 with its offset, or how long ago it was: ``15m``, ``2h``, ``7d``.

    Raises:
        InvalidInputError: on `field`, when it is neither.
    """
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:])
    if seconds and text[:-1].isascii() and text[:-1].isdigit() and len(text) <= 9:
        return now - timedelta(seconds=min(int(text[:-1]) * seconds, 10**9))
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidInputError(field, "must be a time with its offset, such as 2026-11-20T09:00:00Z, or an age such as 2h")


def first_id(moment: datetime) -> UUID:
    """The smallest version 7 UUID of that millisecond: ids from it on were made then or later (RFC 9562, 5.7)."""
    milliseconds = max(0, int(moment.timestamp() * 1000)) & 0xFFFF_FFFF_FFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0x8 << 60)
