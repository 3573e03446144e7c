"""Makes words and data fit a channel: its length, its lines, what it can show besides."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from channels import sms
from pipeline import wording
from pipeline.sentences import ngettext

TELEGRAM_LENGTH: Final = (
    4096  # UTF-16 units, counted by Telegram without the escapes; with them we are on the safe side
)
SMS_LENGTH: Final = 2000  # characters; ten parts, the most that a provider may be told to send, hold 1530
MOST_DATA: Final = 2048  # bytes of JSON; FCM and APNs take 4 KB with the words

_BLANK_LINES: Final = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")
_ENDS: Final = ".,:;!?…"
_PICTURE: Final = re.compile(r"https://[^\s<>\"'\\]{3,2000}", re.IGNORECASE)


def tidy(text: str) -> str:
    """`text` with at most one blank line in a row and none at its ends."""
    return _BLANK_LINES.sub("\n\n", text).strip()


def whole_lines(text: str) -> str:
    """As many whole lines as Telegram and WhatsApp take: no line of ours leaves a mark open, so none is cut through."""
    if len(text) * 2 <= TELEGRAM_LENGTH or _units(text) <= TELEGRAM_LENGTH:
        return text
    kept, room = [], TELEGRAM_LENGTH - 2
    for line in text.split("\n"):
        room -= _units(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join([*kept, "…"])


def in_one_line(text: str, limit: int) -> str:
    """The lines of `text` as one of at most `limit` characters, each line apart from the next."""
    lines = [stripped for line in text.split("\n") if (stripped := " ".join(line.split()))]
    joined = "".join(line + (" " if line[-1] in _ENDS else "; ") for line in lines[:-1]) + "".join(lines[-1:])
    return wording.cut(joined, limit)


def and_more(title: str, count: int, limit: int) -> str:
    """`title` with how many others it stands for: "X and 12 more", which is never what is cut."""
    if count <= 0:
        return wording.cut(title, limit)
    room = limit - len(_others("", count))
    return _others(wording.cut(title, room), count)


def _others(title: str, count: int) -> str:
    return ngettext("%(title)s and %(count)s more", "%(title)s and %(count)s more", count, title=title, count=count)


def text_message(text: str, link: str | None, segments: int, spare: str = "", sender: str = "") -> str:
    """The lines of `text` as one, and at the end the link if both travel whole in so many parts.

    Else as many words as do, with an ellipsis and no link. `spare` is a first line that says nothing by itself: it is
    given up before anything else. `sender` is said first where that costs neither words nor the link.
    """
    said = in_one_line(text, SMS_LENGTH)
    named = f"{sender}: {said}" if sender else said
    whole = [f"{named} {link}", f"{said} {link}"] if link else []
    for message in (*whole, named, said):
        if sms.fits(message, segments):
            return message
    first, _, rest = text.strip().partition("\n")
    rest = in_one_line(rest, SMS_LENGTH)
    kept = rest if spare and rest and first.strip().rstrip(_ENDS) == spare.rstrip(_ENDS) else said
    return kept if sms.fits(kept, segments) else sms.shortened(kept, segments)


def lines_within(text: str, limit: int) -> str:
    """As many whole lines of `text` as have room; the first is cut where it has none."""
    kept = text[: limit + 1].split("\n")
    whole = "\n".join(kept[:-1]).rstrip()
    return text if len(text) <= limit else whole or wording.cut(text, limit)


def plain_values(data: Mapping[str, Any], secret: tuple[str, ...]) -> dict[str, str | int | float | bool]:
    """What an app is told of an event: the fields that are one value and no secret, as many as fit into 2 KB."""
    told: dict[str, str | int | float | bool] = {}
    room = MOST_DATA - 2
    for name, value in islice(data.items(), 200):
        if name in secret or not _is_plain(value):
            continue
        said = wording.clean(value) if isinstance(value, str) else value
        room_left = room - len(json.dumps({wording.clean(name): said}, ensure_ascii=False).encode())
        if room_left >= 0:
            told[wording.clean(name)], room = said, room_left
    return told


def picture(data: Mapping[str, Any], secret: tuple[str, ...]) -> str | None:
    """The picture of an event: ``data.image_url``, if it is a web address that nobody can read on the way."""
    given = data.get("image_url") if "image_url" not in secret else None
    return given if isinstance(given, str) and _PICTURE.fullmatch(given) else None


def share_of(part: object, whole: object) -> int | None:
    """How much of `whole` is `part`, from 0 to 100; None when that cannot be said."""
    try:
        share = round(100 * float(wording.digits(part)) / float(wording.digits(whole)))
    except (ValueError, ArithmeticError):  # no numbers, nothing to divide by, infinite
        return None
    return min(max(share, 0), 100)


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MOST_DATA
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
