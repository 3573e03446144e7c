"""Whether a user wants an event on a channel. All are enabled until the user says otherwise (A-29)."""

from __future__ import annotations

from collections.abc import Iterable

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
