"""Reads Handlebars: the tree of a template, with the white space that Handlebars leaves.

Source: handlebars.js 4.7, src/handlebars.l and src/handlebars.yy.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.handlebars_nodes import Block, Comment, Content, HandlebarsError, Node, Partial, Tag
from pipeline.handlebars_space import control

_SHORT: Final = re.compile(r"\{\{(~)?!(?:--(?P<long>[\s\S]*?)--|[\s\S]*?)(~)?\}\}")
_TAG: Final = re.compile(r"""\{\{(~)?(\{|[#^/&>*]?[>*]?)((?:"[^"]*"|'[^']*'|\[[^\]]*\]|[^{}"'\[])*?)(\})?(~)?\}\}""")


def parse(source: str) -> list[Node]:
    """The tree of a template. Raises HandlebarsError."""
    reader = _Reader(_tokens(source))
    body = reader.body(None)
    control(body, is_root=True)
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
        if not tag.words:
            raise HandlebarsError(tag.line, f"{{{{{tag.sign}}}}} opens no block")
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
