"""Whether a user wants an event on a channel. All are enabled until the user says otherwise (A-29)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from domain.catalogue import EventType
from domain.event import PreferenceEntry


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


def changed(said: Mapping[str, bool], change: Mapping[str, bool | None]) -> dict[str, bool]:
    """What an entry says after a change: channels that the change does not name stay, None takes a channel out."""
    merged = {**said, **change}
    return {channel: wanted for channel, wanted in merged.items() if wanted is not None}


def locked(event_types: Iterable[EventType], *, group: str, event: str | None) -> list[str]:
    """The event types of an entry that are owed to the user (`transactional`): they come whatever it says."""
    return sorted(
        one.name for one in event_types if one.transactional and one.group == group and event in (None, one.name)
    )
