"""Tries a template before anybody is told anything in it: with sample events, or with one that has happened."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Connection, text

from config.catalogue import TITLE_PLACE
from config.demo import sample_events
from config.settings import settings
from domain.brand import DEFAULT_BRAND, Brand
from domain.catalogue import EventType
from domain.errors import InvalidInputError
from domain.vocabulary import Severity
from pipeline.branding import read_brands
from pipeline.context import context
from pipeline.custom import PARTS, plain
from pipeline.event_types import EventTypes, event_types_of
from pipeline.published import Place
from pipeline.render import Content, Context, render
from pipeline.sandbox_pool import LostError, pool
from pipeline.wording import mask

MOST_SAMPLES: Final = 3
TITLE: Final = "title.txt"
UNKNOWN: Final = "-"  # what a face says that is not filled yet
ALWAYS_FIELDS: Final = ("link_url", "link_text", "title", "image_url")

EVENT = text("""
SELECT type, severity, condition, occurred_at, branch, data FROM events
WHERE tenant = :tenant AND id = cast(:id AS uuid)
""")


@dataclass(frozen=True, slots=True)
class Happened:
    """What a template is filled with: an event, real or made up. `is_sample`: it may well lack what others have."""

    data: Mapping[str, Any]
    severity: Severity
    condition: str = "firing"
    occurred_at: datetime = field(default_factory=lambda: datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Background:
    """What is known of an event type of a tenant's: samples that people would believe, and the brand."""

    tenant: str
    event: str
    event_types: EventTypes
    samples: list[Happened]
    brand: Brand = DEFAULT_BRAND

    @property
    def listed(self) -> EventType:
        """Its entry, or the defaults where nobody listed it."""
        return self.event_types.entry(self.event)

    @property
    def cases(self) -> list[Happened]:
        """What a template is tried with: the samples, or an event without data."""
        return self.samples or [Happened({}, self.listed.severity)]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `contents`: for each of what it was filled with; `warnings`: part, line and reason of each."""

    warnings: list[dict[str, Any]]
    contents: list[Content]


class _Noted:
    """Takes down what each face is told. It says nothing but the title, which the other faces are told.

    `title`: what the tenant's own says, if it has been filled already; None: the tenant has none of its own.
    """

    def __init__(self, channel: str, title: str | None) -> None:
        self.values: dict[str, Mapping[str, Any]] = {}
        self._parts = PARTS[channel]
        self._title = title

    def has(self, name: str) -> bool | None:
        return None if name not in self._parts or (name == TITLE and self._title is None) else True

    def run(self, name: str, values: Mapping[str, Any]) -> str:
        self.values[self._parts[name]] = plain(values)
        return UNKNOWN if name != TITLE or self._title is None else self._title


class _Said:
    """Faces that were filled already."""

    def __init__(self, channel: str, said: Mapping[str, str]) -> None:
        self._parts = PARTS[channel]
        self._said = said

    def has(self, name: str) -> bool | None:
        part = self._parts.get(name)
        return None if part is None or (name == TITLE and part not in self._said) else part in self._said

    def run(self, name: str, values: Mapping[str, Any]) -> str:
        return self._said[self._parts[name]]


def read_background(connection: Connection, tenant: str, event: str) -> Background:
    """What is known of an event type, as of now."""
    types = event_types_of(connection, tenant)
    brand = read_brands(connection, [tenant])[tenant]
    return Background(tenant, event, types, _samples(types, event), brand)


def given(background: Background, data: object) -> Happened:
    """An event with this data. Raises InvalidInputError."""
    if not isinstance(data, Mapping):
        raise InvalidInputError("data", "must be a JSON object")
    return Happened(data, background.listed.severity)


def happened(connection: Connection, background: Background, event_id: str) -> Happened | None:
    """An event of the tenant's that has happened; None when there is none of this type."""
    row = connection.execute(EVENT, {"tenant": background.tenant, "id": event_id}).first()
    if row is None or row.type != background.listed.name:
        return None
    data = mask(row.data, background.listed.secret)  # who tries templates out need not know the password
    return Happened(data, Severity(row.severity), row.condition, row.occurred_at, row.branch)


def try_out(
    place: Place,
    parts: Mapping[str, str],
    what: Sequence[Happened],
    background: Background,
    *,
    locale: str | None = None,
    strict: bool = True,
) -> Trial:
    """Parse, check and fill a template. Blocks for up to some seconds; needs no database.

    Args:
        strict: what cannot be filled is an error; else, where only the values are at fault, a warning.

    Raises:
        InvalidInputError: naming the part, the line and the reason.
        SandboxAwayError: no process could be had for it.
    """
    _, channel, own_locale = place
    contexts = [_context(background, one, locale or own_locale or None) for one in what]
    kind, title = background.listed.template, PARTS[channel][TITLE]
    titles: list[str | None] = [UNKNOWN if title in parts else None for _ in contexts]
    question = {
        "do": "check",
        "version": None,
        "channel": channel,
        "known": _known(background, _told(place, kind, contexts[0], titles[0])),
        "strict": strict,
        "locale": locale or own_locale or None,
        "time_zone": None,
        "words": own_locale,
    }
    warnings, said = _of_event(background), [dict[str, str]() for _ in contexts]
    # As in a real delivery, the other parts are told what the title says.
    for some in filter(None, ([part for part in parts if (part == title) is first] for first in (True, False))):
        told = [_told(place, kind, one, words) for one, words in zip(contexts, titles, strict=True)]
        body = {part: parts[part] for part in some}
        answer = _asked({**question, "body": body, "values": [{part: each[part] for part in some} for each in told]})
        warnings += answer["warnings"]
        for whole, words in zip(said, answer["said"], strict=False):
            whole |= words
        titles = [whole.get(title, before) for whole, before in zip(said, titles, strict=True)]
    contents = [
        render(channel, kind, one, own=_Said(channel, words), words=own_locale)
        for one, words in zip(contexts, said, strict=True)
        if words.keys() == parts.keys()
    ]
    return Trial(warnings, contents)


def shipped_words(place: Place, what: Happened, background: Background, locale: str | None) -> Content:
    """What the shipped template says."""
    return render(place[1], background.listed.template, _context(background, what, locale))


def in_words(flaw: Mapping[str, Any]) -> str:
    """A flaw without its part: ``line 3: names foo, which is not known``."""
    return f"line {flaw['line']}: {flaw['reason']}" if flaw["line"] else str(flaw["reason"])


def _of_event(background: Background) -> list[dict[str, Any]]:
    """A warning where nobody listed the event type: it may be a typing error, or may come all the same."""
    if background.event_types.get(background.event) is not None:
        return []
    near = get_close_matches(background.event, [one.name for one in background.event_types.all()], n=1)
    hint = f"; do you mean {near[0]}?" if near else ""
    return [{"part": "event", "line": None, "reason": f"is no event type that is listed{hint}"}]


def _asked(question: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answer = pool().ask(question)
    except LostError as error:
        raise InvalidInputError(_first(question["body"]), str(error)) from None
    if "flaw" in answer:
        flaw = answer["flaw"]
        raise InvalidInputError(flaw["part"] or _first(question["body"]), in_words(flaw))
    return answer


def _first(body: Mapping[str, str]) -> str:
    return max(body, key=lambda part: len(body[part]))


def _told(place: Place, kind: str, made: Context, title: str | None) -> dict[str, Mapping[str, Any]]:
    """What each part would be told."""
    noted = _Noted(place[1], title)
    render(place[1], kind, made, own=noted, words=place[2])
    return noted.values


def _samples(types: EventTypes, event: str) -> list[Happened]:
    """Sample events of a type; none for a type that has none."""
    listed = types.entry(event)
    if event in types.samples:
        return [Happened(types.samples[event], listed.severity)]
    found = [one for one in sample_events() if one["type"] == listed.name][:MOST_SAMPLES]
    return [
        Happened(one.get("data", {}), Severity(one.get("severity", listed.severity)), one.get("status", "firing"))
        for one in found
    ]


def _known(background: Background, told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The names that a template may use, and the fields of those whose fields are known."""
    values: dict[str, Any] = {}
    for one in told.values():
        values |= one
    known: dict[str, Any] = {name: {"fields": [], "open": True} for name in values}
    for name in ("event", "user", "brand"):
        known[name] = {"fields": sorted(values[name] or ()), "open": False}
    known["data"] = {"fields": sorted(_fields(background)), "open": True}
    return known


def _fields(background: Background) -> set[str]:
    """The fields of `data` that samples and the entry name; nothing where there are no samples."""
    listed = background.listed
    found = {name for one in background.samples for name in one.data}
    if not found:
        return set()
    places = {place.partition(".")[0] for place in TITLE_PLACE.findall(listed.title)}
    return {*found, *listed.key, *listed.secret, *places, *ALWAYS_FIELDS}


def _context(background: Background, what: Happened, locale: str | None) -> Context:
    """As a delivery has it, for a person whom there is not."""
    listed, public = background.listed, settings().public_url.rstrip("/")
    return context(
        event_id="00000000-0000-7000-8000-000000000000",
        event_type=listed.name,
        severity=what.severity,
        condition=what.condition,
        occurred_at=what.occurred_at,
        branch=what.branch,
        data=json.loads(json.dumps(what.data)),
        tenant=background.tenant,
        user_id="sample",
        name="Robin Sample",
        locale=locale,
        unsubscribe_url=f"{public}/u/sample",
        preferences_url=f"{public}/inbox",
        brand=background.brand,
        event_types=background.event_types,
    )
