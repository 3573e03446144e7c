"""What can be said of a template without filling it: names that nobody knows, and what is not allowed at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from jinja2 import meta, nodes

Flaw = tuple[int, str]
"""The line, and what is wrong there."""

Known = Mapping[str, Mapping[str, Any] | None]
"""The names that there are. Of each ``fields`` that are known of it and whether it is ``open`` to others; None: any."""

_LAYOUT: Final = "base"
_FUNCTIONS: Final = frozenset({"self", "super", "caller", "varargs", "kwargs", "loop"})
_MOST_WARNINGS: Final = 20


def checked(tree: nodes.Template, part: str, known: Known) -> tuple[Flaw | None, list[dict[str, Any]]]:
    """The first flaw by line, if there is one, and warnings: fields that no sample has, which may yet come."""
    flaws = [*_hidden(tree), *_elsewhere(tree), *_unknown_names(tree, known), *_unknown_fields(tree, known, False)]
    warnings = [{"part": part, "line": line, "reason": reason} for line, reason in _unknown_fields(tree, known, True)]
    return min(flaws, default=None), warnings[:_MOST_WARNINGS]


def _hidden(tree: nodes.Template) -> Iterator[Flaw]:
    """Names that begin with an underscore lead to what Python keeps behind values, and nowhere else."""
    for node, field in _fields(tree):
        if field.startswith("__"):
            yield node.lineno, f"names {field[:40]}, which templates may not"


def _elsewhere(tree: nodes.Template) -> Iterator[Flaw]:
    """Other files."""
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        named = getattr(node, "template", None)
        name = named.value if isinstance(named, nodes.Const) else None
        if not isinstance(name, str) or (name != _LAYOUT and not name.startswith(f"{_LAYOUT}/")):
            yield node.lineno, f"names a template that does not exist; there is only {_LAYOUT}"


def _unknown_names(tree: nodes.Template, known: Known) -> Iterator[Flaw]:
    missing = meta.find_undeclared_variables(tree) - known.keys() - _FUNCTIONS - _made_for_blocks(tree)
    of_data = (known.get("data") or {}).get("fields", ())
    for node in tree.find_all(nodes.Name):
        if node.name in missing:
            names = ", ".join(sorted(name for name, one in known.items() if one is not None))
            hint = f"write data.{node.name}" if node.name in of_data else f"there are {names}"
            yield node.lineno, f"names {node.name[:60]}, which is not known; {hint}"


def _made_for_blocks(tree: nodes.Template) -> set[str]:
    """What a template makes at its top; its blocks know it too, although Jinja lists it as undeclared."""
    made = {node.name for node in tree.body if isinstance(node, nodes.Macro)}
    for node in tree.body:
        if isinstance(node, nodes.Assign | nodes.AssignBlock):
            made |= {name.name for name in node.find_all(nodes.Name) if name.ctx == "store"}
    return made


def _unknown_fields(tree: nodes.Template, known: Known, are_open: bool) -> Iterator[Flaw]:
    """Fields of what is known that are not among its own; what the template itself gives that name to has any."""
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    for node, field in _fields(tree):
        owner = node.node.name if isinstance(node.node, nodes.Name) else ""
        described = None if owner in own else known.get(owner)
        if described is None or bool(described["open"]) is not are_open or not described["fields"]:
            continue
        if field not in described["fields"]:
            yield node.lineno, _no_field(owner, field, described["fields"], are_open)


def _no_field(owner: str, field: str, fields: Iterable[str], is_open: bool) -> str:
    if is_open:
        return f"names {owner}.{field[:60]}, which no sample has"
    return f"names {owner}.{field[:60]}, which is not known; there are {', '.join(sorted(fields))}"


def _fields(tree: nodes.Template) -> Iterator[tuple[Any, str]]:
    for node in tree.find_all(nodes.Getattr):
        yield node, node.attr
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            yield item, item.arg.value
