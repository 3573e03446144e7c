"""The words that are chosen once."""

from __future__ import annotations

import pytest

from domain.vocabulary import CHANNEL_ALIASES, CHANNELS, PRIORITIES, SEVERITIES


@pytest.mark.mission("B-7")
def test_severities_are_ordered_from_low_to_critical() -> None:
    assert [(word.value, word.rank) for word in SEVERITIES] == [("low", 0), ("medium", 1), ("high", 2), ("critical", 3)]


@pytest.mark.mission("C-3")
def test_priorities_are_ordered_from_low_to_critical() -> None:
    assert [(word.value, word.rank) for word in PRIORITIES] == [("low", 0), ("normal", 1), ("high", 2), ("critical", 3)]


def test_an_alias_stands_for_a_channel() -> None:
    assert set(CHANNEL_ALIASES.values()) <= set(CHANNELS)
