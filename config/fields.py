"""Reads the fields of a document that somebody wrote by hand and names the one that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from domain.errors import InvalidInputError

Word = TypeVar("Word", bound=str)

NAME_LENGTH: Final = 255  # bytes are not meant: a name is shown to people, and 255 characters fit every index
LIST_LENGTH: Final = 1000


def field_at(prefix: str, name: str) -> str:
    """`name` seen from the whole document: ``match`` and ``event`` make ``match.event``."""
    return f"{prefix}.{name}" if prefix else name


def check_text(value: object, at: str, *, length: int = NAME_LENGTH) -> str:
    """`value` as text of 1 to `length` characters without control characters or blanks around it.

    Raises:
        InvalidInputError: it is something else.
    """
    if not isinstance(value, str):
        raise InvalidInputError(at, "must be text")
    if not value.strip() or value != value.strip():
        raise InvalidInputError(at, "must not be empty nor begin or end with a blank")
    if len(value) > length:
        raise InvalidInputError(at, f"must have at most {length} characters")
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in value):
        raise InvalidInputError(at, "must not contain control characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputError(at, "must not contain half of a surrogate pair")
    return value


def check_word(value: object, at: str, words: Iterable[Word]) -> Word:
    """`value` as one of `words`.

    Raises:
        InvalidInputError: it is none of them; the problem lists them.
    """
    known = tuple(words)
    for word in known:
        if isinstance(value, str) and word == value:
            return word
    raise InvalidInputError(at, f"must be one of {', '.join(known)}")


def check_list(value: object, at: str, *, length: int = LIST_LENGTH) -> Iterator[tuple[str, object]]:
    """The entries of a list, each with its place: ``("channels[2]", "sms")``.

    Raises:
        InvalidInputError: it is no list, or longer than `length`.
    """
    if not isinstance(value, list | tuple):
        raise InvalidInputError(at, "must be a list")
    if len(value) > length:
        raise InvalidInputError(at, f"must have at most {length} entries")
    return ((f"{at}[{index}]", entry) for index, entry in enumerate(value))


class Fields:
    """The fields of one mapping. A field that is absent or null has its default.

    Attributes:
        at: where in the whole document the mapping stands; empty for the whole.
    """

    def __init__(self, body: object, at: str, known: Iterable[str]) -> None:
        """Raises InvalidInputError when `body` is no mapping or has a field that is not among `known`."""
        if not isinstance(body, Mapping):
            raise InvalidInputError(at, "must be an object with named fields")
        self.at = at
        self._body: Mapping[str, Any] = body
        names = tuple(known)
        for name in body:
            if name not in names:
                shown = str(name)[:60] if str(name).isprintable() else "?"
                raise InvalidInputError(field_at(at, shown), f"is not known here; known are {', '.join(names)}")

    def __contains__(self, name: str) -> bool:
        return self._body.get(name) is not None

    def raw(self, name: str) -> object:
        """The value as it stands, None when there is none."""
        return self._body.get(name)

    def place(self, name: str) -> str:
        """Where the field stands in the whole document."""
        return field_at(self.at, name)

    def required(self, name: str) -> object:
        """The value as it stands; InvalidInputError when there is none."""
        if name not in self:
            raise InvalidInputError(self.place(name), "is missing")
        return self._body[name]

    def text(self, name: str, default: str, *, length: int = NAME_LENGTH) -> str:
        """One line of text."""
        return check_text(self._body[name], self.place(name), length=length) if name in self else default

    def word(self, name: str, words: type[StrEnum], default: Any) -> Any:
        """One of the words of a vocabulary."""
        return check_word(self._body[name], self.place(name), words) if name in self else default

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self._body[name] if name in self else default
        if not isinstance(value, bool):
            raise InvalidInputError(self.place(name), "must be true or false")
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number within its limits."""
        value = self._body[name] if name in self else default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidInputError(self.place(name), f"must be a whole number from {least} to {most}")
        return value

    def texts(self, name: str, *, length: int = LIST_LENGTH) -> tuple[str, ...]:
        """A list of texts without repetitions; empty when there is none."""
        if name not in self:
            return ()
        entries = check_list(self._body[name], self.place(name), length=length)
        return tuple(dict.fromkeys(check_text(entry, at) for at, entry in entries))
