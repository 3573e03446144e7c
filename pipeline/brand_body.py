"""Reads a brand that somebody wrote. Nothing passes that could be more than a name, a colour or an address."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from channels.mime import mailbox
from config.fields import Fields, check_text
from domain.brand import DEFAULT_BRAND, Brand
from domain.errors import InvalidInputError

NAME_LENGTH: Final = 60
ALT_LENGTH: Final = 100
FOOTER_LENGTH: Final = 500
FOOTER_LINES: Final = 6
ADDRESS_LENGTH: Final = 2000
WIDEST: Final = 536  # pixels; what a card of 600 has inside
HIGHEST: Final = 200

_COLOUR: Final = re.compile(r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
_WEB: Final = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)  # no quotes, <>, backslashes, braces
_TURNS: Final = re.compile(r"[\u202a-\u202e\u2066-\u2069]")  # reorders the text around it


def parse_brand(body: object, before: Brand = DEFAULT_BRAND) -> Brand:
    """`before` with what `body` names; null is as shipped.

    Raises:
        InvalidInputError: naming the field.
    """
    Fields(body, "", tuple(_READ))
    assert isinstance(body, Mapping)  # Fields has seen to it
    shipped = DEFAULT_BRAND.body
    changes = {name: shipped[name] if value is None else _READ[name](value, name) for name, value in body.items()}
    return replace(before, **changes)


def _words(length: int) -> Callable[[Any, str], str]:
    def read(value: Any, at: str) -> str:
        return "" if value == "" else _straight(check_text(value, at, length=length), at)

    return read


def _straight(text: str, at: str) -> str:
    if _TURNS.search(text):
        raise InvalidInputError(at, "must not contain characters that turn the direction of writing")
    return text


def _colour(value: Any, at: str) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise InvalidInputError(at, "must be a colour such as #1d4ed8")
    digits = value[1:].lower()
    return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))


def _number(least: int, most: int) -> Callable[[Any, str], int]:
    def read(value: Any, at: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidInputError(at, f"must be a whole number from {least} to {most}")
        return value

    return read


def _footer(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(at, "must be text")
    lines = [line.strip() for line in value.strip().split("\n")]
    if len(lines) > FOOTER_LINES or len(value) > FOOTER_LENGTH:
        raise InvalidInputError(at, f"must have at most {FOOTER_LENGTH} characters in {FOOTER_LINES} lines")
    return "\n".join(_straight(check_text(line, at), at) if line else "" for line in lines)


def _web(value: Any, at: str) -> str:
    """An address of the web, as it may stand in a link."""
    if value == "":
        return ""
    text = check_text(value, at, length=ADDRESS_LENGTH)
    if not _WEB.fullmatch(text) or not _has_host(text):
        raise InvalidInputError(at, "must be an address such as https://www.example.org")
    return text


def _has_host(address: str) -> bool:
    """Whether it leads somewhere, and carries no name and password of anybody."""
    try:
        found = urlsplit(address)
        return bool(found.hostname) and "@" not in found.netloc and found.port != 0
    except ValueError:
        return False


def _picture(value: Any, at: str) -> str:
    address = _web(value, at)
    if address and not address.lower().startswith("https://"):
        raise InvalidInputError(at, "must begin with https://, for mail programs show no other picture")
    return address


def _email(value: Any, at: str) -> str:
    if value == "":
        return ""
    text = check_text(value, at, length=254)
    try:
        found = mailbox(text)
    except ValueError:
        raise InvalidInputError(at, "is not an email address") from None
    if found.international:
        raise InvalidInputError(at, "must be ASCII before the @, for not every server takes anything else")
    return found.address


def _support(value: Any, at: str) -> str:
    if isinstance(value, str) and "@" in value and "/" not in value:
        return _email(value, at)
    return _web(value, at)


_READ: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "name": _words(NAME_LENGTH),
    "logo_url": _picture,
    "logo_alt": _words(ALT_LENGTH),
    "logo_width": _number(16, WIDEST),
    "logo_height": _number(0, HIGHEST),
    "primary": _colour,
    "background": _colour,
    "text": _colour,
    "footer": _footer,
    "website": _web,
    "support": _support,
    "reply_to": _email,
}
