"""The table of the audit's actions holds every action that is recorded, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ROOMS = ("api", "pipeline", "tasks", "workers")
RECORDERS = {"record", "_record", "_changed", "_note"}


def recorded() -> set[str]:
    """What is given to `pipeline.audit.record` anywhere, straight or through a function of the file's own."""
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    sources = [path.read_text(encoding="utf-8") for path in paths]
    trees = [ast.parse(source) for source in sources if "from pipeline.audit import record" in source]
    texts = {text for tree in trees for place in places(tree) for text in texts_in(place)}
    return {text for text in texts if re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}


def places(tree: ast.AST) -> Iterator[ast.AST]:
    """Where an action may be written down: the arguments of a recorder, and what is called `action`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RECORDERS:
            yield from (*node.args, *(word.value for word in node.keywords if word.arg == "action"))
        elif isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) for one in map(named, node.targets)):
            yield node.value
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            yield from (value for key, value in zip(keys, node.values, strict=True) if key == "action")


def named(target: ast.expr) -> ast.expr | None:
    """The part of an assignment's left side that is called `action`."""
    return next((part for part in ast.walk(target) if isinstance(part, ast.Name) and part.id == "action"), None)


def texts_in(place: ast.AST) -> Iterator[str]:
    """The literal texts in a part of a program."""
    for node in ast.walk(place):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_page_lists_every_action_and_no_other() -> None:
    section = PAGE.split("\n## Who did what\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = [action for row in rows for action in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)]
    assert len(listed) == len(set(listed))
    assert set(listed) == recorded()
