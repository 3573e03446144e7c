"""Templates as files: one folder for each event type, one file for each part, as they are exported and imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from domain.errors import InvalidInputError
from pipeline.custom import PARTS
from pipeline.handlebars import HandlebarsError, translated
from pipeline.published import Place
from pipeline.template_body import check_place
from workers.stack.errors import StackError

HANDLEBARS: Final = (".hbs", ".handlebars")
PARTIALS: Final = "partials"
MOST_BYTES: Final = 1_000_000  # of a file


@dataclass(slots=True)
class Found:
    """The parts of one template, and the files that they came from."""

    parts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)


def file_name(place: Place, part: str) -> str:
    """Where a part is kept: ``ssl_failure/email.de.html``, ``ssl_failure/email.subject.txt``."""
    event, channel, locale = place
    ending = {"html": "html", "text": "txt"}.get(part, f"{part}.txt")
    return f"{event}/{'.'.join(word for word in (channel, locale, ending) if word)}"


def read_file(path: Path, place: Place) -> dict[Place, Found]:
    """One file as the main part of a template. Raises StackError."""
    found = Found()
    _add(found, "html" if place[1] == "email" else "text", path, _partials(path.parent))
    return {place: found}


def read_folder(folder: Path) -> dict[Place, Found]:
    """All templates below a folder; its folder ``partials`` holds the partials of Handlebars. Raises StackError."""
    partials = _partials(folder)
    found: dict[Place, Found] = {}
    for path in _files(folder):
        place, part = _named(folder, path)
        _add(found.setdefault(place, Found()), part, path, partials)
    if not found:
        raise StackError(f"{folder}: holds no templates; they are called ssl_failure/email.html or ssl_failure.hbs.")
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and inside[0] != PARTIALS and len(inside) <= 2 and not path.name.startswith("."):
            yield path


def _named(folder: Path, path: Path) -> tuple[Place, str]:
    """Which part of which template a file is, by its name."""
    name = path.name
    for ending in HANDLEBARS:
        name = name.removesuffix(ending)
    if path.parent == folder:  # ssl_failure.hbs
        return _place(path, name.removesuffix(".html"), "email", ""), "html"
    words = name.split(".")
    channel, last = words[0], words[-1] if len(words) > 1 else ""
    if last == "txt" and len(words) > 2 and words[-2] in ("subject", "title"):
        words, last = words[:-1], words[-2]
    part = {"html": "html", "txt": "text", "subject": "subject", "title": "title"}.get(last)
    locale = words[1:-1] if part else words[1:]
    part = part or ("html" if channel == "email" else "text")
    place = _place(path, path.parent.name, channel, ".".join(locale))
    if part not in PARTS[place[1]].values():
        raise StackError(f"{path}: {place[1]} has no {part}.")
    return place, part


def _place(path: Path, event: str, channel: str, locale: str) -> Place:
    try:
        return check_place(event, channel, locale)
    except InvalidInputError as error:
        raise StackError(f"{path}: its name does not say for what it is: {error}.") from None


def _add(found: Found, part: str, path: Path, partials: Mapping[str, str]) -> None:
    source = _read(path)
    if part in ("subject", "title"):
        source = source.strip()
    if path.suffix in HANDLEBARS:
        try:
            source = translated(source, partials)
        except HandlebarsError as error:
            raise StackError(f"{path}: {error}.") from None
    found.parts[part], found.files[part] = source, path


def _partials(folder: Path) -> dict[str, str]:
    below = folder / PARTIALS
    files = sorted(path for path in below.rglob("*") if path.suffix in HANDLEBARS) if below.is_dir() else []
    return {path.relative_to(below).with_suffix("").as_posix(): _read(path) for path in files}


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise StackError(f"{path}: is larger than {MOST_BYTES:,} bytes.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{path}: cannot be read ({type(error).__name__}).") from None
