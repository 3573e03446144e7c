"""Finds and compiles the faces of notifications: HTML, Telegram's MarkdownV2, WhatsApp's marks and plain text.

Every value that a template puts out is put into words and escaped for its face; a template cannot forget to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final

from jinja2 import (
    BaseLoader,
    ChainableUndefined,
    Environment,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    nodes,
    pass_eval_context,
)
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension, InternationalizationExtension
from jinja2.lexer import Token, TokenStream
from jinja2.nodes import EvalContext
from jinja2.runtime import Macro
from markupsafe import Markup, escape

from config.catalogue import BASE, TEMPLATES
from pipeline import whatsapp, wording
from pipeline.days import days, time_left
from pipeline.fit import share_of
from pipeline.language import ENGLISH, Language, Languages
from pipeline.prose import Prose, unmarked
from pipeline.sentences import FOR_TEMPLATES
from pipeline.stylesheet import StyledLoader, Stylesheet

DEFAULT: Final = "default"

_MARKDOWN: Final = {ord(character): "\\" + character for character in "_*[]()~`>#+-=|{}.!\\"}
_PLAIN: Final = (str, int, float, list, tuple, type(None))


def escape_markdown(text: str) -> str:
    """`text` with everything escaped that Telegram's MarkdownV2 gives a meaning; right in every context of it.

    Source: https://core.telegram.org/bots/api#markdownv2-style (any character up to code 126 may be escaped anywhere).
    """
    return text.translate(_MARKDOWN)


class _Code(CodeGenerator):
    """Calls what translates directly: Jinja's `context.call` looks at every function anew and costs as much again."""

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: N802
        called = node.node.name if isinstance(node.node, nodes.Name) else ""
        unusual = node.dyn_args or node.dyn_kwargs or any(iskeyword(argument.key) for argument in node.kwargs)
        if called not in FOR_TEMPLATES or unusual:
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        self.write(f"environment.translating[{called!r}](")
        for argument in (*node.args, *node.kwargs):
            self.visit(argument, frame)
            self.write(", ")
        self.write(")")


class _DataEnvironment(Environment):
    """Reads mappings by their keys only and plain values not at all, so `data.items` is the event's field `items`."""

    code_generator_class = _Code
    translating = FOR_TEMPLATES
    compiled: dict[str, Template]
    newstyle_gettext: bool

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


def _kind(value: object) -> str:
    return wording.kind(wording.words(value, 60))


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


@pass_eval_context
def _words_for_whatsapp(context: EvalContext, value: object) -> object:
    return value if isinstance(value, Markup) else _escaped(whatsapp.escape(wording.words(value, 1000)))


def _words_for_text(value: object) -> str:
    return wording.words(value, 4000)


def _markdown_link(text: object, url: str) -> Markup:
    return _escaped(f"[{escape_markdown(wording.words(text, 100))}]({escape_markdown(url)})")


def _whatsapp_link(text: object, url: str) -> Markup:
    return _escaped(f"{whatsapp.escape(wording.words(text, 100))}: {whatsapp.escape(url)}")


def _broken_lines(value: object) -> Markup:
    text = wording.words(value, 4000)
    return Markup("<br>").join(escape(line) for line in text.split("\n")) if "\n" in text else escape(text)


def _environment(
    loader: BaseLoader, finalize: Any, *, autoescape: bool, extensions: tuple[type[Extension], ...] = ()
) -> _DataEnvironment:
    environment = _DataEnvironment(
        loader=loader,
        autoescape=autoescape,
        undefined=ChainableUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        extensions=(InternationalizationExtension, *extensions),
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.newstyle_gettext = True
    environment.globals |= FOR_TEMPLATES
    environment.filters |= {
        "days": days,
        "facts": wording.facts,
        "grouped": wording.grouped,
        "kind": _kind,
        "label": _label,
        "lead": wording.lead,
        "listed": wording.listed,
        "moment": wording.moment,
        "money": wording.money,
        "more": wording.more,
        "number_of": wording.number_of,
        "rows": wording.rows,
        "said": wording.words,
        "share_of": share_of,
        "time_left": time_left,
        "unmarked": unmarked,
    }
    environment.compiled = {}
    environment.globals["signs"] = wording.SIGNS
    return environment


def _with_parts(environment: Environment, name: str) -> Environment:
    """`environment` with the macros of a shared file, so that no template has to import them."""
    module = environment.get_template(f"{BASE}/{name}").module
    environment.globals |= {macro: value for macro, value in vars(module).items() if isinstance(value, Macro)}
    return environment


def _html(loader: BaseLoader, stylesheet: Stylesheet) -> Environment:
    html = _environment(loader, _words_for_html, autoescape=True)
    html.filters |= {"lines": _broken_lines, "markdown": Prose(stylesheet).html}
    return _with_parts(html, "parts.html")


def _telegram(loader: BaseLoader) -> Environment:
    markdown = _marked(loader, _words_for_markdown)
    markdown.globals["link"] = _markdown_link
    return _with_parts(markdown, "parts.md")


def _whatsapp(loader: BaseLoader) -> Environment:
    marked = _marked(loader, _words_for_whatsapp)
    marked.globals["link"] = _whatsapp_link
    return _with_parts(marked, "parts.txt")


def _text(loader: BaseLoader) -> Environment:
    return _with_parts(_environment(loader, _words_for_text, autoescape=False), "parts.txt")


def _marked(loader: BaseLoader, finalize: Any) -> Environment:
    """For faces with marks of their own, escaped as those need it."""
    environment = _environment(loader, finalize, autoescape=True, extensions=(_NoConcatenation,))
    for name in ("e", "escape", "forceescape", "safe", "tojson", "urlize", "xmlattr"):
        del environment.filters[name]  # they make HTML, or pass text on unescaped
    return environment


def kind_of(name: str) -> str:
    """Which environment renders the file `name`."""
    face, _, rest = name.partition(".")
    kind = rest.rpartition(".")[2]
    return "whatsapp" if face == "whatsapp" and kind == "txt" else kind


class Faces:
    """The templates below one folder, compiled when they are first used and kept for the life of the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.languages = Languages(folder)
        self._found: dict[tuple[str, str], Template | None] = {}
        self._nearest: dict[tuple[str, str, tuple[str, ...]], Template | None] = {}
        self._link_texts: dict[str, str | None] = {}

    @cached_property
    def environments(self) -> dict[str, Environment]:
        """What compiles and renders, by the kind of face: ``html``, ``md`` (Telegram), ``whatsapp``, ``txt``."""
        stylesheet = Stylesheet.below(self.folder / BASE)
        loader = StyledLoader(self.folder, stylesheet)
        return {
            "html": _html(loader, stylesheet),
            "md": _telegram(loader),
            "whatsapp": _whatsapp(loader),
            "txt": _text(loader),
        }

    def face(self, template: str, name: str, language: Language = ENGLISH) -> Template | None:
        """The compiled face `name` (``email.html``) of `template`, or None when its folder has none.

        One that is written for a language (``email.de.html``) comes before the one that is translated into it.

        Raises:
            jinja2.TemplateSyntaxError: it cannot be compiled.
        """
        key = template, name, language.faces
        if key not in self._nearest:
            stem, _, ending = name.rpartition(".")
            names = [*(f"{stem}.{locale}.{ending}" for locale in language.faces), name]
            self._nearest[key] = next((found for each in names if (found := self._face(template, each))), None)
        return self._nearest[key]

    def _face(self, template: str, name: str) -> Template | None:
        key = template, name
        if key not in self._found:
            exists = (self.folder / template / name).is_file()
            environment = self.environments[kind_of(name)]
            self._found[key] = environment.get_template(f"{template}/{name}") if exists else None
        return self._found[key]

    def face_or_default(self, template: str, name: str, language: Language = ENGLISH) -> Template:
        """The face `name` of `template`, else the one that renders every event."""
        found = self.face(template, name, language) or self.face(DEFAULT, name, language)
        if found is None:
            raise TemplateNotFound(f"{DEFAULT}/{name}")
        return found

    def link_text(self, template: str) -> str | None:
        """What the link to a notification says: ``link.txt`` of the folder, which is plain text and no template."""
        if template not in self._link_texts:
            path = self.folder / template / "link.txt"
            self._link_texts[template] = path.read_text(encoding="utf-8").strip() if path.is_file() else None
        return self._link_texts[template]

    def warm(self) -> None:
        """Compile every face, about 1 ms each, and read every catalogue, some 10 ms each.

        Done once before a worker forks: its children share them.
        """
        for template, name in self._every():
            self._face(template, name)
        for locale in self.languages.known():
            self.languages.of(locale, None)
        unmarked("*")  # loads the parser

    def problems(self) -> list[str]:
        """One line for each template that cannot be compiled: ``ssl_failure/email.html:12: unexpected '}'``."""
        found = []
        for template, name in self._every():
            try:
                self._face(template, name)
            except TemplateSyntaxError as error:
                found.append(f"{error.name or f'{template}/{name}'}:{error.lineno}: {error.message}")
            except KeyError:
                found.append(f"{template}/{name}:1: is neither .html nor .md nor .txt")
        return found

    def _every(self) -> list[tuple[str, str]]:
        files = sorted(path for path in self.folder.glob("*/*") if path.is_file() and path.suffix != ".css")
        return [(path.parent.name, path.name) for path in files]


SHIPPED: Final = Faces(TEMPLATES)


def run(template: Template, values: Mapping[str, Any]) -> str:
    """`template` with `values`. Does what its `render` does, which takes twice as long for a short template."""
    shared = {**template.environment.globals, **values}
    return "".join(template.root_render_func(template.new_context(shared, shared=True)))
