"""Deliveries that depend on what becomes of the others: email only when nobody is there, a text message when unread."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from domain.catalogue import OnlyIf, Plan, When
from domain.errors import InvalidInputError
from domain.states import DeliveryStatus
from domain.vocabulary import Reason

STAGED_AFTER: Final = 15 * 60  # seconds that a staged notification may stay unread before further channels are used
LONGEST_WAIT: Final = 30 * 86400  # seconds
LIVE: Final = frozenset({"in_app", "push"})  # seen at once, or not at all
AT_ONCE: Final = LIVE | {"webhook"}  # a program at the other end reads no inbox

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WHEN: Final = re.compile(r"(unread|not delivered)(?: for ([1-9]\d{0,8})([smhd]))?")
_WORDS: Final = {"unread": OnlyIf.UNREAD, "not delivered": OnlyIf.UNDELIVERED}
_ARRIVED: Final = frozenset({DeliveryStatus.SENT, DeliveryStatus.DELIVERED})
_ON_ITS_WAY: Final = _ARRIVED | {DeliveryStatus.QUEUED, DeliveryStatus.PROCESSING}


@dataclass(frozen=True, slots=True)
class Wait:
    """Nobody can say yet: look again in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Never:
    """The condition is not met."""

    reason: Reason


def parse_when(text: object, at: str) -> When:
    """A condition as routes declare it: ``unread for 15m``, ``not delivered for 2h``; without a time 15 minutes.

    Raises:
        InvalidInputError: it is none.
    """
    found = _WHEN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidInputError(at, 'must be like "unread for 15m" or "not delivered for 2h" (s, m, h or d)')
    wait = int(found[2]) * _UNITS[found[3]] if found[2] else STAGED_AFTER
    if wait > LONGEST_WAIT:
        raise InvalidInputError(at, "must be at most 30 days")
    return When(_WORDS[found[1]], wait)


def when_words(when: When) -> str:
    """`when` as a route declares it; `parse_when` takes it back."""
    words = {only_if: word for word, only_if in _WORDS.items()}[when.only_if]
    unit = next(unit for unit in ("d", "h", "m", "s") if when.wait % _UNITS[unit] == 0)
    return f"{words} for {when.wait // _UNITS[unit]}{unit}"


def united(one: When | None, other: When | None) -> When | None:
    """What two routes that name the same channel come to: the one that tells sooner."""
    return None if one is None or other is None else min(one, other, key=lambda when: when.wait)


def depends_on(plan: Plan, channel: str, declared: When | None, channels: Collection[str]) -> When | None:
    """What a delivery depends on; None: it goes out in any case.

    Args:
        declared: the routes' own word for this channel.
        channels: on which the same recipient is told. Where nothing is shown live, nobody can have seen it.
    """
    if declared is not None:
        return declared
    if plan is Plan.OFFLINE_EMAIL and channel == "email" and LIVE & set(channels):
        return When(OnlyIf.UNSEEN, 0)
    if plan is Plan.STAGED and channel not in AT_ONCE | {"email"} and "in_app" in channels:
        return When(OnlyIf.UNREAD, STAGED_AFTER)
    return None


def judge(
    only_if: OnlyIf,
    *,
    seen: bool,
    since: float | None,
    shown_at: float | None,
    age: float,
    grace: float,
    others: Mapping[str, Collection[str]],
) -> Wait | Never | None:
    """Whether a delivery that is due goes out: None when it does.

    Args:
        seen: its notification was read, acknowledged or thrown away.
        since: when the longest of the recipient's live connections began; None: there is none.
        shown_at: when the notification was first written to a live connection or fetched, on the same clock.
        age: seconds since the delivery was made; `grace`: how long a live connection is given to be looked at.
        others: the statuses of the same notification's other deliveries, by channel.
    """
    if only_if is not OnlyIf.UNDELIVERED and seen:
        return Never(Reason.SEEN)
    match only_if:
        case OnlyIf.UNSEEN:
            return _unseen(since, shown_at, age, grace, others)
        case OnlyIf.UNREAD:
            return None
        case OnlyIf.UNDELIVERED:
            arrived = any(_has(others, channel, _ARRIVED) for channel in others if channel != "in_app")
            shown = _has(others, "in_app", {DeliveryStatus.DELIVERED})
            return Never(Reason.TOLD_OTHERWISE) if arrived or shown else None


def _unseen(
    since: float | None, shown_at: float | None, age: float, grace: float, others: Mapping[str, Collection[str]]
) -> Wait | Never | None:
    """Shown and still there when the grace has passed counts as seen; a connection that broke meanwhile does not."""
    if age < grace:
        return Wait(grace - age) if since is not None or _has(others, "push", _ON_ITS_WAY) else None
    if since is not None and shown_at is not None and since <= shown_at:
        return Never(Reason.SEEN)
    return Never(Reason.TOLD_OTHERWISE) if _has(others, "push", _ARRIVED) else None


def _has(others: Mapping[str, Collection[str]], channel: str, statuses: Collection[str]) -> bool:
    return any(status in statuses for status in others.get(channel, ()))
