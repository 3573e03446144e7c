"""Puts values into words: whatever stands in an event's data becomes short, harmless text.

Nothing here raises on odd data: a number where a text was meant, 100 KB of it, control characters, nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from babel.numbers import UnknownCurrencyError
from jinja2 import Undefined

from config.catalogue import TITLE_PLACE
from domain.event import MASK
from pipeline import formats
from pipeline.language import SPOKEN

Row = tuple[str, str]

SIGNS: Final = {"low": "🔵", "medium": "🟡", "high": "🟠", "critical": "🔴"}

# Controls (but newline and tab), what reorders the text around it (Trojan Source), lone surrogates, noncharacters.
_UNWANTED: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_NEWLINES: Final = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SEPARATORS: Final = re.compile(r"[\s._:/-]+")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?")
_ACRONYMS: Final = frozenset(
    (
        *("api", "cpu", "css", "csv", "dns", "html", "http", "https", "id", "ip", "json", "pdf", "ram", "sla", "sms"),
        *("smtp", "sql", "ssd", "ssh", "ssl", "tls", "uri", "url", "utc", "vat", "vm", "vpn"),
    )
)
_NAMES: Final = {"whatsapp": "WhatsApp"}  # that are written otherwise than words
_DEEPEST: Final = 6
_MOST_GROUPED: Final = 10**15
_MOST_LOOKED_AT: Final = 200
_LONGEST_LABEL: Final = 60
_LEAD_FIELDS: Final = ("message", "text", "content", "description", "summary", "error", "reason")
_NOT_FACTS: Final = frozenset({"link_url", "link_text", "title"})


def words(value: object, limit: int = 500) -> str:
    """`value` as text of at most `limit` characters: a bool as yes or no, nothing as nothing, a list with commas."""
    if type(value) is str and len(value) <= limit and value.isprintable():
        return value  # almost always
    if isinstance(value, str):
        return clean(cut(str(value), limit))
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return sentence("yes") if value else sentence("no")
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, datetime):
        return moment(value)
    return clean(cut(_listing(value, limit), limit))


def sentence(english: str) -> str:
    """Fixed words of ours in the language that is spoken."""
    return SPOKEN.get().sentences.one.get(english, english)


def clean(text: str) -> str:
    """`text` without control characters, lone surrogates and what reorders the text around it."""
    if text.isprintable():
        return text
    return _UNWANTED.sub("", _NEWLINES.sub("\n", text.encode("utf-8", "replace").decode("utf-8")))


def cut(text: str, limit: int) -> str:
    """`text` with at most `limit` characters; what was cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip(" \n\u200d\ufe0f") + "…"


def one_line(text: str, limit: int) -> str:
    """`text` on one line with at most `limit` characters, as a subject needs it."""
    return cut(" ".join(text.split()), limit)


def label(name: str) -> str:
    """The name of a field or type for people: ``order_id`` is "Order ID", ``ssl_failure`` is "SSL failure"."""
    return sentence(_label(name))


def kind(event_type: str) -> str:
    """What an event is, for people: "Billing: invoice generated"; where a language has words of its own, those."""
    plain = _label(event_type)
    said = sentence(plain)
    group, _, _ = event_type.partition(".")
    own = plain.removeprefix(_label(group))
    return f"{label(group)}:{own}" if said == plain and own.strip() and own != plain else said


@lru_cache(maxsize=4096)
def _label(name: str) -> str:
    parts = _SEPARATORS.sub(" ", _CAMEL.sub(" ", clean(name[: 2 * _LONGEST_LABEL]))).split()
    lowered = (part if part.isupper() else part.lower() for part in parts)
    shown = " ".join(part.upper() if part.lower() in _ACRONYMS else _NAMES.get(part, part) for part in lowered)
    return cut(shown[:1].upper() + shown[1:], _LONGEST_LABEL)


def headline(sentence: str, event_type: str, data: Mapping[str, Any]) -> str:
    """The title of an event: the catalogue's `sentence` with its places filled.

    A sentence with a hole reads worse than none: when a field is missing, the title that the data brings along or else
    the name of the type is taken.
    """
    filled = [_said(_at(data, place)) if index % 2 else place for index, place in enumerate(_pieces(sentence))]
    if sentence and all(said.strip() for said in filled[1::2]):
        return "".join(filled)
    given = data.get("title")
    title = words(given, 200).strip() if isinstance(given, str) else ""
    return title or label(event_type)


def lead(data: Mapping[str, Any]) -> str:
    """What `data` says in whole sentences: the first text among the fields that usually hold one."""
    name = _lead_field(data)
    return words(data[name], 2000) if name else ""


def facts(data: object, most: int = 20, told: str = "", *, say_more: bool = True) -> list[Row]:
    """The rest of what `data` says as rows of label and value, nested values flattened, at most `most` of them.

    Ids come last, since they say nothing to people. The fields that the sentence `told` names are left out;
    `say_more` adds a row that tells that there would be more.
    """
    if isinstance(data, Mapping):
        left_out = {_lead_field(data), *_pieces(told)[1::2]}
        names = sorted(islice((name for name in data if name not in left_out), _MOST_LOOKED_AT), key=_is_id)
        data = {name: data[name] for name in names}
    found = list(islice(_flat(data, "", 0, 300), most + 1))
    return found if len(found) <= most else found[:most] + [("…", sentence("more than fits here"))] * say_more


def listed(value: object, most: int = 50) -> list[object]:
    """`value` as a list that a template can walk through, whatever it is; at most `most` entries."""
    if isinstance(value, list | tuple):
        return list(value[:most])
    return [] if value is None or value == "" or isinstance(value, Undefined) else [value]


def rows(pairs: object, limit: int = 500) -> list[Row]:
    """Pairs of label and value without those whose value says nothing."""
    said = [(words(pair[0]), words(pair[1], limit)) for pair in listed(pairs) if isinstance(pair, list | tuple)]
    return [row for row in said if row[1]]


def money(amount: object, currency: object = "") -> str:
    """An amount with its currency: ``money("1280", "EUR")`` is "€1,280.00"."""
    if not words(amount):
        return ""
    try:
        value = Decimal(digits(amount))
        if not value.is_finite() or abs(value) >= 10**15:
            raise InvalidOperation
        return formats.money(value, words(currency, 10))
    except (InvalidOperation, UnknownCurrencyError, ValueError):
        return f"{words(amount)} {words(currency, 10)}".strip()


def digits(number: object) -> str:
    """A number as Python reads it; in words, its fraction would have the sign of the language before it."""
    plain = isinstance(number, int | float) and not isinstance(number, bool)
    return str(number) if plain else words(number, 40)


def more(value: object, most: int) -> int:
    """How many entries of a list there are beyond `most`."""
    return max(len(value) - most, 0) if isinstance(value, list | tuple) else 0


def number_of(value: object, noun: str) -> str:
    """A number with its noun: "1 day", "7 days"; nothing when there is no number."""
    number = grouped(value)
    if not number:
        return ""
    form = SPOKEN.get().counted(f"%(num)s {noun}", f"%(num)s {noun}s", whole(value))
    return form.replace("%(num)s", number)


def grouped(value: object) -> str:
    """How many things there are: "10,000"; what is no such number, in words."""
    if type(value) is int and abs(value) < _MOST_GROUPED:
        return formats.grouped(value)
    return words(value, 40)


def whole(number: object) -> int:
    """The number by which a plural is chosen, whatever is given: only 1 and "1" are one."""
    try:
        given = float(number) if isinstance(number, int | float | str) else 2.0
        return int(given) if given.is_integer() else 2
    except (ValueError, OverflowError):
        return 2


def moment(value: object) -> str:
    """An ISO date or time for people: "27 November 2026" or "20 November 2026, 09:00 UTC"; other text as it is."""
    if isinstance(value, str):
        return _moment(value) if _ISO.fullmatch(value[:40]) else words(value)
    if isinstance(value, datetime):
        return formats.moment(value)
    return words(value)


def mask(data: Mapping[str, Any], secret: tuple[str, ...]) -> Mapping[str, Any]:
    """`data` with the values of the fields named in `secret`, at any depth, replaced by dots."""
    return {name: _masked(name, value, frozenset(secret), 0) for name, value in data.items()} if secret else data


def _is_id(name: object) -> bool:
    return _label(str(name)[:200]).rpartition(" ")[2].lower() in ("id", "ids")


def _lead_field(data: Mapping[str, Any]) -> str | None:
    return next((name for name in _LEAD_FIELDS if isinstance(data.get(name), str) and data[name].strip()), None)


def _masked(name: object, value: object, secret: frozenset[str], depth: int) -> object:
    if name in secret or depth > 40:  # an event's data is at most 32 deep
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(key, entry, secret, depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(None, entry, secret, depth + 1) for entry in value]
    return value


def _number(value: float) -> str:
    try:
        return cut(str(value) if isinstance(value, int) else formats.decimal(str(value)), 40)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        return "…"


def _listing(value: object, limit: int, depth: int = 0) -> str:
    """A list or mapping on one line; stops as soon as `limit` is passed, so a large one costs no more than a small."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        entries: Iterator[str] = (f"{label(str(key))}: {_entry(entry, limit, depth)}" for key, entry in value.items())
    elif isinstance(value, list | tuple):
        entries = (_entry(entry, limit, depth) for entry in value)
    else:
        return str(value)
    parts: list[str] = []
    length = 0
    for part in entries:
        parts.append(part)
        length += len(part) + 2
        if length > limit:
            break
    return ", ".join(part for part in parts if part)


def _entry(value: object, limit: int, depth: int) -> str:
    return _listing(value, limit, depth + 1) if isinstance(value, Mapping | list | tuple) else words(value, limit)


def _flat(value: object, name: str, depth: int, limit: int) -> Iterator[Row]:
    if isinstance(value, Mapping) and depth < _DEEPEST:
        for key, entry in islice(value.items(), _MOST_LOOKED_AT):
            if key not in _NOT_FACTS:
                yield from _flat(entry, f"{name} {key}".strip()[:200], depth + 1, limit)
    elif (
        isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value[:50]) and depth < _DEEPEST
    ):
        for number, entry in enumerate(islice(value, _MOST_LOOKED_AT), 1):
            yield from _flat(entry, f"{name} {number}".strip(), depth + 1, limit)
    elif said := _said(value, limit):
        yield label(name) or "…", said


def _said(value: object, limit: int = 80) -> str:
    """`value` in words, a date as a date."""
    if isinstance(value, str) and _ISO.fullmatch(value[:40]):
        return _moment(value)
    return words(value, limit)


@lru_cache(maxsize=1024)
def _pieces(sentence: str) -> tuple[str, ...]:
    """The text and the places of a sentence in turn: ``("Order ", "number", " is here")``."""
    return tuple(TITLE_PLACE.split(sentence))


def _at(data: Mapping[str, Any], path: str) -> object:
    value: object = data
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _moment(text: str) -> str:
    value = _parsed(text)
    if value is None:
        return words(text)
    return formats.moment(value) if isinstance(value, datetime) else formats.day(value)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> date | datetime | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
