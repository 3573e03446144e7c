"""A brand: what templates are told of it, and words that can be read in whatever it chose."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.brand import CARD, DARK_CARD, DARK_PANEL, DEFAULT_BRAND, PANEL, SEEN, Brand
from domain.colour import READABLE, contrast

COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def rule(brand: Brand, selector: str, *, dark: bool) -> str:
    """The colour that the brand's stylesheet gives a class."""
    light_rules, _, dark_rules = brand.shown["styles"].partition("@media (prefers-color-scheme: dark)")
    found = re.search(rf"{re.escape(selector)}{{\w+:(#\w+)!important}}", dark_rules if dark else light_rules)
    assert found
    return found[1]


@pytest.mark.mission("A-21")
@given(primary=COLOURS, background=COLOURS, text=COLOURS)
def test_every_word_in_a_brands_colours_can_be_read_in_light_and_in_dark(
    primary: str, background: str, text: str
) -> None:
    brand = Brand(primary=primary, background=background, text=text)
    shown = brand.shown
    pairs = [
        (shown["on_button"], shown["button"]),
        (shown["on_page"], shown["page"]),
        (shown["soft_on_page"], shown["page"]),
    ]
    if shown["styles"]:
        pairs += [
            (rule(brand, ".ink", dark=False), PANEL),
            (rule(brand, ".prose-a", dark=False), PANEL),
            (rule(brand, "a.prose-a", dark=True), DARK_PANEL),
            (rule(brand, ".brand-words", dark=True), rule(brand, ".brand-button", dark=True)),
        ]
        assert contrast(rule(brand, ".brand-button", dark=True), DARK_CARD) >= SEEN
    assert not [pair for pair in pairs if contrast(*pair) < READABLE]
    assert contrast(shown["button"], CARD) >= SEEN


@pytest.mark.parametrize(
    ("brand", "name", "shown"),
    [
        (Brand(name="Nordlicht"), "logo_alt", "Nordlicht"),
        (Brand(name="Nordlicht", logo_alt="A light"), "logo_alt", "A light"),
        (Brand(support="help@nordlicht.example.org"), "support_url", "mailto:help@nordlicht.example.org"),
        (Brand(support="https://a.example.org/@help"), "support_url", "https://a.example.org/@help"),
        (Brand(primary="#0f766e"), "button", "#0f766e"),
        (Brand(primary="#facc15"), "on_button", "#000000"),
        (DEFAULT_BRAND, "styles", ""),
    ],
)
def test_a_template_is_told(brand: Brand, name: str, shown: Any) -> None:
    assert brand.shown[name] == shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Nordlicht Coffee & Söhne", "Nordlicht Coffee & Söhne"),
        ("", None),
        ("bank@example.org", None),
        ("Bank <pay@example.org>", None),
        ('"Bank"', None),
        ("Bank, Ltd", None),
        ("bank\uff20example.org", None),
        ("bank\ufe6bexample.org", None),
        ("Bank \uff1cpay\uff1e", None),
        ("=?utf-8?q?bank=40example=2Eorg?=", None),
        ("\ufeff\u200b", None),
    ],
)
def test_a_name_is_a_senders_name_only_if_no_mail_program_takes_it_for_more(name: str, said: str | None) -> None:
    assert Brand(name=name).sender_name == said
