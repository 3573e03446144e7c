"""Whether and how often a user wants an event on a channel. All are enabled until the user says otherwise (A-29)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from domain.catalogue import EventType
from domain.event import PreferenceEntry

Said = TypeVar("Said")


def wants(entries: Iterable[PreferenceEntry], *, group: str, event: str, customer_id: str | None, channel: str) -> bool:
    """The most specific entry that names the channel decides: event before group, one customer before all."""
    best, answer = -1, True
    for entry in entries:
        fits = (
            entry.group == group
            and entry.event in (None, event)
            and entry.customer_id in (None, customer_id)
            and channel in entry.channels
        )
        weight = 2 * (entry.event is not None) + (entry.customer_id is not None)
        if fits and weight > best:
            best, answer = weight, bool(entry.channels[channel])
    return answer


def cadence(
    entries: Iterable[PreferenceEntry], *, group: str, event: str, customer_id: str | None, channel: str
) -> str | None:
    """How often a user wants to be told of an event on a channel; None when no entry says so.

    The most specific entry that says anything of it decides, and in it what it says of the channel itself.
    """
    best, answer = -1, None
    for entry in entries:
        said = entry.cadences.get(channel) or entry.cadence
        if (
            said is None
            or entry.group != group
            or entry.event not in (None, event)
            or entry.customer_id not in (None, customer_id)
        ):
            continue
        weight = 2 * (entry.event is not None) + (entry.customer_id is not None)
        if weight > best:
            best, answer = weight, said
    return answer


def changed(said: Mapping[str, Said], change: Mapping[str, Said | None]) -> dict[str, Said]:
    """What an entry says after a change: channels that the change does not name stay, None takes a channel out."""
    merged = {**said, **change}
    return {channel: wanted for channel, wanted in merged.items() if wanted is not None}


def locked(event_types: Iterable[EventType], *, group: str, event: str | None) -> list[str]:
    """The event types of an entry that are owed to the user (`transactional`): they come whatever it says."""
    return sorted(
        one.name for one in event_types if one.transactional and one.group == group and event in (None, one.name)
    )
