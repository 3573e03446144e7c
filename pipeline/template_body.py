"""What a tenant's template consists of, and for which event type, channel and locale it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from config.catalogue import check_event_name
from config.fields import Fields, check_word
from domain.errors import InvalidInputError
from domain.vocabulary import CHANNEL_ALIASES, CHANNELS
from pipeline.custom import PARTS
from pipeline.language import candidates
from pipeline.published import Place

LONGEST: Final[Mapping[str, int]] = {"subject": 1_000, "title": 1_000, "html": 200_000, "text": 50_000}
"""Characters of each part as it is written."""

_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_NEEDED: Final[Mapping[str, str]] = {"email": "html"}


@dataclass(frozen=True, slots=True)
class Body:
    """The parts that were given, and whether the shipped template is used where they cannot be rendered."""

    parts: dict[str, str]
    fallback: bool = False


def check_place(event: str, channel: str, locale: str | None) -> Place:
    """Where a template belongs; the locale as ``de-AT``, empty for all.

    Raises:
        InvalidInputError: on ``event``, ``channel`` or ``locale``.
    """
    named = CHANNEL_ALIASES.get(channel, channel)
    if named in CHANNELS and named not in PARTS:
        raise InvalidInputError("channel", "has no words; a webhook carries the event's data")
    return check_event_name(event, "event"), check_word(named, "channel", PARTS), check_locale(locale, "locale")


def check_locale(locale: object, field: str) -> str:
    """`locale` as it is stored. Raises InvalidInputError on `field`."""
    if locale is None or locale == "":
        return ""
    if isinstance(locale, str) and _LOCALE.fullmatch(locale):
        found = candidates(locale)
        if found and found[0].lower() == locale.replace("-", "_").lower():
            return found[0].replace("_", "-")
    raise InvalidInputError(field, "is no locale; write it like de or de-AT")


def read_body(channel: str, body: object, *further: str) -> Body:
    """A template as it comes in a request. `further`: other fields that the request may have.

    Raises:
        InvalidInputError: naming the field.
    """
    known = tuple(PARTS[channel].values())
    fields = Fields(body, "", (*known, "fallback", *further))
    parts = {part: _source(fields.raw(part), part) for part in known if fields.raw(part) is not None}
    return Body(parts, fields.flag("fallback", False))


def check_whole(channel: str, body: Body) -> Body:
    """`body` with all that its channel needs. Raises InvalidInputError."""
    needed = _NEEDED.get(channel, "text")
    if not body.parts.get(needed, "").strip():
        raise InvalidInputError(needed, "is missing")
    return body


def _source(value: Any, part: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(part, "must be text")
    if len(value) > LONGEST[part]:
        raise InvalidInputError(part, f"must have at most {LONGEST[part]:,} characters", too_large=True)
    if _CONTROLS.search(value):
        raise InvalidInputError(part, "must not contain control characters")
    return value.replace("\r\n", "\n")
