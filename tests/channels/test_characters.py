"""Characters as people see them: never torn apart, and none that a text message cannot carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.characters import characters, clean, cut_to_units, units

FAMILY = "👩‍👩‍👧"
WHOLE = {
    "a letter": "a",
    "a letter with two marks": "a\u0323\u0302",
    "an emoji": "😀",
    "an emoji with a tone of skin": "👍🏽",
    "a family": FAMILY,
    "a heart that is an emoji": "❤\ufe0f",
    "a key cap": "1\ufe0f\u20e3",
    "a flag": "🇩🇪",
    "the flag of a region": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "a syllable with its vowel sign": "क\u093f",
    "a line break of two": "\r\n",
}


@pytest.mark.parametrize("character", WHOLE.values(), ids=WHOLE)
def test_what_is_seen_as_one_is_one(character):
    assert list(characters(f"x{character}y")) == ["x", character, "y"]


def test_flags_side_by_side_are_two():
    assert list(characters("🇩🇪🇫🇷🇪")) == ["🇩🇪", "🇫🇷", "🇪"]


@given(st.text(alphabet=st.sampled_from("ab \u0301\u200d😀👍\U0001f3fd🇩🇪\ufe0f\r\n")))
def test_characters_together_are_the_text(text):
    assert "".join(characters(text)) == text


CLEANED = {
    "plain": ("  Hello ", "Hello"),
    "line breaks": ("a\r\nb\rc\u2028d\x85e\x0bf", "a\nb\nc\nd\ne\nf"),
    "tabs and hard spaces": ("a\tb\xa0c", "a b c"),
    "control characters": ("a\x00b\x07c\x1b[31m\x7f\x9f\ufeff", "abc[31m"),
    "half of a pair": ("lone \ud800 one", "lone ? one"),
    "a pair in two halves": ("\ud83d\ude00", "😀"),
    "a letter and its accent apart": ("e\u0301", "é"),
    "nothing to see": ("\x00\r\n\t ", ""),
}


@pytest.mark.parametrize(("text", "cleaned"), CLEANED.values(), ids=CLEANED)
def test_a_text_is_cleaned_of_what_cannot_be_carried(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
        ("abcd  fg", 6, "abcd…"),
        ("😀😀😀", 6, "😀😀😀"),
        ("😀😀😀😀", 6, "😀😀…"),
        (f"ab{FAMILY}{FAMILY}", 11, f"ab{FAMILY}…"),
        (f"ab{FAMILY}{FAMILY}", 10, "ab…"),
    ],
)
def test_a_text_is_cut_between_two_characters_by_units(text, limit, cut):
    assert cut_to_units(text, limit) == cut


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_cut_text_is_never_too_long_and_starts_like_the_whole(text, limit):
    cut = cut_to_units(text, limit)
    assert units(cut) <= limit
    assert cut == text or text.startswith(cut.removesuffix("…"))
