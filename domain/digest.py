"""What a digest says: every issue once, the gravest first, by groups, and how many more there are than fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from domain.vocabulary import Severity

DIGEST: Final = "digest"
"""The event type of digests, its group and its template."""

MOST_ITEMS: Final = 50  # that are named; a mail with more is cut by mailbox providers and read by nobody


@dataclass(frozen=True, slots=True)
class Item:
    """One delivery that a digest tells. `repeats`: how often its event was reported again."""

    fingerprint: bytes
    group: str
    severity: Severity
    title: str
    at: datetime
    link_url: str | None = None
    repeats: int = 0


@dataclass(slots=True)
class _Entry:
    newest: Item
    gravest: Severity
    count: int


def summary(items: Iterable[Item], until: datetime, most: int = MOST_ITEMS) -> dict[str, Any]:
    """The data of a digest event; its size has a limit, however many items there are.

    Returns:
        ``from``, ``to``: of the first item and of the digest; ``total``: how many issues, ``more``: how many of them
        are not named; ``groups``: with their ``count`` and at most `most` ``items`` in all.
    """
    items = list(items)
    entries = sorted(_once(items), key=lambda one: (-one.gravest.rank, -one.newest.at.timestamp()))
    groups: dict[str, dict[str, Any]] = {}
    for place, entry in enumerate(entries):
        group = groups.setdefault(entry.newest.group, {"group": entry.newest.group, "count": 0, "items": []})
        group["count"] += 1
        if place < most:
            group["items"].append(_item(entry))
    named = [group for group in groups.values() if group["items"]]
    return {
        "from": min(item.at for item in items).isoformat(timespec="seconds"),
        "to": until.isoformat(timespec="seconds"),
        "total": len(entries),
        "more": max(0, len(entries) - most),
        "groups": named,
    }


def derived_id(at: datetime, *names: str) -> UUID:
    """The same id whoever derives it (RFC 9562, version 7): ordered by `at` as all others are."""
    mixed = int.from_bytes(sha256("\x1f".join(names).encode()).digest()[:10])
    value = int(at.timestamp() * 1000) << 80 | mixed
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def carrier(severities: Sequence[tuple[Severity, str]]) -> int:
    """Which of several deliveries, by severity and id, carries the others: the gravest, and of those the newest."""
    return max(range(len(severities)), key=lambda place: (severities[place][0].rank, severities[place][1]))


def _once(items: Iterable[Item]) -> Iterable[_Entry]:
    """Every fingerprint once, in the words of its newest event."""
    entries: dict[bytes, _Entry] = {}
    for item in items:
        entry = entries.get(item.fingerprint)
        if entry is None:
            entries[item.fingerprint] = _Entry(item, item.severity, 1 + item.repeats)
            continue
        entry.count += 1 + item.repeats
        entry.gravest = max(entry.gravest, item.severity, key=lambda severity: severity.rank)
        entry.newest = max(entry.newest, item, key=lambda one: one.at)
    return entries.values()


def _item(entry: _Entry) -> dict[str, Any]:
    said: dict[str, Any] = {
        "title": entry.newest.title,
        "severity": entry.gravest.value,
        "at": entry.newest.at.isoformat(timespec="seconds"),
        "count": entry.count,
    }
    if entry.newest.link_url:
        said["link_url"] = entry.newest.link_url
    return said
