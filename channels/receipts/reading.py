"""Reading what others wrote: their JSON, numbers, moments and texts, none of which can be relied on."""

from __future__ import annotations

import binascii
import hmac
import json
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from channels.receipts.base import ForgedError, MalformedError

LONGEST: Final = 500  # characters of a text that is kept
LONGEST_DETAIL: Final = 200
LONGEST_KEY: Final = 200

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[^\s<>:;,\"()]+@[^\s<>:;,\"()]+|\+?\d(?:[ -]?\d){7,}")


def parsed(body: bytes) -> Any:
    """The JSON of a body. Raises MalformedError."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedError("The body is not JSON.") from None


def _no_constant(_: str) -> Any:
    raise ValueError("NaN and infinities are no JSON")


def object_of(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: Any, longest: int = LONGEST) -> str | None:
    """A text that the database can keep: without NUL and halves of surrogate pairs. None for anything else or blank."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        return None
    return text[:longest].replace("\0", "").encode("utf-8", "replace").decode().strip() or None


def uuid_of(value: Any) -> str | None:
    """A UUID in its usual form, or None."""
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else None


def moment_of(value: Any, now: datetime) -> datetime:
    """When it happened: seconds since 1970 or ISO 8601, never later than `now`; `now` where it says nothing usable."""
    try:
        if isinstance(value, str) and not value.strip().isdecimal():
            moment = datetime.fromisoformat(value.strip())
        else:
            moment = datetime.fromtimestamp(int(value), UTC)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return now
    return min(moment, now) if moment.year > 2000 else now


def detail_of(*parts: Any) -> str:
    """The parts that are texts, as one that may be stored: servers like to repeat whom they refuse."""
    told = ", ".join(filter(None, (text_of(part) for part in parts)))
    return _ADDRESS.sub("•••", told)[:LONGEST_DETAIL]


def key_of(*parts: Any) -> str:
    """What identifies an event, as one text of bounded length."""
    key = ":".join(text_of(part, 10_000) or "" for part in parts)
    return key if len(key) <= LONGEST_KEY else sha256(key.encode()).hexdigest()


def same(given: str | bytes, wanted: str | bytes) -> bool:
    """Whether two secrets are equal, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(_bytes(given), _bytes(wanted))


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def header(headers: Mapping[str, str], name: str) -> str:
    """A header that must be there. Raises ForgedError."""
    value = headers.get(name, "").strip()
    if not value:
        raise ForgedError(f"The header {name} is missing.")
    return value


def base64_of(value: str) -> bytes:
    """Raises ForgedError when a credential is not base64."""
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ForgedError("The signature is malformed.") from None


def check_age(seconds: str, now: datetime, oldest: timedelta, ahead: timedelta = timedelta(minutes=5)) -> None:
    """Raises ForgedError when a signed time (seconds since 1970) is not of late, or none at all."""
    if not re.fullmatch(r"\d{1,12}", seconds, re.ASCII):
        raise ForgedError("The timestamp is malformed.")
    age = now.timestamp() - int(seconds)
    if not -ahead.total_seconds() <= age <= oldest.total_seconds():
        raise ForgedError("The timestamp is too old, or of the future.")
