"""Reads Handlebars: the tree of a template, with the white space that Handlebars leaves.

Source: handlebars.js 4.7, lib/handlebars/compiler/whitespace-control.js and src/handlebars.l.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias


class HandlebarsError(Exception):
    """What cannot be read or translated. `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(slots=True)
class Content:
    """Text between tags. `original` is what it was before white space was taken away."""

    value: str
    original: str = ""
    left_stripped: bool = False
    right_stripped: bool = False

    def __post_init__(self) -> None:
        self.original = self.value


@dataclass(slots=True)
class Tag:
    """Something in braces. `opens`, `closes`: a tilde on that side; `sign`: what stands before its words, or nothing.

    `raw`: three braces.
    """

    line: int
    sign: str
    words: str
    opens: bool = False
    closes: bool = False
    raw: bool = False


@dataclass(slots=True)
class Block:
    """``{{#open}} body {{else}} inverse {{/close}}``. `chained`: the inverse is one ``{{else if}}``."""

    open: Tag
    body: list[Node]
    inverse: list[Node] | None = None
    otherwise: Tag | None = None
    close: Tag | None = None
    chained: bool = False
    is_inverted: bool = False


@dataclass(slots=True)
class Partial:
    """``{{> name}}``; `indent` is put before each of its lines."""

    tag: Tag
    indent: str = ""


@dataclass(slots=True)
class Comment:
    """Says nothing."""

    tag: Tag


Node: TypeAlias = Content | Tag | Block | Partial | Comment

_SHORT: Final = re.compile(r"\{\{(~)?!(?:--(?P<long>[\s\S]*?)--|[\s\S]*?)(~)?\}\}")
_TAG: Final = re.compile(r"""\{\{(~)?(\{|[#^/&>*]?[>*]?)((?:"[^"]*"|'[^']*'|\[[^\]]*\]|[^{}"'\[])*?)(\})?(~)?\}\}""")


def parse(source: str) -> list[Node]:
    """The tree of a template. Raises HandlebarsError."""
    reader = _Reader(_tokens(source))
    body = reader.body(None)
    _control(body, is_root=True)
    return body


def _tokens(source: str) -> list[Content | Tag]:
    """Text and tags in turn; comments have the sign ``!``."""
    found: list[Content | Tag] = []
    at, text = 0, ""
    while (start := source.find("{{", at)) >= 0:
        before = source[at:start]
        if before.endswith("\\") and not before.endswith("\\\\"):
            following = source.find("{{", start + 2)
            end = len(source) if following < 0 else following - (source[following - 1] == "\\")
            text += before[:-1] + source[start:end]
            at = end
            continue
        text += before[:-1] if before.endswith("\\\\") else before
        if text:
            found.append(Content(text))
        text = ""
        tag, at = _tag(source, start)
        found.append(tag)
    text += source[at:]
    return [*found, Content(text)] if text else found


def _tag(source: str, start: int) -> tuple[Tag, int]:
    line = source.count("\n", 0, start) + 1
    if source.startswith("{{{{", start):
        raise HandlebarsError(line, "raw blocks cannot be translated")
    comment = _SHORT.match(source, start)
    if comment is not None:
        return Tag(line, "!", "", bool(comment[1]), bool(comment[3])), comment.end()
    match = _TAG.match(source, start)
    if match is None or (match[2] == "{") != bool(match[4]):
        raise HandlebarsError(line, "a tag is not closed, or holds what none may")
    sign = "" if match[2] == "{" else match[2]
    return Tag(line, sign, match[3].strip(), bool(match[1]), bool(match[5]), match[2] in ("{", "&")), match.end()


class _Reader:
    """Puts blocks around what is in them."""

    def __init__(self, tokens: list[Content | Tag]) -> None:
        self._tokens = tokens
        self._at = 0

    def body(self, inside: Tag | None) -> list[Node]:
        """Nodes up to the tag that ends them, which is left to be taken."""
        found: list[Node] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if isinstance(token, Tag) and _ends(token):
                if inside is None:
                    raise HandlebarsError(token.line, f"{{{{{token.sign}{token.words}}}}} belongs to no block")
                return found
            self._at += 1
            found.append(token if isinstance(token, Content) else self._node(token))
        if inside is not None:
            raise HandlebarsError(inside.line, f"{{{{#{inside.words}}}}} is never closed")
        return found

    def _node(self, tag: Tag) -> Node:
        match tag.sign:
            case "" | "&":
                return tag
            case "!":
                return Comment(tag)
            case ">":
                return Partial(tag)
            case "#" | "^":
                return self._block(tag)
            case _:
                raise HandlebarsError(tag.line, f"{{{{{tag.sign} cannot be translated")

    def _block(self, tag: Tag) -> Block:
        block = Block(tag, self.body(tag), is_inverted=tag.sign == "^")
        ending = self._take()
        if ending.sign != "/":
            block.otherwise = ending
            block.inverse, block.chained = self._inverse(ending, tag)
            ending = self._take()
        name = tag.words.split()[0]
        if ending.sign != "/" or ending.words != name:
            raise HandlebarsError(ending.line, f"{{{{{ending.sign}{ending.words}}}}} does not close {{{{#{name}}}}}")
        block.close = ending
        return block

    def _inverse(self, ending: Tag, outer: Tag) -> tuple[list[Node], bool]:
        """``{{else}}``, or ``{{else if x}}`` as a block of its own that ends where the outer one does."""
        words = ending.words.removeprefix("else").strip()
        if not words:
            return self.body(outer), False
        inner = Block(Tag(ending.line, "#", words, ending.opens, ending.closes), self.body(outer))
        following = self._tokens[self._at]
        assert isinstance(following, Tag)
        if following.sign != "/":
            self._at += 1
            inner.otherwise = following
            inner.inverse, inner.chained = self._inverse(following, outer)
            following = self._tokens[self._at]
            assert isinstance(following, Tag)
        inner.close = following
        return [inner], True

    def _take(self) -> Tag:
        token = self._tokens[self._at]
        assert isinstance(token, Tag)
        self._at += 1
        return token


def _ends(tag: Tag) -> bool:
    if tag.sign == "/":
        return True
    return (tag.sign == "" and not tag.raw and bool(re.match(r"else(\s|$)", tag.words))) or (
        tag.sign == "^" and not tag.words
    )


def _control(body: list[Node], *, is_root: bool = False) -> None:
    """Take away the white space that tildes ask for, and that of lines on which a tag stands alone."""
    for at, node in enumerate(body):
        strip = _strip(node)
        if strip is None:
            continue
        before, after = _white_before(body, at, is_root), _white_after(body, at, is_root)
        if strip.close:
            _omit_right(body, at, all_of_it=True)
        if strip.open:
            _omit_left(body, at, all_of_it=True)
        if strip.inline and before and after:
            _omit_right(body, at)
            if _omit_left(body, at) and isinstance(node, Partial):
                previous = body[at - 1]
                assert isinstance(previous, Content)
                node.indent = previous.original[len(previous.original.rstrip(" \t")) :]
        if isinstance(node, Block) and strip.open_alone and before:
            _omit_right(node.body, None)
            _omit_left(body, at)
        if isinstance(node, Block) and strip.close_alone and after:
            _omit_right(body, at)
            _omit_left(node.body if node.inverse is None else node.inverse, None)


@dataclass(slots=True)
class _Strip:
    open: bool = False
    close: bool = False
    inline: bool = False
    open_alone: bool = False
    close_alone: bool = False


def _strip(node: Node) -> _Strip | None:
    if isinstance(node, Content):
        return None
    if isinstance(node, Tag):
        return _Strip(node.opens, node.closes)
    if isinstance(node, Block):
        return _strip_block(node)
    return _Strip(node.tag.opens, node.tag.closes, inline=True)


def _strip_block(block: Block) -> _Strip:
    _control(block.body)
    if block.inverse is not None:
        _control(block.inverse)
    first = last = block.inverse
    if block.chained and first is not None:
        inner = first[0]
        assert isinstance(inner, Block)
        first = last = inner.body
    assert block.close is not None
    strip = _Strip(
        block.open.opens,
        block.close.closes,
        open_alone=_white_after(block.body, -1, False),
        close_alone=_white_before(block.body if first is None else first, None, False),
    )
    if block.open.closes:
        _omit_right(block.body, None, all_of_it=True)
    if first is None or last is None or block.otherwise is None:
        if block.close.opens:
            _omit_left(block.body, None, all_of_it=True)
        return strip
    if block.otherwise.opens:
        _omit_left(block.body, None, all_of_it=True)
    if block.otherwise.closes:
        _omit_right(first, None, all_of_it=True)
    if block.close.opens:
        _omit_left(last, None, all_of_it=True)
    if _white_before(block.body, None, False) and _white_after(first, -1, False):
        _omit_left(block.body, None)
        _omit_right(first, None)
    return strip


def _white_before(body: list[Node], at: int | None, is_root: bool) -> bool:
    at = len(body) if at is None else at
    if at < 1:
        return is_root
    previous = body[at - 1]
    if not isinstance(previous, Content):
        return False
    alone = r"\r?\n\s*?$" if at >= 2 or not is_root else r"(^|\r?\n)\s*?$"
    return re.search(alone.replace("$", r"\Z"), previous.original) is not None


def _white_after(body: list[Node], at: int, is_root: bool) -> bool:
    if at + 1 >= len(body):
        return is_root
    following = body[at + 1]
    if not isinstance(following, Content):
        return False
    alone = r"\s*?\r?\n" if at + 2 < len(body) or not is_root else r"\s*?(\r?\n|\Z)"
    return re.match(alone, following.original) is not None


def _omit_right(body: list[Node], at: int | None, *, all_of_it: bool = False) -> None:
    index = 0 if at is None else at + 1
    node = body[index] if index < len(body) else None
    if not isinstance(node, Content) or (not all_of_it and node.right_stripped):
        return
    kept = node.value.lstrip() if all_of_it else re.sub(r"\A[ \t]*\r?\n?", "", node.value)
    node.right_stripped, node.value = kept != node.value, kept


def _omit_left(body: list[Node], at: int | None, *, all_of_it: bool = False) -> bool:
    index = len(body) - 1 if at is None else at - 1
    node = body[index] if 0 <= index < len(body) else None
    if not isinstance(node, Content) or (not all_of_it and node.left_stripped):
        return False
    kept = node.value.rstrip() if all_of_it else node.value.rstrip(" \t")
    node.left_stripped, node.value = kept != node.value, kept
    return node.left_stripped
