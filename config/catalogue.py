"""Event types and routes: from the shipped file or from a request's body, checked the same way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args

import yaml

from config.fields import Fields, check_list, check_text, check_word
from domain.catalogue import Audience, EventType, Plan, Resolver, ResolverName, Route, When
from domain.conditions import AT_ONCE, parse_when, when_words
from domain.errors import InvalidInputError
from domain.vocabulary import CHANNEL_ALIASES, CHANNELS, Priority, Severity

SHIPPED: Final = Path(__file__).with_name("notifications.yaml")
TEMPLATES: Final = Path(__file__).resolve().parents[1] / "templates"
BASE: Final = "base"  # the folder of what templates share; it is no template itself
LOCALES: Final = "locale"  # the folder of their translations; none either
GROUP_ALIASES: Final = {"chats": "chat"}

TITLE_PLACE: Final = re.compile(r"\{([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\}")
LONGEST_WINDOW: Final = 30 * 86400  # seconds; the fingerprints of a window are kept that long

_TYPE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?")
_TYPE_GLOB: Final = re.compile(r"[A-Za-z0-9_.:*?\[\]!-]+")
_GROUP: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DATA_PATH: Final = re.compile(r"data(?:\.[^\s.]+)+")
_RESOLVER_FIELDS: Final = {"user": "users", "role": "role", "payload": "path", "participants": "path"}

EVENT_FIELDS: Final = (
    *("name", "group", "severity", "audience", "key", "dedupe_window"),
    *("template", "transactional", "secret", "title"),
)
_ROUTE_FIELDS: Final = (
    "name",
    "match",
    "recipients",
    "channels",
    "priority",
    "plan",
    "template",
    "sms_severity",
    "when",
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What can happen and who is told, as shipped."""

    event_types: Mapping[str, EventType]
    routes: tuple[Route, ...]

    @property
    def groups(self) -> frozenset[str]:
        """The headings under which people find event types in their preferences."""
        return frozenset(event_type.group for event_type in self.event_types.values())


@cache
def shipped() -> Catalogue:
    """The catalogue of ``config/notifications.yaml``, read once.

    Raises:
        InvalidInputError: the file cannot be used; `bellwire check` lists everything that is wrong with it.
    """
    return parse_catalogue(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))


def parse_catalogue(document: object) -> Catalogue:
    """The catalogue that a whole document describes.

    Raises:
        InvalidInputError: the first thing that is wrong.
    """
    fields = Fields(document, "", ("events", "routes"))
    types = _mapping(fields.raw("events"), "events")
    routes = [_shipped_route(entry, at) for at, entry in check_list(fields.raw("routes") or [], "routes")]
    names = [route.name for route in routes]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidInputError(f"routes[{index}].name", "is the name of an earlier route too")
    parsed = {str(name): parse_event_type(str(name), body, at=f"events.{name}") for name, body in types.items()}
    return Catalogue(MappingProxyType(parsed), tuple(routes))


def parse_event_type(name: str, body: object, *, at: str = "") -> EventType:
    """The event type `name` as `body` describes it. `at` is where `body` stands in a larger document.

    Raises:
        InvalidInputError: naming the field, such as ``severity`` or ``key[1]``.
    """
    fields = Fields(body, at, EVENT_FIELDS)
    _check_name(fields, name, check_event_name)
    return EventType(
        name=name,
        group=_group(fields.required("group"), fields.place("group")),
        severity=fields.word("severity", Severity, Severity.MEDIUM),
        audience=_audience(fields),
        key=fields.texts("key", length=50),
        dedupe_window=fields.number("dedupe_window", 300, least=0, most=LONGEST_WINDOW),
        template=_template(fields, name) or "default",
        transactional=fields.flag("transactional", False),
        secret=fields.texts("secret", length=50),
        title=_title(fields),
    )


def event_type_body(event_type: EventType) -> dict[str, Any]:
    """The JSON form of an event type; `parse_event_type` takes it back."""
    return {
        "name": event_type.name,
        "group": event_type.group,
        "severity": event_type.severity.value,
        "audience": list(event_type.audience),
        "key": list(event_type.key),
        "dedupe_window": event_type.dedupe_window,
        "template": event_type.template,
        "transactional": event_type.transactional,
        "secret": list(event_type.secret),
        "title": event_type.title,
    }


def parse_route(name: str, body: object, *, own: bool = False, at: str = "") -> Route:
    """The route `name` as `body` describes it. `own`: a tenant made it. `at`: where `body` stands in a document.

    Raises:
        InvalidInputError: naming the field, such as ``channels[2]`` or ``recipients[0].role``.
    """
    fields = Fields(body, at, _ROUTE_FIELDS)
    _check_name(fields, name, check_text)
    match = Fields(fields.raw("match") or {}, fields.place("match"), ("event", "severity", "branch"))
    channels = _channels(fields.required("channels"), fields.place("channels"))
    return Route(
        name=name,
        event=_event_glob(match),
        severity=_severities(match),
        branch=_glob(match.text("branch", "*"), match.place("branch")),
        recipients=_recipients(fields.raw("recipients"), fields.place("recipients")),
        channels=channels,
        priority=fields.word("priority", Priority, Priority.NORMAL),
        plan=fields.word("plan", Plan, Plan.SIMULTANEOUS),
        template=_template(fields, None),
        own=own,
        sms_severity=fields.word("sms_severity", Severity, Severity.CRITICAL),
        when=_when(fields.raw("when"), fields.place("when"), channels),
    )


def route_body(route: Route) -> dict[str, Any]:
    """The JSON form of a route; `parse_route` takes it back."""
    return {
        "name": route.name,
        "match": {"event": route.event, "severity": [word.value for word in route.severity], "branch": route.branch},
        "recipients": [_resolver_body(resolver) for resolver in route.recipients],
        "channels": list(route.channels),
        "priority": route.priority.value,
        "plan": route.plan.value,
        "template": route.template,
        "sms_severity": route.sms_severity.value,
        "when": {channel: when_words(when) for channel, when in route.when.items()},
    }


def check_event_name(value: object, at: str) -> str:
    """`value` as the name of an event type: it is a routing key too, so no blanks, wildcards or slashes.

    Raises:
        InvalidInputError: it cannot be one.
    """
    name = check_text(value, at)
    if not _TYPE.fullmatch(name):
        raise InvalidInputError(at, "must be letters, digits and . _ : - with a letter or digit at both ends")
    return name


def check_event_pattern(value: object, at: str) -> str:
    """`value` as a pattern over event types: ``billing.*``.

    Raises:
        InvalidInputError: it cannot match any.
    """
    pattern = check_text(value, at)
    if not _TYPE_GLOB.fullmatch(pattern):
        raise InvalidInputError(at, "has a character that no event type has")
    return _glob(pattern, at)


@cache
def template_names() -> frozenset[str]:
    """The shipped templates: the folders below ``templates/``."""
    return frozenset(
        folder.name for folder in TEMPLATES.iterdir() if folder.is_dir() and folder.name not in (BASE, LOCALES)
    )


def _mapping(value: object, at: str) -> Mapping[Any, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInputError(at, "must be an object with named fields")
    return value


def _check_name(fields: Fields, name: str, check: Any) -> None:
    """`name` comes from outside the body (the address, the key in the file); the body may repeat it."""
    check(name, fields.place("name"))
    if "name" in fields and fields.raw("name") != name:
        raise InvalidInputError(fields.place("name"), "must be the name that is addressed")


def _shipped_route(entry: object, at: str) -> Route:
    fields = Fields(entry, at, _ROUTE_FIELDS)
    return parse_route(check_text(fields.required("name"), fields.place("name")), entry, at=at)


def _group(value: object, at: str) -> str:
    group = check_text(value, at)
    if not _GROUP.fullmatch(group):
        raise InvalidInputError(at, "must be small letters, digits, _ and -, at most 63")
    return GROUP_ALIASES.get(group, group)


def _audience(fields: Fields) -> tuple[Audience, ...]:
    if "audience" not in fields:
        return ("admin",)
    words: tuple[Audience, ...] = get_args(Audience)
    entries = check_list(fields.raw("audience"), fields.place("audience"), length=2)
    audience = tuple(dict.fromkeys(check_word(entry, at, words) for at, entry in entries))
    if not audience:
        raise InvalidInputError(fields.place("audience"), "must name at least one of customer, admin")
    return audience


def _template(fields: Fields, default: str | None) -> str | None:
    """The named template; without one, the template called `default` if it exists."""
    if "template" not in fields:
        return default if default in template_names() else None
    return check_word(fields.raw("template"), fields.place("template"), sorted(template_names()))


def _title(fields: Fields) -> str:
    title = "" if fields.raw("title") == "" else fields.text("title", "")  # as a body without one says it
    if set("{}") & set(TITLE_PLACE.sub("", title)):
        raise InvalidInputError(fields.place("title"), "has a brace that is not part of a {field}")
    return title


def _when(value: object, at: str, channels: tuple[str, ...]) -> dict[str, When]:
    """One condition for all channels that are not used at once anyway, or one for each that is named."""
    if isinstance(value, str):
        when = parse_when(value, at)
        return {channel: when for channel in channels if channel not in AT_ONCE}
    entries = _mapping(value, at)
    for channel in entries:
        check_word(channel, at, [one for one in channels if one != "in_app"])
    return {channel: parse_when(text, f"{at}.{channel}") for channel, text in entries.items()}


def _glob(pattern: str, at: str) -> str:
    """A pattern of ``*``, ``?`` and ``[abc]`` as fnmatch takes it; an open bracket would silently match itself only."""
    rest = re.sub(r"\[!?\]?[^\[\]]*\]", "", pattern)
    if "[" in rest or "]" in rest:
        raise InvalidInputError(at, "has a bracket without its partner")
    return pattern


def _event_glob(match: Fields) -> str:
    return check_event_pattern(match.text("event", "*"), match.place("event"))


def _severities(match: Fields) -> tuple[Severity, ...]:
    value = match.raw("severity")
    if isinstance(value, str):
        return (check_word(value, match.place("severity"), Severity),)
    entries = check_list(value or [], match.place("severity"), length=len(Severity))
    return tuple(dict.fromkeys(check_word(entry, at, Severity) for at, entry in entries))


def _channels(value: object, at: str) -> tuple[str, ...]:
    known = (*CHANNELS, *CHANNEL_ALIASES)
    entries = check_list(value, at, length=len(known))
    words = tuple(check_word(entry, entry_at, known) for entry_at, entry in entries)
    if not words:
        raise InvalidInputError(at, "must name at least one channel")
    return tuple(dict.fromkeys(CHANNEL_ALIASES.get(word, word) for word in words))


def _recipients(value: object, at: str) -> tuple[Resolver, ...]:
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return (_resolver(value, at),)
    return tuple(_resolver(entry, entry_at) for entry_at, entry in check_list(value, at, length=20))


def _resolver(body: object, at: str) -> Resolver:
    """One way to find recipients. Each resolver has the one field that it needs and no other."""
    resolver = Fields(body, at, ("resolver", "users", "role", "path"))
    words: tuple[ResolverName, ...] = get_args(ResolverName)
    name = check_word(resolver.required("resolver"), resolver.place("resolver"), words)
    needed = _RESOLVER_FIELDS.get(name)
    fields = Fields(body, at, ("resolver", needed) if needed else ("resolver",))
    if needed == "users":
        return Resolver(name, users=_users(fields))
    if needed == "role":
        return Resolver(name, role=check_text(fields.required("role"), fields.place("role")))
    return Resolver(name, path=_path(fields) if needed else None)


def _users(fields: Fields) -> tuple[str, ...]:
    fields.required("users")
    users = fields.texts("users")
    if not users:
        raise InvalidInputError(fields.place("users"), "must name at least one user")
    return users


def _path(fields: Fields) -> str:
    path = check_text(fields.required("path"), fields.place("path"))
    if not _DATA_PATH.fullmatch(path):
        raise InvalidInputError(fields.place("path"), "must be a path into the event's data, such as data.user_id")
    return path


def _resolver_body(resolver: Resolver) -> dict[str, Any]:
    body: dict[str, Any] = {"resolver": resolver.resolver}
    needed = _RESOLVER_FIELDS.get(resolver.resolver)
    if needed == "users":
        body["users"] = list(resolver.users)
    elif needed:
        body[needed] = getattr(resolver, needed)
    return body
