"""What a request would change of somebody's preferences, checked entry by entry before anything is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from config.catalogue import GROUP_ALIASES
from config.fields import Fields, check_list, check_word
from domain.catalogue import EventType
from domain.errors import InvalidInputError
from domain.hold import HOLDABLE
from domain.preferences import locked
from domain.vocabulary import CHANNEL_ALIASES, CHANNELS
from pipeline.identifiers import check_uuid

CADENCES: Final = ("instant", "hourly", "daily", "weekly")
_AT_ONCE: Final = {"in_app": "the inbox", "webhook": "a program at the other end"}
MOST_ENTRIES: Final = 1_000  # of a user: every claim of a delivery to him reads them all

About = Literal["group", "event", "channel", "customer", "locked"]
Key = tuple[str, str | None, str | None]  # group, event, customer


class InvalidPreferenceError(InvalidInputError):
    """An entry that cannot be taken. `about`: what of it does not exist, or cannot be switched off."""

    def __init__(self, field: str, problem: str, about: About) -> None:
        super().__init__(field, problem)
        self.about = about


@dataclass(frozen=True, slots=True)
class Change:
    """What one entry of a request changes; None for a channel lets the less specific entry decide again.

    `cadence` is left as it is where `names_cadence` is false.
    """

    key: Key
    channels: Mapping[str, bool | None]
    names_cadence: bool = False
    cadence: str | None = None
    cadences: Mapping[str, str | None] = field(default_factory=dict)


def check_preferences(
    body: object, known: Mapping[str, Collection[str]], customers: Collection[str], types: Collection[EventType]
) -> list[Change]:
    """The changes of a request.

    Args:
        known: the event types by group; no others can be named.
        types: those that are listed, some of which are owed to everybody.

    Raises:
        InvalidInputError: see `put_preferences`.
    """
    given = Fields(body, "", ("preferences",)).required("preferences")
    changes: dict[Key, tuple[str, Change]] = {}
    for at, entry in check_list(given, "preferences", length=MOST_ENTRIES):
        change = _change(entry, at, known, customers, types)
        if change.key in changes:
            raise InvalidInputError(at, f"names the same entry as {changes[change.key][0]}")
        changes[change.key] = (at, change)
    return [change for _, change in changes.values()]


def _change(
    entry: object,
    at: str,
    known: Mapping[str, Collection[str]],
    customers: Collection[str],
    types: Collection[EventType],
) -> Change:
    fields = Fields(entry, at, ("group", "event", "customer_id", "channels", "cadence", "cadences", "locked"))
    assert isinstance(entry, Mapping)  # Fields has seen to it
    group, event = _group_and_event(fields, known)
    customer = _customer(fields, customers)
    channels = _channels(fields, needed=entry.keys().isdisjoint(("cadence", "cadences")))
    if event is not None and False in channels.values() and locked(types, group=group, event=event):
        raise InvalidPreferenceError(
            fields.place("channels"), f"{event} is sent whatever is preferred and cannot be switched off", "locked"
        )
    return Change((group, event, customer), channels, "cadence" in entry, check_cadence(fields), check_cadences(fields))


def check_cadence(fields: Fields) -> str | None:
    """How often, on every channel of an entry; None when it does not say. Raises InvalidInputError."""
    return check_word(fields.raw("cadence"), fields.place("cadence"), CADENCES) if "cadence" in fields else None


def check_cadences(fields: Fields) -> dict[str, str | None]:
    """How often, by channel. Raises InvalidInputError."""
    if "cadences" not in fields:
        return {}
    given, cadences = fields.raw("cadences"), dict[str, str | None]()
    if not isinstance(given, Mapping):
        raise InvalidInputError(fields.place("cadences"), "must be an object: a channel and how often")
    for name, often in given.items():
        at = f"{fields.place('cadences')}.{str(name)[:60] if str(name).isprintable() else '?'}"
        named = CHANNEL_ALIASES.get(name, name)
        if named in _AT_ONCE:
            raise InvalidInputError(at, f"cannot be said: {_AT_ONCE[named]} is told at once")
        with _about("channel"):
            channel = check_word(named, at, HOLDABLE)
        cadences[channel] = None if often is None else check_word(often, at, CADENCES)
    return cadences


def _group_and_event(fields: Fields, known: Mapping[str, Collection[str]]) -> tuple[str, str | None]:
    with _about("group"):
        named = fields.required("group")
        group = GROUP_ALIASES.get(named, named) if isinstance(named, str) else named
        group = check_word(group, fields.place("group"), sorted(known))
    with _about("event"):
        if "event" not in fields:
            return group, None
        return group, check_word(fields.raw("event"), fields.place("event"), sorted(known[group]))


def _customer(fields: Fields, customers: Collection[str]) -> str | None:
    if "customer_id" not in fields:
        return None
    customer = check_uuid(fields.raw("customer_id"), fields.place("customer_id"))
    if customer not in customers:
        raise InvalidPreferenceError(fields.place("customer_id"), "there is no such customer of the user's", "customer")
    return customer


def _channels(fields: Fields, *, needed: bool) -> dict[str, bool | None]:
    """The channels that an entry names, by their own names."""
    given = fields.raw("channels") if "channels" in fields or needed else {}
    if given is None:
        raise InvalidInputError(fields.place("channels"), "is missing")
    channels: dict[str, bool | None] = {}
    if not isinstance(given, Mapping):
        raise InvalidInputError(fields.place("channels"), "must be an object: a channel and true or false")
    for name, wanted in given.items():
        at = f"{fields.place('channels')}.{str(name)[:60] if str(name).isprintable() else '?'}"
        with _about("channel"):
            channel = check_word(CHANNEL_ALIASES.get(name, name), at, CHANNELS)
        if wanted is not None and not isinstance(wanted, bool):
            raise InvalidInputError(at, "must be true or false, or null to follow the less specific entry")
        if channels.setdefault(channel, wanted) is not wanted:
            raise InvalidInputError(at, f"is {channel} too, of which the entry says something else")
    return channels


@contextmanager
def _about(about: About) -> Iterator[None]:
    """Say what the error of a field is about."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidPreferenceError(error.field, error.problem, about) from None
