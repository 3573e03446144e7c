"""How one recipient is spoken to: in which sentences, with which dates and numbers, by which clock.

While something is rendered, what is spoken is in `SPOKEN`; filters and macros are not told of it one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import lru_cache
from gettext import c2py
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import structlog

from config.catalogue import LOCALES

if TYPE_CHECKING:
    from babel.messages import Catalog

CATALOGUE: Final = "messages.po"

_CONTEXT: Final = "\x04"  # as gettext keeps it: between the context and the sentence
_LONGEST_NAME: Final = 40
_EXTRAS: Final = re.compile(r"[.@].*")  # de_AT.UTF-8, de@euro

_AT_LINE: Final = re.compile(r" on \d+$")  # Babel counts from 0

log = structlog.get_logger(__name__)


def _english(number: int) -> int:
    return int(number != 1)


@dataclass(frozen=True, slots=True)
class Sentences:
    """The translations of one catalogue: by the English sentence, with its plural forms where it has them."""

    one: Mapping[str, str] = field(default_factory=dict)
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plural: Callable[[int], int] = _english


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """What is spoken to somebody.

    Attributes:
        tag: for HTML: ``de-AT``.
        locale: whose dates and numbers; None for English as we write it to whoever named none.
        faces: the names that files of its own may bear, the nearest first: ``de_AT``, ``de``.
        zone: whose clock is shown.
    """

    tag: str = "en"
    locale: str | None = None
    faces: tuple[str, ...] = ()
    zone: tzinfo = UTC
    sentences: Sentences = Sentences()

    def sentence(self, english: str, context: str | None = None) -> str:
        """The translation of `english`; itself where there is none."""
        return self.sentences.one.get(_key(english, context), english)

    def counted(self, singular: str, plural: str, number: int, context: str | None = None) -> str:
        """The form that goes with `number`."""
        forms = self.sentences.several.get(_key(singular, context))
        if forms is None:
            return plural if _english(number) else singular
        index = self.sentences.plural(abs(number))
        return forms[index] if index < len(forms) else forms[-1]


ENGLISH: Final = Language()
SPOKEN: Final[ContextVar[Language]] = ContextVar("spoken", default=ENGLISH)


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """While it lasts, `language` is spoken."""
    before = SPOKEN.set(language)
    try:
        yield
    finally:
        SPOKEN.reset(before)


class Languages:
    """The languages that the templates below `folder` speak: English, and those with a catalogue in ``locale/``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / LOCALES
        self.of = lru_cache(maxsize=8192)(self._of)
        self._found = lru_cache(maxsize=256)(self._read)

    def _of(self, locale: str | None, zone: str | None, words: str = "") -> Language:
        """The language for a recipient: the nearest to `locale` that is spoken, else English. Never an error.

        `words`: the locale of a tenant's own template, which speaks its language though there is no catalogue for it.
        """
        names = candidates(locale) if locale else ()
        catalogues = {name: found for name in names if (found := self._found(name))}
        if catalogues:
            return Language(names[0].replace("_", "-"), names[0], names, clock(zone), _united(catalogues))
        if words.replace("-", "_") in names or (len(names) > 1 and names[-1] == "en"):
            return Language(names[0].replace("_", "-"), names[0], names, clock(zone))
        return Language(zone=clock(zone)) if zone else ENGLISH

    def known(self) -> tuple[str, ...]:
        """The locales that have a catalogue."""
        return tuple(sorted(path.parent.name for path in self.folder.glob(f"*/{CATALOGUE}")))

    def _read(self, name: str) -> Sentences | None:
        """A catalogue that is broken, of which `bellwire check` says more, is as good as none."""
        path = self.folder / name / CATALOGUE
        if not path.is_file():
            return None
        try:
            found = sentences(read(path))
        except (OSError, ValueError) as error:
            log.error("catalogue_unreadable", locale=name, problem=str(error))  # noqa: TRY400
            return None
        return found if found.one else None  # nothing is translated yet


def read(path: Path) -> Catalog:
    """The catalogue in a file.

    Raises:
        ValueError: it is none, with the line.
    """
    from babel.messages.pofile import PoFileError, read_po

    with path.open("rb") as file:
        try:
            return read_po(file, locale=path.parent.name, abort_invalid=True)
        except (PoFileError, UnicodeError, LookupError, TypeError) as error:
            line = getattr(error, "lineno", None)
            reason = _AT_LINE.sub("", str(error))
            raise ValueError(f"{path}:{1 if line is None else line + 1}: {reason}") from error


def sentences(catalogue: Catalog) -> Sentences:
    """What a catalogue says; what is not translated yet, or only perhaps (fuzzy), is left out.

    Raises:
        ValueError: its rule for plurals cannot be read.
    """
    one: dict[str, str] = {}
    several: dict[str, tuple[str, ...]] = {}
    for message in catalogue:
        said: Any = message.string
        if not message.id or message.fuzzy or not said or not all(said):
            continue
        if isinstance(message.id, str):
            one[_key(message.id, message.context)] = said
        else:
            forms = (said,) if isinstance(said, str) else tuple(said)
            several[_key(message.id[0], message.context)] = forms
            one[_key(message.id[0], message.context)] = forms[0]  # as gettext has it
    return Sentences(one, several, c2py(catalogue.plural_expr))


@lru_cache(maxsize=1024)
def candidates(locale: str) -> tuple[str, ...]:
    """The names under which `locale` is looked for: ``de-AT`` is "de_AT", then "de"; none for what is no locale."""
    from babel import Locale, UnknownLocaleError

    name = _EXTRAS.sub("", locale[:_LONGEST_NAME].strip()).replace("-", "_")
    while name:
        try:
            found = Locale.parse(name, resolve_likely_subtags=False)
        except (ValueError, UnknownLocaleError, TypeError):
            name = name.rpartition("_")[0]
            continue
        parts = [found.language, *(part for part in (found.script, found.territory, found.variant) if part)]
        names = ["_".join(parts[:length]) for length in range(len(parts), 0, -1)]
        return tuple(dict.fromkeys(names))
    return ()


@lru_cache(maxsize=1024)
def clock(zone: str | None) -> tzinfo:
    """The clock of a time zone by its name; UTC's without one, and for one that does not exist."""
    if not zone or zone == "UTC":
        return UTC
    try:
        return ZoneInfo(zone)
    except (ValueError, OSError, LookupError):  # no such name, no name at all, a folder of names
        return UTC


def _key(english: str, context: str | None) -> str:
    return english if context is None else f"{context}{_CONTEXT}{english}"


def _united(catalogues: Mapping[str, Sentences]) -> Sentences:
    """One for all, in which the nearest wins: a catalogue for Austria need only hold what is said otherwise there."""
    one: dict[str, str] = {}
    several: dict[str, tuple[str, ...]] = {}
    for found in reversed(list(catalogues.values())):
        one |= found.one
        several |= found.several
    return Sentences(one, several, next(iter(catalogues.values())).plural)
