"""Ids and cursors that come from outside."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from domain.errors import InvalidInputError

MOST_IN_A_PAGE: Final = 200

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def is_uuid(value: object) -> bool:
    """Whether it is a UUID in its usual form, so that the database can be asked for it."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def check_uuid(value: object, field: str) -> str:
    """The UUID in its usual form. Raises InvalidInputError on `field` when it is none."""
    if isinstance(value, str) and is_uuid(value):
        return value.lower()
    raise InvalidInputError(field, "must be a UUID")


def check_limit(limit: int) -> int:
    """Raises InvalidInputError when a page of that size cannot be had."""
    if not 1 <= limit <= MOST_IN_A_PAGE:
        raise InvalidInputError("limit", f"must be from 1 to {MOST_IN_A_PAGE}")
    return limit


def cursor_after(key: str) -> str:
    """The cursor of the page that follows `key`. Opaque, so that its form may change."""
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(cursor: str) -> str:
    """What `cursor_after` was given. Raises InvalidInputError when it was not made there."""
    try:
        key = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
    except ValueError:
        key = ""
    if not key or "\0" in key or cursor_after(key) != cursor:
        raise InvalidInputError("cursor", "is none that a list has answered")
    return key
