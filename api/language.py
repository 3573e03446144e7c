"""The language of a page for people: the first that their browser asks for and that is spoken here."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request

from pipeline.faces import SHIPPED
from pipeline.language import ENGLISH, Language, candidates

_LONGEST: Final = 500  # characters of the header that are looked at
_MOST: Final = 10  # languages


def preferred(header: str) -> Language:
    """The language for an Accept-Language header (RFC 9110, section 12.5.4); English for one that says nothing."""
    wanted = [entry.partition(";") for entry in header[:_LONGEST].split(",")[:_MOST]]
    for tag, _, weight in sorted(wanted, key=lambda entry: -_weight(entry[2])):
        names = candidates(tag.strip())
        language = SHIPPED.languages.of(tag.strip(), None)
        if language is not ENGLISH or names[-1:] == ("en",):
            return language if _weight(weight) else ENGLISH
    return ENGLISH


def _weight(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=")) if text.strip() else 1.0
    except ValueError:
        return 0.0


async def _asked(request: Request) -> Language:
    return preferred(request.headers.get("accept-language", ""))


Asked = Annotated[Language, Depends(_asked)]
