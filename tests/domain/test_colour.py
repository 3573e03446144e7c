"""Words can be read whatever colours somebody chose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.colour import READABLE, contrast, ink_on, mixed, readable

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#777777", "#ffffff", 4.48),
        ("#ffffff", "#2563eb", 5.17),
        ("#ff0000", "#ffffff", 4.0),
    ],
)
def test_contrast_is_that_of_the_web_guidelines(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert contrast(other, one) == contrast(one, other)


@pytest.mark.mission("A-21")
@given(colour=COLOURS, on=COLOURS)
def test_any_colour_becomes_readable_on_any_background(colour: str, on: str) -> None:
    assert contrast(readable(colour, on), on) >= READABLE
    assert contrast(ink_on(on), on) >= READABLE


@pytest.mark.parametrize(
    ("colour", "on", "shown"),
    [
        ("#1a2230", "#ffffff", "#1a2230"),
        ("#ffffff", "#ffffff", "#747474"),
        ("#000000", "#000000", "#787878"),
        ("#facc15", "#ffffff", "#8d730c"),
    ],
)
def test_a_colour_that_can_be_read_stays_and_another_changes_as_little_as_it_must(
    colour: str, on: str, shown: str
) -> None:
    assert readable(colour, on) == shown


def test_a_mixture_goes_from_one_colour_to_the_other() -> None:
    assert [mixed("#000000", "#ffffff", share) for share in (0, 0.5, 1)] == ["#000000", "#808080", "#ffffff"]
