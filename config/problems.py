"""Everything that is wrong with a catalogue file, in words, with the line: what `bellwire check` prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.catalogue import SHIPPED, parse_catalogue, parse_event_type, parse_route
from config.fields import Fields, check_list
from domain.errors import InvalidInputError

_INDEX: Final = re.compile(r"\[(\d+)\]")


def problems(path: Path = SHIPPED) -> list[str]:
    """One line for each problem, such as ``notifications.yaml:41: routes[3].channels[1]: must be one of ...``.

    An empty list means that the file can be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"]
    except yaml.YAMLError as error:
        return [f"{path}:{_yaml_line(error)}: is not YAML: {getattr(error, 'problem', None) or 'unreadable'}"]
    if root is None:
        return [f"{path}:1: is empty"]
    repeated = [f"{path}:{line}: {name} is here twice, and only the last would count" for name, line in _repeated(root)]
    found = sorted((_line(root, error.field), str(error)) for error in _errors(document))
    return repeated + [f"{path}:{line}: {words}" for line, words in dict.fromkeys(found)]


def _errors(document: object) -> Iterator[InvalidInputError]:
    """The first problem of each event type and of each route, then what only the whole shows."""
    try:
        fields = Fields(document, "", ("events", "routes"))
        routes = list(check_list(fields.raw("routes") or [], "routes"))
    except InvalidInputError as error:
        yield error
        return
    types = fields.raw("events") or {}
    if not isinstance(types, Mapping):
        yield InvalidInputError("events", "must be an object with named fields")
        return
    for name, body in types.items():
        yield from _caught(partial(parse_event_type, str(name), body, at=f"events.{name}"))
    for at, entry in routes:
        yield from _caught(partial(parse_route, _name(entry), entry, at=at))
        yield from _unmatched(entry, at, [str(name) for name in types])
    yield from _caught(partial(parse_catalogue, document))


def _caught(parse: Callable[[], object]) -> Iterator[InvalidInputError]:
    try:
        parse()
    except InvalidInputError as error:
        yield error


def _name(entry: object) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else ""


def _unmatched(entry: object, at: str, types: list[str]) -> Iterator[InvalidInputError]:
    match = entry.get("match") if isinstance(entry, Mapping) else None
    pattern = match.get("event") if isinstance(match, Mapping) else None
    if isinstance(pattern, str) and not any(fnmatchcase(name, pattern) for name in types):
        yield InvalidInputError(f"{at}.match.event", "matches no event type of the catalogue")


def _yaml_line(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark else 1


def _repeated(node: Node) -> Iterator[tuple[str, int]]:
    """Names that stand twice in one mapping: YAML would quietly keep the last."""
    if isinstance(node, SequenceNode):
        for entry in node.value:
            yield from _repeated(entry)
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value in seen:
                yield key.value, key.start_mark.line + 1
            seen.add(str(key.value))
            yield from _repeated(value)


def _line(root: Node, field: str) -> int:
    """The line on which `field` stands, or the nearest thing around it."""
    node, rest, line = root, field, root.start_mark.line
    while rest:
        step = _step(node, rest)
        if step is None:
            break
        node, rest, line = step
    return line + 1


def _step(node: Node, rest: str) -> tuple[Node, str, int] | None:
    """One step along `rest` ("routes[3].channels"): the node there, what remains of the way, and the line."""
    rest = rest.removeprefix(".")
    if isinstance(node, SequenceNode) and (found := _INDEX.match(rest)):
        index = int(found[1])
        if index < len(node.value):
            return node.value[index], rest[found.end() :], node.value[index].start_mark.line
    if isinstance(node, MappingNode):
        # Names may contain dots (order.created), so the longest one that fits is meant.
        for key, value in sorted(node.value, key=lambda pair: -len(str(pair[0].value))):
            name = str(key.value)
            if rest == name or rest.startswith((name + ".", name + "[")):
                return value, rest[len(name) :], key.start_mark.line
    return None
