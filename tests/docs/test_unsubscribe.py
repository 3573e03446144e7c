"""The page on unsubscribing says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.links import ACKNOWLEDGE_FOR
from pipeline.suppressions import STRENGTH

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "unsubscribe.md").read_text(encoding="utf-8")


def test_the_reasons_are_listed_by_their_strength() -> None:
    table = PAGE.split("## The suppression list", 1)[1].split("\n\n", 2)[1]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [reason.value for reason in STRENGTH]


def test_how_long_a_link_acknowledges_is_said() -> None:
    assert f"works for {ACKNOWLEDGE_FOR // 86400} days" in PAGE
