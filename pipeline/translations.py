"""Gathers every sentence that can be translated, keeps the catalogues of the languages in step, says what is wrong.

`make messages` runs it: what is new gets an empty translation, what is no longer said goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, nodes
from jinja2.ext import extract_from_ast

from config.catalogue import shipped
from config.demo import sample_events
from domain.vocabulary import CHANNELS, Priority, Severity
from pipeline.faces import SHIPPED, Faces, kind_of
from pipeline.language import CATALOGUE, candidates, read, sentences
from pipeline.wording import label

if TYPE_CHECKING:
    from babel.messages import Catalog, Message

Found = tuple[str, str | tuple[str, ...], str | None]
"""Where it stands, what is said (singular and plural where it has both), and its context."""

ROOT: Final = Path(__file__).resolve().parents[1]

_CALLS: Final = ("_", "gettext", "ngettext", "pgettext", "npgettext")
_IN_CODE: Final[dict[str, Any]] = {"gettext": None, "ngettext": (1, 2), "sentence": None}
_PLACES: Final = re.compile(r"%\(\w+\)s|%%|\{[\w.]+\}")
_HEADER: Final = """\
# What Bellwire says in {name}. `make messages` adds what is new; docs/templates.md says how it is translated.
msgid ""
msgstr ""
"Language: {locale}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plural_forms}\\n"

"""


def every(faces: Faces = SHIPPED) -> Iterator[Found]:
    """Every sentence of templates, links, code and catalogue, and the labels that people see most."""
    for path in sorted(path for path in faces.folder.glob("*/*") if path.is_file() and path.suffix != ".css"):
        at = f"templates/{path.relative_to(faces.folder).as_posix()}"
        source = path.read_text(encoding="utf-8")
        if path.name.split(".")[0] == "link":
            yield at, source.strip(), None
        else:
            yield from (
                (at, said, context) for said, context in said_in(faces.environments[kind_of(path.name)], source)
            )
    for path in sorted(ROOT.glob("api/pages/*.html")):
        html = said_in(faces.environments["html"], path.read_text(encoding="utf-8"))
        yield from ((f"api/pages/{path.name}", said, context) for said, context in html)
    yield from _of_code()
    for event_type in shipped().event_types.values():
        if event_type.title:
            yield "config/notifications.yaml", event_type.title, None
    yield from (("labels", said, None) for said in sorted(_labels()))


def said_in(environment: Environment, source: str) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    """What a template says: each sentence, singular and plural where it has both, and its context."""
    tree = environment.parse(source)
    for _, function, said in extract_from_ast(tree, _CALLS):
        texts = [text for text in (said if isinstance(said, tuple) else (said,)) if text is not None]
        context = texts.pop(0) if function in ("pgettext", "npgettext") else None
        yield (texts[0] if len(texts) == 1 else tuple(texts[:2])), context
    for filter_ in tree.find_all(nodes.Filter):
        if filter_.name == "number_of" and filter_.args and isinstance(filter_.args[0], nodes.Const):
            noun = filter_.args[0].value
            yield (f"%(num)s {noun}", f"%(num)s {noun}s"), None


def gathered(faces: Faces = SHIPPED, locale: str | None = None) -> Catalog:
    """An empty catalogue of every sentence."""
    from babel.messages import Catalog

    catalogue = Catalog(locale=locale, fuzzy=False)
    for at, said, context in every(faces):
        catalogue.add(said, locations=[(at, 1)], context=context)
    return catalogue


def updated(path: Path, faces: Faces = SHIPPED) -> bytes:
    """The catalogue in `path` with the sentences of today; what it says already stays.

    Raises:
        ValueError: it cannot be read, or its folder has the name of no locale.
    """
    from babel import Locale
    from babel.messages.pofile import write_po

    locale = Locale.parse(path.parent.name)
    catalogue = gathered(faces, path.parent.name)
    if path.is_file():
        catalogue = read(path)
        catalogue.update(gathered(faces), no_fuzzy_matching=True, update_header_comment=False)
    header = _HEADER.format(name=locale.english_name, locale=locale, plural_forms=catalogue.plural_forms)
    body = BytesIO()
    write_po(body, catalogue, 100, omit_header=True, sort_output=True, ignore_obsolete=True, include_lineno=False)
    return header.encode() + body.getvalue()


def problems(faces: Faces = SHIPPED) -> list[str]:
    """One line for each catalogue or translation that cannot be used, such as ``locale/de/messages.po:12: ...``."""
    return [
        f"{path.relative_to(faces.folder).as_posix()}:{line}: {said}"
        for path in sorted(faces.languages.folder.glob(f"*/{CATALOGUE}"))
        for line, said in _wrong(path)
    ]


def _wrong(path: Path) -> Iterator[tuple[int, str]]:
    name = path.parent.name
    known = candidates(name)
    if name not in known:
        yield (
            1,
            f"no locale is called {name}" if not known else f"nobody looks here; the folder must be called {known[0]}",
        )
    try:
        catalogue = read(path)
        sentences(catalogue)
    except ValueError as error:
        line, _, said = str(error).removeprefix(f"{path}:").partition(": ")
        yield (int(line), said) if line.isdigit() else (1, str(error))
        return
    for message in catalogue:
        if message.id and not message.fuzzy:
            yield from ((message.lineno or 1, said) for said in _wrong_places(message))


def _wrong_places(message: Message) -> Iterator[str]:
    """A translation must name what the sentence names: nothing else is there, and nothing should be lost."""
    english = _each(message.id)
    allowed = set[str]().union(*map(_places, english))
    for index, said in enumerate(_each(message.string)):
        if not said:
            continue
        needed = _places(english[min(index, len(english) - 1)]) - {"%(num)s", "%(count)s"}
        if missing := sorted(needed - _places(said)):
            yield f"leaves out {', '.join(missing)}"
        if unknown := sorted(_places(said) - allowed):
            yield f"names {', '.join(unknown)}, which the sentence does not"


def _each(said: Any) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


def _places(said: str) -> set[str]:
    return set(_PLACES.findall(said))


def _of_code() -> Iterator[Found]:
    from babel.messages.extract import extract

    for path in sorted(each for room in ("api", "pipeline") for each in ROOT.glob(f"{room}/*.py")):
        source = path.read_bytes()
        if any(f"{name}(".encode() in source for name in _IN_CODE):
            for _, said, _, _ in extract("python", BytesIO(source), _IN_CODE):
                yield path.relative_to(ROOT).as_posix(), said, None


def _labels() -> Iterable[str]:
    """Names of fields, types, groups, channels and levels."""
    types = shipped().event_types.values()
    fields = {name for event_type in types for name in (*event_type.key, *event_type.secret)}
    for sample in sample_events():
        listed = shipped().event_types.get(sample["type"])
        if listed is None or listed.template == "default":
            fields |= sample["data"].keys()
        fields |= {key for value in sample["data"].values() if isinstance(value, dict) for key in value}
    return {
        label(name)
        for name in (*fields, *(one.name for one in types), *shipped().groups, *CHANNELS, *Severity, *Priority)
    }


def main() -> None:
    """Bring every catalogue up to date."""
    for path in sorted(SHIPPED.languages.folder.glob(f"*/{CATALOGUE}")):
        path.write_bytes(updated(path))
        catalogue = read(path)
        untranslated = [message for message in catalogue if message.id and not all(_each(message.string))]
        print(f"{path}: {len(catalogue)} sentences, {len(untranslated)} to be translated")


if __name__ == "__main__":
    main()
