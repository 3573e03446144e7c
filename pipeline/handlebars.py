"""Translates Handlebars into our templates, so that they say the same. Helpers of one's own cannot be translated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from pipeline.handlebars_nodes import Block, Comment, Content, HandlebarsError, Node, Partial, Tag
from pipeline.handlebars_tree import parse

__all__ = ["KNOWN", "HandlebarsError", "translated"]

KNOWN: Final = frozenset(
    (
        *("data", "event", "user", "brand", "tenant", "resolved", "title", "headline", "language", "more"),
        *("more_count", "link_url", "link_text", "unsubscribe_url", "acknowledge_url", "preferences_url", "short"),
    )
)
"""What is known by its own name; any other name is one of the event's `data`."""

MOST_NESTED: Final = 20  # partials in partials
MOST_PARTIALS: Final = 1_000  # written into one template; a few that name each other twice would come to millions

_BRACES: Final = re.compile(r"\{(?=[{%#])|\{\Z")
_WORDS: Final = re.compile(
    r"""\s*(?:(?P<bar>as\s*\|(?P<names>[^|]*)\|)|(?P<hash>[\w-]+)=(?P<value>"[^"]*"|'[^']*'|[^\s()]+)"""
    r"""|(?P<text>"[^"]*"|'[^']*')|(?P<call>\()|(?P<path>(?:\[[^\]]*\]|[^\s()\[\]|=])+))"""
)
_SEGMENT: Final = re.compile(r"\[([^\]]*)\]|([^./\[\]]+)")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_CONSTANTS: Final = {"true": "true", "false": "false", "null": "none", "undefined": "none"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where names are looked for.

    Attributes:
        this: the innermost value. `outer`: the scope that ``../`` means.
        loops: the loops around, the innermost last; ``@index`` is one of theirs.
        names: what ``as |name|`` has given names to.
    """

    this: str | None = None
    outer: Scope | None = None
    loops: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Call:
    """The words of a tag: a name, what follows it, and names for what a block gives."""

    name: str
    rest: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    names: tuple[str, ...]


def translated(source: str, partials: Mapping[str, str] | None = None) -> str:
    """A Handlebars template as one of ours.

    Args:
        partials: sources by name; they are written where they are used.

    Raises:
        HandlebarsError: with the line and what cannot be translated.
    """
    try:
        said = _Translator(partials or {}).nodes(parse(source.replace("\r\n", "\n")), Scope())
    except RecursionError:
        raise HandlebarsError(1, "the template is nested too deeply") from None
    return f"{said}{{{{ '' }}}}" if said.endswith("\n") else said


class _Translator:
    def __init__(self, partials: Mapping[str, str]) -> None:
        self._partials = partials
        self._count = 0
        self._within: tuple[str, ...] = ()
        self._included_so_far = 0

    def nodes(self, body: list[Node], scope: Scope) -> str:
        """What follows one another."""
        return "".join(self._node(node, scope) for node in body)

    def _node(self, node: Node, scope: Scope) -> str:
        match node:
            case Content():
                return _literally(node.value)
            case Comment():
                return ""
            case Partial():
                return self._partial(node, scope)
            case Block():
                return self._block(node, scope)
            case Tag():
                return self._value(node, scope)

    def _value(self, tag: Tag, scope: Scope) -> str:
        call = _call(tag)
        if call.name == "lookup" and len(call.rest) == 2:
            said = _looked_up(call, scope, tag.line)
        elif call.rest or call.options:
            raise HandlebarsError(tag.line, f"calls the helper {call.name}, which cannot be translated")
        else:
            said = _field(call.name, scope, tag.line)
        return f"{{{{ {said}|{'hbs_raw' if tag.raw else 'hbs'} }}}}"

    def _block(self, block: Block, scope: Scope) -> str:
        call, line = _call(block.open), block.open.line
        if call.name in ("if", "unless"):
            return self._condition(block, call, scope)
        if call.name in ("each", "with"):
            if len(call.rest) != 1:
                raise HandlebarsError(line, f"{call.name} takes one value")
            walked = f"{expression(call.rest[0], scope, line)}|hbs_{call.name}"
            return self._loop(block, walked, scope, call.names, counts=call.name == "each")
        if call.rest or call.options:
            raise HandlebarsError(line, f"calls the helper {call.name}, which cannot be translated")
        walked = f"{expression(call.name, scope, line)}|hbs_section({scope.this or 'data'})"
        return self._loop(block, walked, scope, call.names, counts=True)

    def _condition(self, block: Block, call: _Call, scope: Scope) -> str:
        line, options = block.open.line, dict(call.options)
        if len(call.rest) != 1 or options.keys() - {"includeZero"}:
            raise HandlebarsError(line, f"{call.name} takes one value")
        zero = "(true)" if options.get("includeZero") == "true" else ""
        asked = f"{expression(call.rest[0], scope, line)}|hbs_if{zero}"
        is_negated = (call.name == "unless") is not block.is_inverted
        start = f"{{%+ if {'not ' if is_negated else ''}{asked} +%}}{self.nodes(block.body, scope)}"
        otherwise = "" if block.inverse is None else f"{{%+ else +%}}{self.nodes(block.inverse, scope)}"
        return f"{start}{otherwise}{{%+ endif +%}}"

    def _loop(self, block: Block, walked: str, scope: Scope, names: tuple[str, ...], *, counts: bool) -> str:
        """`counts`: it is a loop of its own, with an index; ``#with`` leaves that of the loop around it."""
        self._count += 1
        entry = f"e{self._count}"
        given = tuple(zip(names, (f"{entry}.this", f"{entry}.key"), strict=False))
        loops = (*scope.loops, entry) if counts else scope.loops
        inner = Scope(f"{entry}.this", scope, loops, (*given, *scope.names))
        body = self.nodes(block.body, inner if not block.is_inverted else scope)
        inverse = self.nodes(block.inverse or [], scope if not block.is_inverted else inner)
        if block.is_inverted:
            body, inverse = inverse, body
        otherwise = f"{{%+ else +%}}{inverse}" if inverse else ""
        return f"{{%+ for {entry} in {walked} +%}}{body}{otherwise}{{%+ endfor +%}}"

    def _partial(self, partial: Partial, scope: Scope) -> str:
        call, line = _call(partial.tag), partial.tag.line
        name = _unquoted(call.name)
        if call.options or call.names or len(call.rest) > 1:
            raise HandlebarsError(line, f"gives the partial {name} values by name, which cannot be translated")
        if name not in self._partials:
            raise HandlebarsError(line, f"names the partial {name}, of which there is no file")
        if len(self._within) >= MOST_NESTED or name in self._within:
            raise HandlebarsError(line, f"the partial {name} is part of itself")
        self._included_so_far += 1
        if self._included_so_far > MOST_PARTIALS:
            raise HandlebarsError(line, f"more than {MOST_PARTIALS:,} partials are used")
        self._within = (*self._within, name)
        try:
            said = self._included(name, call, scope, line)
        except HandlebarsError as error:
            raise HandlebarsError(line, f"in the partial {name}: {error}") from None
        finally:
            self._within = self._within[:-1]
        if partial.indent:
            said = f"{{%+ filter hbs_indent({json.dumps(partial.indent)}) +%}}{said}{{%+ endfilter +%}}"
        return said

    def _included(self, name: str, call: _Call, scope: Scope, line: int) -> str:
        body = parse(self._partials[name].replace("\r\n", "\n"))
        if not call.rest:
            return self.nodes(body, replace(scope, names=()))
        self._count += 1
        entry = f"e{self._count}"
        inner = Scope(entry, scope, scope.loops)
        said = self.nodes(body, inner)
        return f"{{%+ for {entry} in [{expression(call.rest[0], scope, line)}] +%}}{said}{{%+ endfor +%}}"


def expression(path: str, scope: Scope, line: int) -> str:
    """What a path or constant is in our templates. Raises HandlebarsError."""
    if path[0] in "\"'":
        return json.dumps(path[1:-1], ensure_ascii=False)
    if _NUMBER.fullmatch(path) or path in _CONSTANTS:
        return _CONSTANTS.get(path, path)
    if path.startswith("@"):
        return _of_loop(path, scope, line)
    rest = path
    while (match := re.match(r"\.\.(?:/|$)", rest)) is not None:
        scope, rest = scope.outer or Scope("none"), rest[match.end() :]
    start = re.match(r"(?:this|\.)(?:[./]|$)", rest)
    if start is not None:
        return _below(scope.this or "data", rest[start.end() :], line)
    if not rest:
        return scope.this or "data"
    return _named(rest, scope, line)


def _field(name: str, scope: Scope, line: int) -> str:
    """What a tag of one word says; a constant by itself is the name of a field."""
    if name[0] in "\"'" or name in _CONSTANTS or _NUMBER.fullmatch(name):
        return _below(scope.this or "data", f"[{_unquoted(name)}]", line)
    return expression(name, scope, line)


def _named(path: str, scope: Scope, line: int) -> str:
    """A path that begins with a name."""
    first = _SEGMENT.match(path)
    if first is None:
        raise HandlebarsError(line, f"{path} cannot be read")
    name, rest = first[1] or first[2], path[first.end() :].lstrip("./")
    given = dict(scope.names).get(name)
    if given is not None:
        return _below(given, rest, line)
    if scope.this is None and name in KNOWN:
        return _below(name, rest, line)
    return _below(scope.this or "data", path, line)


def _below(value: str, path: str, line: int) -> str:
    """The field of `value` that `path` leads to."""
    at = 0
    while at < len(path):
        segment = _SEGMENT.match(path, at)
        if segment is None:
            raise HandlebarsError(line, f"{path} cannot be read")
        name = segment[1] if segment[1] is not None else segment[2]
        is_plain = _NAME.fullmatch(name) and not name.startswith("__") and name != "length"
        value = f"{value}.{name}" if is_plain else f"({value}|hbs_at({json.dumps(name, ensure_ascii=False)}))"
        at = segment.end()
        while at < len(path) and path[at] in "./":
            at += 1
    return value


def _of_loop(path: str, scope: Scope, line: int) -> str:
    """``@index``, ``@../key``, ``@root.a``."""
    name, loops = path[1:], scope.loops
    if name == "root" or name.startswith(("root.", "root/")):
        return expression(name[5:] or "this", Scope(), line)
    while name.startswith("../"):
        name, loops = name[3:], loops[:-1]
    if name not in ("index", "key", "first", "last"):
        raise HandlebarsError(line, f"{path} is not known; there are @index, @key, @first, @last and @root")
    return f"{loops[-1]}.{name}" if loops else "none"


def _looked_up(call: _Call, scope: Scope, line: int) -> str:
    value, key = (expression(one, scope, line) for one in call.rest)
    return f"{value}|hbs_at({key})"


def _call(tag: Tag) -> _Call:
    """The words of a tag. Raises HandlebarsError."""
    words, rest, options, names, at = tag.words, [], [], (), 0
    while at < len(words) and words[at:].strip():
        match = _WORDS.match(words, at)
        if match is None:
            raise HandlebarsError(tag.line, f"{words[at:][:40]} cannot be read")
        if match["call"]:
            raise HandlebarsError(tag.line, "calls a helper in brackets, which cannot be translated")
        if match["bar"]:
            names = tuple(match["names"].split())
        elif match["hash"]:
            options.append((match["hash"], match["value"]))
        else:
            rest.append(match["text"] or match["path"])
        at = match.end()
    if not rest:
        raise HandlebarsError(tag.line, "a tag says nothing")
    return _Call(rest[0], tuple(rest[1:]), tuple(options), names)


def _unquoted(name: str) -> str:
    return name[1:-1] if name[0] in "\"'" else name


def _literally(text: str) -> str:
    """`text` with braces that would be tags of ours put in as values."""
    return _BRACES.sub("{{ '{'|hbs_raw }}", text)
