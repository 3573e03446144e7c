"""The page about tenants' own templates says what holds."""

from __future__ import annotations

from pathlib import Path

from api.template_examples import PATH
from pipeline.sandbox import MOST_CHARACTERS
from pipeline.sandbox_child import CPU_SECONDS, MEMORY
from pipeline.sandbox_pool import WALL_SECONDS
from pipeline.template_body import LONGEST
from tests.support.access import NEEDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own-templates.md").read_text(encoding="utf-8")


def test_every_call_is_named_with_the_role_that_it_needs() -> None:
    for address, need in NEEDS.items():
        method, _, path = address.partition(" ")
        if not path.startswith(PATH):
            continue
        shown = path.removeprefix(PATH) or ("/{channel}" if method != "GET" else path)
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{method} ") and f"{shown}`" in line), "")
        assert row.endswith(f"| {need.who} |"), address


def test_limits_are_those_that_are_kept() -> None:
    assert (
        f"at most {LONGEST['html']:,} characters, `text` {LONGEST['text']:,}, the others {LONGEST['title']:,}" in PAGE
    )
    assert (MOST_CHARACTERS, CPU_SECONDS, WALL_SECONDS, MEMORY) == (1_000_000, 0.5, 5.0, 128 * 2**20)
    for words in ("makes, a million", "128 MB beyond", "half a second of processor time", "five seconds by the clock"):
        assert words in PAGE
