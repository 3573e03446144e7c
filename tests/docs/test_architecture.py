"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.states import MOVES, SENTENCES

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.mission("B-9")
def test_the_state_diagram_draws_exactly_the_moves_of_the_table() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", ARCHITECTURE, flags=re.MULTILINE))
    assert drawn == {(str(before), str(after)) for before, moves in MOVES.items() for after in moves}


def test_every_state_has_its_sentence_in_the_document() -> None:
    for state, sentence in SENTENCES.items():
        assert f"| `{state}` | {sentence} |" in ARCHITECTURE


@pytest.mark.parametrize("document", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda p: p.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_every_file_named_in_the_table_of_stages_exists() -> None:
    table = ARCHITECTURE.split("### The stages")[1].split("###")[0]
    for name in re.findall(r"`(\w+\.py)`", table):
        assert (ROOT / "pipeline" / name).exists(), name
