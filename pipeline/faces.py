"""Finds and compiles the faces of notifications: HTML, Telegram's MarkdownV2 and plain text.

Every value that a template puts out is put into words and escaped for its face; a template cannot forget to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Template, TemplateSyntaxError, pass_eval_context
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.nodes import EvalContext
from jinja2.runtime import Macro
from markupsafe import Markup, escape

from config.catalogue import BASE, TEMPLATES
from pipeline import wording

DEFAULT: Final = "default"

_MARKDOWN: Final = {ord(character): "\\" + character for character in "_*[]()~`>#+-=|{}.!\\"}
_PLAIN: Final = (str, int, float, list, tuple, type(None))


def escape_markdown(text: str) -> str:
    """`text` with everything escaped that Telegram's MarkdownV2 gives a meaning; right in every context of it.

    Source: https://core.telegram.org/bots/api#markdownv2-style (any character up to code 126 may be escaped anywhere).
    """
    return text.translate(_MARKDOWN)


class _DataEnvironment(Environment):
    """Reads mappings by their keys only and plain values not at all, so `data.items` is the event's field `items`."""

    compiled: dict[str, Template]

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> Template:  # noqa: A002
        """Jinja's own cache puts new globals together at every look, which is a tenth of a rendering."""
        found = self.compiled.get(name)
        if found is None:
            found = self.compiled[name] = super().get_template(name, parent)
        return found

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Mapping):
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        if isinstance(obj, _PLAIN):
            return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            return obj[argument]
        except (AttributeError, TypeError, LookupError):
            return self.undefined(obj=obj, name=argument)


class _NoConcatenation(Extension):
    """Refuses ``a ~ b`` where it would be escaped as HTML although the face is none."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "tilde":
                raise TemplateSyntaxError("write {{ a }}{{ b }} instead of {{ a ~ b }}", token.lineno, stream.name)
            yield token


def _label(value: object) -> str:
    return wording.label(wording.words(value, 60))


def _words_for_html(value: object) -> object:
    return value if isinstance(value, Markup) else wording.words(value, 4000)


def _escaped(text: str) -> Markup:
    """Marks `text` as escaped for its face, so that macros and blocks do not escape it again."""
    return Markup(text)  # noqa: S704


# Taking the evaluation context keeps the compiler from folding constants, which it would escape as HTML.
@pass_eval_context
def _words_for_markdown(context: EvalContext, value: object) -> object:
    if isinstance(value, Markup):
        return value
    return _escaped(escape_markdown(wording.words(value, 1000)))


def _words_for_text(value: object) -> str:
    return wording.words(value, 4000)


def _markdown_link(text: object, url: str) -> Markup:
    return _escaped(f"[{escape_markdown(wording.words(text, 100))}]({escape_markdown(url)})")


def _broken_lines(value: object) -> Markup:
    text = wording.words(value, 4000)
    return Markup("<br>").join(escape(line) for line in text.split("\n")) if "\n" in text else escape(text)


def _environment(finalize: Any, *, autoescape: bool, extensions: tuple[type[Extension], ...] = ()) -> _DataEnvironment:
    environment = _DataEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=ChainableUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        extensions=extensions,
    )
    environment.filters |= {
        "facts": wording.facts,
        "label": _label,
        "lead": wording.lead,
        "listed": wording.listed,
        "moment": wording.moment,
        "money": wording.money,
        "more": wording.more,
        "number_of": wording.number_of,
        "rows": wording.rows,
        "said": wording.words,
    }
    environment.compiled = {}
    environment.globals["signs"] = wording.SIGNS
    return environment


def _with_parts(environment: Environment, name: str) -> Environment:
    """`environment` with the macros of a shared file, so that no template has to import them."""
    module = environment.get_template(f"{BASE}/{name}").module
    environment.globals |= {macro: value for macro, value in vars(module).items() if isinstance(value, Macro)}
    return environment


@cache
def _environments() -> dict[str, Environment]:
    html = _environment(_words_for_html, autoescape=True)
    html.filters["lines"] = _broken_lines
    markdown = _environment(_words_for_markdown, autoescape=True, extensions=(_NoConcatenation,))
    for name in ("e", "escape", "forceescape", "safe", "tojson", "urlize", "xmlattr"):
        del markdown.filters[name]  # they make HTML, or pass text on unescaped
    markdown.globals["link"] = _markdown_link
    text = _environment(_words_for_text, autoescape=False)
    return {
        "html": _with_parts(html, "parts.html"),
        "md": _with_parts(markdown, "parts.md"),
        "txt": _with_parts(text, "parts.txt"),
    }


@lru_cache(maxsize=4096)
def face(template: str, name: str) -> Template | None:
    """The compiled face `name` (``email.html``) of the folder `template`, or None when the folder has none.

    Raises:
        jinja2.TemplateSyntaxError: the template cannot be compiled.
    """
    if not (TEMPLATES / template / name).is_file():
        return None
    return _environments()[name.rpartition(".")[2]].get_template(f"{template}/{name}")


def face_or_default(template: str, name: str) -> Template:
    """The face `name` of the folder `template`, else the one that renders every event."""
    found = face(template, name) or face(DEFAULT, name)
    if found is None:
        raise LookupError(f"templates/{DEFAULT}/{name} is missing")
    return found


@lru_cache(maxsize=4096)
def link_text(template: str) -> str | None:
    """What the link to a notification says: ``link.txt`` of the folder, which is plain text and no template."""
    path = TEMPLATES / template / "link.txt"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def run(template: Template, values: Mapping[str, Any]) -> str:
    """`template` with `values`. Does what its `render` does, which takes twice as long for a short template."""
    shared = {**template.environment.globals, **values}
    return "".join(template.root_render_func(template.new_context(shared, shared=True)))


def every_face() -> Iterator[tuple[str, str]]:
    """Folder and name of every file below ``templates/``, what they share included."""
    for path in sorted(TEMPLATES.glob("*/*")):
        yield path.parent.name, path.name


def warm() -> None:
    """Compile every face: about 1 ms each. Done once before a worker forks, its children share them."""
    for template, name in every_face():
        if template != BASE:
            face(template, name)


def problems() -> list[str]:
    """One line for each template that cannot be compiled: ``ssl_failure/email.html:12: unexpected '}'``."""
    found = []
    for template, name in every_face():
        try:
            face(template, name)
        except TemplateSyntaxError as error:
            found.append(f"{error.name or f'{template}/{name}'}:{error.lineno}: {error.message}")
        except KeyError:
            found.append(f"{template}/{name}:1: is neither .html nor .md nor .txt")
    return found
