"""The house stands as it was drawn: imports run downwards, names are ours, tests are real."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.support.mission import marks

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def test_imports_run_only_downwards() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run((lint, "--no-cache"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_installed_distribution_owns_one_of_our_package_names() -> None:
    owners = packages_distributions()
    assert {room: owners[room] for room in ROOMS if set(owners.get(room, [])) - {"bellwire"}} == {}


def test_every_room_is_in_the_import_contract() -> None:
    drawn = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    assert {room.strip() for floor in drawn for room in floor.split("|")} == set(ROOMS)
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(ROOMS)


def test_every_mission_mark_names_an_id_of_the_checklist() -> None:
    assert [id_ for id_ in marks() if not re.fullmatch(r"[A-F]-[1-9]\d?", id_)] == []


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_puts_nothing_in_the_place_of_the_code_that_it_tests(path: Path) -> None:
    found = [ast.unparse(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _is_mock(node)]
    assert found == []


def _is_mock(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any("mock" in alias.name for alias in node.names) or "mock" in (getattr(node, "module", "") or "")
    return isinstance(node, ast.Attribute) and node.attr == "setattr"


def test_no_two_tests_of_a_file_have_the_same_name() -> None:
    """The second would replace the first, which nobody would notice."""
    for path in TESTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert sorted(names) == sorted(set(names)), path
