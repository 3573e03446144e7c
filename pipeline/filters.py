"""Filters of the operators' lists: what may be asked for, checked and turned into conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from config.fields import check_text, check_word
from domain.errors import InvalidInputError
from domain.states import DeliveryStatus, EventStatus
from domain.vocabulary import CHANNEL_ALIASES, CHANNELS, Reason, Severity
from pipeline.identifiers import check_uuid
from pipeline.moments import first_id, read_moment

_TYPE: Final = re.compile(r"[A-Za-z0-9_.:*?-]+")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_LIVE: Final = ("queued", "held", "processing", "failed")


@dataclass(slots=True)
class Conditions:
    """SQL of a WHERE clause.

    Attributes:
        range: what an index answers, so that it bounds the rows that are looked at.
        rest: what is asked of each of these rows.
    """

    range: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


Filter = Callable[[str, str, Conditions], None]
"""Takes the name of a filter and what was asked for, and adds to the conditions."""


def conditions(filters: Mapping[str, Any] | None, known: Mapping[str, Filter]) -> Conditions:
    """The conditions of `filters`. Those that are None count as not given.

    Raises:
        InvalidInputError: naming the filter that does not exist or cannot have this value.
    """
    result = Conditions()
    for name, value in (filters or {}).items():
        if name not in known:
            shown = name[:60] if name.isprintable() else "filter"
            raise InvalidInputError(shown, f"is no filter here; there are {', '.join(known)}")
        if value is not None:
            known[name](name, check_text(value, name), result)
    return result


def _equal(column: str, check: Callable[[str, str], str]) -> Filter:
    def add(name: str, value: str, into: Conditions) -> None:
        into.rest.append(f"{column} = :{name}")
        into.values[name] = check(value, name)

    return add


def _one_of(words: Iterable[str]) -> Callable[[str, str], str]:
    known = tuple(str(word) for word in words)
    return lambda value, name: check_word(value, name, known)


def _channel(value: str, name: str) -> str:
    return CHANNEL_ALIASES.get(value) or check_word(value, name, CHANNELS)


def _fingerprint(name: str, value: str, into: Conditions) -> None:
    if not _HEX.fullmatch(value):
        raise InvalidInputError(name, "must be 64 hexadecimal digits")
    into.rest.append(f"e.fingerprint = decode(:{name}, 'hex')")
    into.values[name] = value


def _type(name: str, value: str, into: Conditions) -> None:
    """An event type, or a pattern of them with * and ?."""
    if not _TYPE.fullmatch(value):
        raise InvalidInputError(name, "has a character that no event type has")
    into.rest.append(f"e.type LIKE :{name}")
    into.values[name] = value.replace("_", "\\_").replace("*", "%").replace("?", "_")


def _delivery_status(name: str, value: str, into: Conditions) -> None:
    """Live work and dead letters have indexes of their own, so that few among many are found at once."""
    status = check_word(value, name, DeliveryStatus)
    into.rest.append(f"d.status = :{name}")
    into.values[name] = status.value
    if status in _LIVE:
        into.range.append("d.due_at IS NOT NULL")
    elif status is DeliveryStatus.DEAD_LETTER:
        into.range.append("EXISTS (SELECT FROM dead_letters l WHERE l.delivery_id = d.id)")


def _made_since(column: str) -> Filter:
    """Ids begin with the time they were made at, so the index over them answers."""

    def add(name: str, value: str, into: Conditions) -> None:
        into.range.append(f"{column} >= cast(:{name} AS uuid)")
        into.values[name] = str(first_id(read_moment(value, name, datetime.now(UTC))))

    return add


def _dead_since(name: str, value: str, into: Conditions) -> None:
    into.rest.append(f"l.created_at >= :{name}")
    into.values[name] = read_moment(value, name, datetime.now(UTC))


def _recipient(name: str, value: str, into: Conditions) -> None:
    """A user's id, or the whole address of somebody whom an event named."""
    into.rest.append(f"(n.user_id = :{name} OR d.address = :{name})")
    into.values[name] = value


EVENT_FILTERS: Final[Mapping[str, Filter]] = {
    "type": _type,
    "status": _equal("e.status", _one_of(EventStatus)),
    "severity": _equal("e.severity", _one_of(Severity)),
    "branch": _equal("e.branch", check_text),
    "customer_id": _equal("e.customer_id::text", check_uuid),
    "fingerprint": _fingerprint,
    "since": _made_since("e.id"),
}

DELIVERY_FILTERS: Final[Mapping[str, Filter]] = {
    "status": _delivery_status,
    "channel": _equal("d.channel", _channel),
    "event": _type,
    "recipient": _recipient,
    "reason": _equal("d.reason", _one_of(Reason)),
    "since": _made_since("d.id"),
}

DEAD_LETTER_FILTERS: Final[Mapping[str, Filter]] = {
    "channel": _equal("l.channel", _channel),
    "event": _type,
    "recipient": _recipient,
    "reason": _equal("l.reason", _one_of(Reason)),
    "since": _dead_since,
}
