"""The white space that Handlebars leaves: what tildes ask for, and lines on which a tag stands alone.

Source: handlebars.js 4.7, lib/handlebars/compiler/whitespace-control.js.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.handlebars_nodes import Block, Content, Node, Partial, Tag


def control(body: list[Node], *, is_root: bool = False) -> None:
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
    control(block.body)
    if block.inverse is not None:
        control(block.inverse)
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
    space = previous.original[len(previous.original.rstrip()) :]
    return "\n" in space or (is_root and at < 2 and space == previous.original)


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
