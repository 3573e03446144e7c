"""Text that people wrote, read as Markdown: as safe HTML for an email, as plain text for everything else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from pipeline import wording
from pipeline.stylesheet import Stylesheet

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from nh3 import Cleaner

LONGEST: Final = 4000  # characters
_MOST_MARKS: Final = 400  # more is no prose, and only takes the parser milliseconds
_DEEPEST: Final = 12  # levels of lists and quotes: below 20 the parser leaves the words out

# What may be Markdown at all. The parser costs more than all the rest of a mail, so text without marks goes past it.
_MARKS: Final = re.compile(r"[*_`\[\\<]|^[ \t]{0,3}(?:[-+>#~]|\d{1,9}[.)])", re.MULTILINE)
_COUNTED: Final = "*_`[<\\"
_BLANK_LINES: Final = re.compile(r"\n[ \t]*\n\s*")
_LINKED: Final = re.compile(r"(?:https?://|mailto:)[^\s<>\"]+", re.IGNORECASE)
_UNUSED: Final = ("code", "lheading", "hr", "reference", "html_block", "html_inline", "entity")
_TAGS: Final = ("p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "a")


class Prose:
    """Makes HTML of Markdown. Its elements look like the classes ``prose-p``, ``prose-a`` ... of the stylesheet."""

    def __init__(self, stylesheet: Stylesheet) -> None:
        self._stylesheet = stylesheet
        self._html = lru_cache(maxsize=128)(self._made)  # an event is told to several people

    def html(self, value: object) -> Markup:
        """`value` as HTML of a few harmless elements; markup in it stays text, and no picture is loaded."""
        return self._html(wording.words(value, LONGEST))

    def _made(self, text: str) -> Markup:
        return Markup(self._cleaner.clean(_html(text)))  # noqa: S704

    @cached_property
    def _cleaner(self) -> Cleaner:
        """Lets nothing else through, whatever the parser makes of the text."""
        from nh3 import Cleaner

        looks = {tag: self._stylesheet.attributes(f"prose-{tag}") for tag in _TAGS}
        return Cleaner(
            tags=set(_TAGS),
            attributes={"a": {"href"}, "ol": {"start"}},
            set_tag_attribute_values={tag: look for tag, look in looks.items() if look},
            url_schemes={"http", "https", "mailto"},
            url_relative="deny",
            link_rel="noopener noreferrer nofollow",
        )


def unmarked(value: object) -> str:
    """`value` as plain text: what Markdown would show, without its marks."""
    return _unmarked(wording.words(value, LONGEST))


@lru_cache(maxsize=128)
def _unmarked(text: str) -> str:
    tokens = _tokens(text)
    return text if tokens is None else "\n".join(_lines(tokens, text.split("\n"))).strip() or text


def _html(text: str) -> str:
    tokens = _tokens(text)
    if tokens is None:
        return "".join(f"<p>{_broken(part)}</p>" for part in _BLANK_LINES.split(text.strip()) if part)
    parser = _parser()
    return str(parser.renderer.render(tokens, parser.options, {}))


def _broken(text: str) -> str:
    return str(escape(text)).replace("\n", "<br>")


def _tokens(text: str) -> list[Token] | None:
    """What `text` consists of; None when it holds no Markdown, or none that a person would write."""
    if not _MARKS.search(text) or sum(map(text.count, _COUNTED)) > _MOST_MARKS:
        return None
    tokens = _parser().parse(text)
    shown = any(token.content.strip() for token in tokens)
    return tokens if shown and all(token.level <= _DEEPEST for token in tokens) else None


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    """CommonMark without HTML, with line breaks where people typed them. It takes 0.1 s to import."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(_UNUSED)
    parser.core.ruler.push("addresses", _show_addresses)
    parser.add_render_rule("fence", lambda _, tokens, at, *__: f"<pre>{escape(tokens[at].content)}</pre>")
    return parser


def _show_addresses(state: Any) -> None:
    """Every link says where it leads, and so does a picture, which is not loaded. A heading is a bold paragraph."""
    for token in state.tokens:
        if token.type == "inline":
            token.children = list(_linked(token.children or []))
        elif token.type in ("heading_open", "heading_close"):
            token.tag = "p"
    for before, token in zip(state.tokens, state.tokens[1:], strict=False):
        if before.type == "heading_open":
            token.children = [_token("strong_open", "strong", 1), *token.children, _token("strong_close", "strong", -1)]


def _linked(tokens: list[Token]) -> Iterator[Token]:
    said, address = "", ""
    for token in tokens:
        if token.type == "image":
            yield _text(f"{token.content} ({_shown(token, 'src')})")
            continue
        if token.type == "link_open":
            said, address = "", str(token.attrGet("href") or "")
        if token.type not in ("link_open", "link_close") or _LINKED.fullmatch(address):
            said += token.content
            yield token
        if token.type == "link_close" and said.strip() not in (address, address.removeprefix("mailto:")):
            yield _text(f" ({wording.cut(address, 200)})")


def _shown(token: Token, name: str) -> str:
    return wording.cut(str(token.attrGet(name) or ""), 200)


def _text(content: str) -> Token:
    token = _token("text", "", 0)
    token.content = content
    return token


def _token(kind: str, tag: str, nesting: Any) -> Token:
    from markdown_it.token import Token

    return Token(kind, tag, nesting)


def _lines(tokens: list[Token], source: list[str]) -> Iterator[str]:
    """The lines of a text: items behind their bullet or number, quotes behind theirs, apart where they were apart."""
    bullet, before = "", [""]
    for token in tokens:
        if token.level == 0 and token.map and token.map[0] and not source[token.map[0] - 1].strip():
            yield ""
        if token.type == "list_item_open":
            bullet = f"{token.info}{token.markup} "
            before.append(" " * len(bullet))
        elif token.type == "blockquote_open":
            before.append("> ")
        elif token.type in ("list_item_close", "blockquote_close"):
            before.pop()
            bullet = ""
        elif token.type in ("inline", "fence"):
            for line in _said(token).split("\n"):
                yield "".join([*before[:-1], bullet or before[-1]]) + line
                bullet = ""


def _said(token: Token) -> str:
    if token.type == "fence":
        return token.content.rstrip("\n")
    return "".join("\n" if child.type.endswith("break") else child.content for child in token.children or ())
