"""The page on preferences names the errors that are answered, and describes every field."""

from __future__ import annotations

import re
from pathlib import Path

from api.examples import PREFERENCES
from api.preferences import CODES, NOT_FETCHED, NOT_UPDATED
from pipeline.preference_changes import CADENCES, MOST_ENTRIES

PAGE = (Path(__file__).parents[2] / "docs" / "preferences.md").read_text(encoding="utf-8")


def test_the_page_lists_every_code() -> None:
    listed = set(re.findall(r"`((?:notifications_m|bellwire)\.\w+)`", PAGE))
    assert listed == {*CODES.values(), NOT_FETCHED[0], NOT_UPDATED[0], "bellwire.invalid_input", "bellwire.not_found"}


def test_the_page_describes_every_field() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == list(PREFERENCES[0])


def test_the_page_has_the_cadences_and_the_limit() -> None:
    assert all(f"`{cadence}`" in PAGE for cadence in CADENCES)
    assert f"{MOST_ENTRIES:,} entries" in PAGE
