"""What all text messages have in common: numbers, and how a text is counted and cut into the parts it is paid by.

Source: 3GPP TS 23.038 (alphabet), TS 23.040 9.2.3.24.1 (joined parts lose seven septets or three units each).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from gsm0338.charset import (  # type: ignore[import-untyped]
    BASIC_CHARACTER_SET,
    BASIC_CHARACTER_SET_EXTENSION,
)

from channels.base import Bulkhead, Message
from channels.characters import characters, clean

BULKHEAD: Final = Bulkhead(concurrent=32, waiting=64)
LONG_WORD: Final = 20  # characters; a longer one is cut through

_ALONE: Final = {"GSM-7": 160, "UCS-2": 70}  # what a message of one part holds
_JOINED: Final = {"GSM-7": 153, "UCS-2": 67}  # what each part holds when there are more

# Septets of each character; those of the extension table are preceded by an escape, which is no character itself.
_SEPTETS: Final[Mapping[str, int]] = {
    **{unicodedata.lookup(name): 1 for name in BASIC_CHARACTER_SET.values() if name != "ESCAPE"},
    **{unicodedata.lookup(name): 2 for name in BASIC_CHARACTER_SET_EXTENSION.values()},
}

# The common ones of those that Twilio's Smart Encoding replaces (twilio.com/docs/messaging/services/
# smart-encoding-char-list). One typographic quote more than halves what a part holds.
_SIMPLER: Final = str.maketrans(
    {
        **dict.fromkeys("«»“”„‟″", '"'),
        **dict.fromkeys("‘’‚‛′´`", "'"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000", " "),
        **dict.fromkeys("\u200b\u2060", ""),
        "…": "...",
        "×": "x",
        "•": "*",
    }
)
_MANY_BREAKS: Final = re.compile(r"\n{3,}")

Encoding = Literal["GSM-7", "UCS-2"]


@dataclass(frozen=True, slots=True)
class Segments:
    """In how many parts a text travels, and in which alphabet; no part for no text."""

    count: int
    encoding: Encoding


def segments(text: str) -> Segments:
    """Count the parts: 160 septets or 70 units for one, 153 or 67 for each of several; no character is split."""
    septets = [_SEPTETS.get(character, 0) for character in text]
    if 0 not in septets:
        return Segments(_parts(septets, "GSM-7"), "GSM-7")
    return Segments(_parts([1 + (character > "\uffff") for character in text], "UCS-2"), "UCS-2")


def _parts(sizes: Sequence[int], encoding: Encoding) -> int:
    """Fill one part after the other; an escape sequence or a surrogate pair that does not fit goes to the next."""
    if sum(sizes) <= _ALONE[encoding]:
        return min(1, len(sizes))
    count, room = 1, _JOINED[encoding]
    for size in sizes:
        if size > room:
            count, room = count + 1, _JOINED[encoding]
        room -= size
    return count


def cut(text: str, most_segments: int) -> str:
    """At most so many parts of it, ending between two words (a long one: two characters), with an ellipsis if any miss.

    Where only the end of a text needs the wide alphabet, what comes before it in the narrow one may be more.
    """
    if segments(text).count <= most_segments:
        return text
    seen = list(islice(characters(text), most_segments * _ALONE["GSM-7"]))
    wide_from = next((at for at, one in enumerate(seen) if not _SEPTETS.keys() >= set(one)), len(seen))
    return max(_fitting(seen[:wide_from], "...", most_segments), _fitting(seen, "…", most_segments), key=len)


def _fitting(seen: Sequence[str], ellipsis: str, most_segments: int) -> str:
    def count(kept: int) -> int:
        return segments("".join(seen[:kept]) + ellipsis).count

    kept = bisect_right(range(len(seen) + 1), most_segments, key=count) - 1
    return "".join(seen[: _word_end(seen, kept)]).rstrip().rstrip(".,;:") + ellipsis


def _word_end(seen: Sequence[str], kept: int) -> int:
    """Where the last whole word within `kept` characters ends; `kept` itself where that costs more than a word."""
    if kept == len(seen) or seen[kept].isspace():
        return kept
    return next((at for at in range(kept - 1, max(0, kept - LONG_WORD), -1) if seen[at].isspace()), kept)


def shortened(text: str, most_segments: int) -> str:
    """What is sent of it."""
    return cut(_plainest(clean(text)), most_segments)


def fits(text: str, most_segments: int) -> bool:
    """Whether it is sent whole."""
    return segments(_plainest(clean(text))).count <= most_segments


def body(message: Message, most_segments: int) -> str:
    """What is sent for a message: its text, else its title, else its event's type, for no provider takes nothing."""
    said = clean(message.text) or clean(message.title or "") or message.event_type
    return cut(_plainest(_MANY_BREAKS.sub("\n\n", said)), most_segments)


def _plainest(text: str) -> str:
    """With plain characters for typographic ones where that makes the whole text fit the narrow alphabet."""
    simpler = text.translate(_SIMPLER)
    return simpler if simpler != text and segments(simpler).encoding == "GSM-7" else text
