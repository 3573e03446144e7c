"""Text as people see it: characters that are never torn apart, and without what a text message cannot carry.

A character is what Unicode calls an extended grapheme cluster (UAX 29), as far as marks, emoji and flags go.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Final

_JOINER: Final = "\u200d"
_BREAKS: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_TABS: Final = re.compile("[\t\xa0]")
_UNSEEN: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")


def clean(text: str) -> str:
    """Composed (NFC), with line feeds as the only control characters, half surrogates replaced, ends trimmed."""
    if text.isascii() and text.isprintable():
        return text.strip()
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\ufffd", "?")
    spaced = _TABS.sub(" ", _BREAKS.sub("\n", whole))
    return unicodedata.normalize("NFC", _UNSEEN.sub("", spaced)).strip()


def characters(text: str) -> Iterator[str]:
    """The characters of a text, each with its marks, joined emoji and flags as one."""
    start, flags = 0, 0
    for position, current in enumerate(text):
        flag = "\U0001f1e6" <= current <= "\U0001f1ff"
        if position and not _belongs(text[position - 1], current) and not (flag and flags % 2):
            yield text[start:position]
            start = position
        flags = flags + 1 if flag else 0
    if text:
        yield text[start:]


def cut_to_units(text: str, limit: int, ellipsis: str = "…") -> str:
    """At most `limit` UTF-16 units of it, between two characters, with `ellipsis` at the end if any are missing."""
    if units(text) <= limit:
        return text
    room, kept = limit - units(ellipsis), []
    for character in islice(characters(text), limit):
        room -= units(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + ellipsis


def units(text: str) -> int:
    """The length in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def _belongs(before: str, current: str) -> bool:
    """Whether there is no boundary between the two."""
    if current < "\u0300":  # by far most text, and no mark is below
        return before == "\r" and current == "\n"
    return (
        current == _JOINER
        or before == _JOINER
        or current == "\u200c"
        or "\U0001f3fb" <= current <= "\U0001f3ff"  # tones of skin
        or "\U000e0020" <= current <= "\U000e007f"  # tags: the flags of regions
        or unicodedata.category(current)[0] == "M"
    )
