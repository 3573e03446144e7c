"""Which tests prove which ids of the mission's checklist: `python -m tests.support.mission` lists them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def marks() -> dict[str, list[str]]:
    """The tests by the ids that they are marked with; a mark on a single case counts for its test."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, id_ in _marked(ast.parse(path.read_text(encoding="utf-8"))):
            tests = found.setdefault(id_, [])
            test = f"{path.relative_to(TESTS)}::{name}"
            if test not in tests:
                tests.append(test)
    return dict(sorted(found.items(), key=lambda one: _order(one[0])))


def _marked(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        name = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else "the whole file"
        searched = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else [node]
        for call in (inner for part in searched for inner in ast.walk(part)):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.mission":
                for argument in call.args:
                    yield name, str(argument.value) if isinstance(argument, ast.Constant) else ast.unparse(argument)


def _order(id_: str) -> tuple[str, int]:
    letter, _, number = id_.partition("-")
    return letter, int(number) if number.isdigit() else 0


if __name__ == "__main__":
    for id_, tests in marks().items():
        print(id_)
        for test in tests:
            print(f"    {test}")
