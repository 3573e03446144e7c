"""Sentences of templates and of ours in the language that is spoken, with values put into their places.

What comes out is plain text; a face escapes it as it does any value, so one sentence serves all faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from re import compile as pattern
from typing import Any, Final

from pipeline.language import SPOKEN
from pipeline.wording import grouped, whole, words

_PLACE: Final = pattern(r"%(\(\w+\)s|%)")
_LONGEST_VALUE: Final = 500
_COUNTS: Final = ("num", "count")  # the places in which a number of things stands


def gettext(english: str, /, **values: object) -> str:
    """`english` in the language that is spoken, its ``%(name)s`` filled."""
    said = SPOKEN.get().sentences.one.get(english, english)
    return said if "%" not in said else _filled(said, values)


def ngettext(singular: str, plural: str, number: object, /, **values: object) -> str:
    """The form that goes with `number`, which is also ``%(num)s``."""
    said = SPOKEN.get().counted(singular, plural, whole(number))
    return _filled(said, {"num": number, **values})


def pgettext(context: str, english: str, /, **values: object) -> str:
    """As `gettext`, for words that mean different things in different places."""
    return _filled(SPOKEN.get().sentence(english, context), values)


def npgettext(context: str, singular: str, plural: str, number: object, /, **values: object) -> str:
    """As `ngettext`, for words that mean different things in different places."""
    said = SPOKEN.get().counted(singular, plural, whole(number), context)
    return _filled(said, {"num": number, **values})


FOR_TEMPLATES: Final[Mapping[str, Any]] = {
    "_": gettext,
    "gettext": gettext,
    "ngettext": ngettext,
    "pgettext": pgettext,
    "npgettext": npgettext,
}


def _filled(sentence: str, values: Mapping[str, object]) -> str:
    """`sentence` with its values in words; a place that nothing was given for is empty."""
    pieces = list(_pieces(sentence))
    for index in range(1, len(pieces), 2):
        name = pieces[index]
        pieces[index] = "%" if name == "%" else _value(name[1:-2], values)
    return "".join(pieces)


def _value(name: str, values: Mapping[str, object]) -> str:
    value = values.get(name)
    return grouped(value) if name in _COUNTS and type(value) is int else words(value, _LONGEST_VALUE)


@lru_cache(maxsize=4096)
def _pieces(sentence: str) -> tuple[str, ...]:
    return tuple(_PLACE.split(sentence))
