"""Recipients: whom a route's resolvers name, and what of an event could not be used for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from domain.catalogue import Audience, EventType, Resolver, Route
from domain.event import Event, Person
from domain.fingerprint import lookup
from domain.vocabulary import Reason

MOST_NAMED = 1_000  # users in one list of an event's data; the door takes as many recipients


@dataclass(frozen=True, slots=True)
class Wish:
    """Users to look up: one by id, those with a role, or those linked to a customer."""

    kind: Literal["user", "role", "customer"]
    key: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Somebody or something that was left out. `channel` None: the whole recipient."""

    recipient: str
    channel: str | None
    reason: Reason


Finder = Callable[[Wish], Sequence[Person]]


def wishes(resolver: Resolver, event: Event) -> tuple[list[Wish], list[Person], list[Skipped]]:
    """What a resolver asks for: users to look up, addresses that the event brought along, and what it could not use."""
    match resolver.resolver:
        case "user":
            return [Wish("user", user) for user in resolver.users], [], []
        case "role":
            return [Wish("role", resolver.role or "")], [], []
        case "customer":
            if event.customer_id is None:
                return [], [], [Skipped("customer", None, Reason.NO_CUSTOMER)]
            return [Wish("customer", event.customer_id)], [], []
        case "explicit":
            return _explicit(event.recipients or [])
        case "owner":
            return _named(event, "data.owner_id", leave_out_actor=False)
        case "payload":
            return _named(event, resolver.path or "", leave_out_actor=False)
        case "participants":
            return _named(event, resolver.path or "", leave_out_actor=True)


def _explicit(recipients: Sequence[Any]) -> tuple[list[Wish], list[Person], list[Skipped]]:
    ids = [Wish("user", one) for one in recipients if isinstance(one, str)]
    people = [
        Person(
            user_id=None,
            name=one.get("name"),
            locale=one.get("locale"),
            addresses={channel: one[key] for key, channel in ADDRESS_FIELDS.items() if one.get(key)},
        )
        for one in recipients
        if isinstance(one, dict)
    ]
    return ids, people, []


ADDRESS_FIELDS = {"email": "email", "phone": "sms", "telegram_chat_id": "telegram", "whatsapp": "whatsapp"}


def _named(event: Event, path: str, *, leave_out_actor: bool) -> tuple[list[Wish], list[Person], list[Skipped]]:
    root = {"data": event.data, "actor_id": event.actor_id, "customer_id": event.customer_id}
    value = lookup(root, path)
    named = value if isinstance(value, list) else [value]
    ids = list(dict.fromkeys(one for one in named if isinstance(one, str) and one))
    if not ids:
        return [], [], [Skipped(path, None, Reason.PATH_NOT_FOUND)]
    skipped = []
    if leave_out_actor and event.actor_id in ids:
        ids.remove(event.actor_id)
        skipped.append(Skipped(event.actor_id, None, Reason.IS_ACTOR))
    if len(ids) > MOST_NAMED:
        ids = ids[:MOST_NAMED]
        skipped.append(Skipped(path, None, Reason.TOO_MANY_RECIPIENTS))
    return [Wish("user", one) for one in ids], [], skipped


def recipients_of(
    route: Route, event: Event, event_type: EventType, find: Finder, skipped: list[Skipped]
) -> Iterable[tuple[Person, Audience]]:
    """Whom a route tells, and as whom. Adds to `skipped` what it could not use."""
    for resolver in route.recipients:
        asked, people, left_out = wishes(resolver, event)
        skipped.extend(left_out)
        audience = _audience(resolver, event_type)
        for person in people:
            yield person, audience
        for wish in asked:
            found = find(wish)
            if not found and wish.kind == "user":
                skipped.append(Skipped(wish.key, None, Reason.UNKNOWN_USER))
            for person in found:
                yield person, audience


def _audience(resolver: Resolver, event_type: EventType) -> Audience:
    """As whom a recipient is told. In doubt as a customer: that gives less power to silence others."""
    if resolver.resolver == "customer":
        return "customer"
    if resolver.resolver == "role":
        return "admin"
    return "customer" if "customer" in event_type.audience else "admin"


def identity(person: Person) -> str:
    """The same for two routes that mean the same person or address."""
    if person.user_id is not None:
        return "user:" + person.user_id
    return "address:" + "|".join(sorted(person.addresses.values()))
