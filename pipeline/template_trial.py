"""Tries a template before anybody is told anything in it: with sample events, or with one that has happened."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from config.catalogue import TITLE_PLACE, shipped
from config.demo import sample_events
from config.settings import settings
from domain.brand import DEFAULT_BRAND, Brand
from domain.errors import InvalidInputError
from domain.vocabulary import Severity
from pipeline.context import context
from pipeline.custom import PARTS, SandboxAwayError, plain
from pipeline.envelope import unlisted
from pipeline.published import Place
from pipeline.render import Content, Context, render
from pipeline.sandbox_pool import LostError, pool
from pipeline.wording import mask

MOST_SAMPLES: Final = 3
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
class Trial:
    """What came of it. `contents`: for each of what it was filled with; `warnings`: part, line and reason of each."""

    warnings: list[dict[str, Any]]
    contents: list[Content]


class _Noted:
    """Takes down what each face is told, and says nothing."""

    def __init__(self, channel: str) -> None:
        self.values: dict[str, Mapping[str, Any]] = {}
        self._parts = PARTS[channel]

    def has(self, name: str) -> bool | None:
        return True if name in self._parts else None

    def run(self, name: str, values: Mapping[str, Any]) -> str:
        self.values[self._parts[name]] = plain(values)
        return "-"


class _Said:
    """Faces that were filled already."""

    def __init__(self, channel: str, said: Mapping[str, str]) -> None:
        self._parts = PARTS[channel]
        self._said = said

    def has(self, name: str) -> bool | None:
        part = self._parts.get(name)
        return None if part is None or (name == "title.txt" and part not in self._said) else part in self._said

    def run(self, name: str, values: Mapping[str, Any]) -> str:
        return self._said[self._parts[name]]


def samples(event: str) -> list[Happened]:
    """Sample events of a type; none for a type that has none."""
    listed = shipped().event_types.get(event) or unlisted(event)
    found = [sample for sample in sample_events() if sample["type"] == event][:MOST_SAMPLES]
    return [
        Happened(
            one.get("data", {}), Severity(one.get("severity", listed.severity)), one.get("status", "firing"),
            branch=one.get("branch"),
        )
        for one in found
    ]  # fmt: skip


def nothing_known(event: str) -> Happened:
    """An event without data."""
    return Happened({}, (shipped().event_types.get(event) or unlisted(event)).severity)


def given(event: str, data: object) -> Happened:
    """An event with this data. Raises InvalidInputError."""
    if not isinstance(data, Mapping):
        raise InvalidInputError("data", "must be a JSON object")
    return Happened(data, nothing_known(event).severity)


def happened(connection: Connection, *, tenant: str, event: str, event_id: str) -> Happened | None:
    """An event of the tenant's that has happened; None when there is none of this type."""
    row = connection.execute(EVENT, {"tenant": tenant, "id": event_id}).first()
    if row is None or row.type != event:
        return None
    listed = shipped().event_types.get(event) or unlisted(event)
    data = mask(row.data, listed.secret)  # who tries templates out need not know the password
    return Happened(data, Severity(row.severity), row.condition, row.occurred_at, row.branch)


def try_out(
    place: Place,
    parts: Mapping[str, str],
    what: Sequence[Happened],
    *,
    tenant: str,
    locale: str | None = None,
    brand: Brand = DEFAULT_BRAND,
    strict: bool = True,
) -> Trial:
    """Parse, check and fill a template. Blocks for up to some seconds; needs no database.

    Args:
        strict: what cannot be filled is an error; else, where only the values are at fault, a warning.

    Raises:
        InvalidInputError: naming the part, the line and the reason.
        SandboxAwayError: no process could be had for it.
    """
    event, channel, own_locale = place
    contexts = [_context(event, one, tenant, locale or own_locale or None, brand) for one in what]
    kind = (shipped().event_types.get(event) or unlisted(event)).template
    values = [_told(channel, kind, one, parts) for one in contexts]
    answer = _asked(
        {
            "do": "check",
            "version": None,
            "channel": channel,
            "body": dict(parts),
            "known": _known(event, values[0]),
            "values": values,
            "strict": strict,
            "locale": locale or own_locale or None,
            "time_zone": None,
            "words": own_locale,
        }
    )
    said = answer["said"]
    contents = [
        render(channel, kind, one, own=_Said(channel, words), words=own_locale)
        for one, words in zip(contexts, said, strict=False)
    ]
    return Trial(answer["warnings"], contents)


def shipped_words(place: Place, what: Happened, *, tenant: str, locale: str | None, brand: Brand) -> Content:
    """What the shipped template says."""
    event, channel, _ = place
    kind = (shipped().event_types.get(event) or unlisted(event)).template
    return render(channel, kind, _context(event, what, tenant, locale, brand))


def in_words(flaw: Mapping[str, Any]) -> str:
    """A flaw without its part: ``line 3: names foo, which is not known``."""
    return f"line {flaw['line']}: {flaw['reason']}" if flaw["line"] else str(flaw["reason"])


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


def _told(channel: str, kind: str, made: Context, parts: Mapping[str, str]) -> dict[str, Any]:
    """What each part would be told."""
    noted = _Noted(channel)
    render(channel, kind, made, own=noted)
    return {part: noted.values[part] for part in parts}


def _known(event: str, told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The names that a template may use, and the fields of those whose fields are known."""
    values: dict[str, Any] = {}
    for one in told.values():
        values |= one
    known: dict[str, Any] = {name: {"fields": [], "open": True} for name in values}
    for name in ("event", "user", "brand"):
        known[name] = {"fields": sorted(values[name] or ()), "open": False}
    known["data"] = {"fields": sorted(_fields(event)), "open": True}
    return known


def _fields(event: str) -> set[str]:
    """The fields of `data` that samples and the catalogue name; nothing for a type that nobody listed."""
    listed = shipped().event_types.get(event)
    found = {name for one in samples(event) for name in one.data}
    if listed is None or not found:
        return set()
    places = {place.partition(".")[0] for place in TITLE_PLACE.findall(listed.title)}
    return {*found, *listed.key, *listed.secret, *places, *ALWAYS_FIELDS}


def _context(event: str, what: Happened, tenant: str, locale: str | None, brand: Brand) -> Context:
    """As a delivery has it, for a person whom there is not."""
    public = settings().public_url.rstrip("/")
    return context(
        event_id="00000000-0000-7000-8000-000000000000",
        event_type=event,
        severity=what.severity,
        condition=what.condition,
        occurred_at=what.occurred_at,
        branch=what.branch,
        data=json.loads(json.dumps(what.data)),
        tenant=tenant,
        user_id="sample",
        name="Robin Sample",
        locale=locale,
        unsubscribe_url=f"{public}/u/sample",
        preferences_url=f"{public}/inbox",
        brand=brand,
    )


__all__ = ["Happened", "SandboxAwayError", "Trial", "given", "happened", "samples", "shipped_words", "try_out"]
