"""MarkdownV2 that must be cut: nothing left open, nothing torn."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram.helpers import escape_markdown

from channels.markdown import cut_markdown, plain, units


@pytest.mark.parametrize(("text", "length"), [("abc", 3), ("ü€", 2), ("👍", 2), ("👩‍👧", 5), ("", 0)])
def test_length_is_counted_in_utf16_units(text, length):
    assert units(text) == length == len(text.encode("utf-16-le")) // 2


CUTS = {
    "fits": ("*bold*", 10, "*bold*"),
    "fits although its markers do not": ("*bold* _and_", 8, "*bold* _and_"),
    "plain": ("abcdefgh", 5, "abcd…"),
    "exactly": ("abcde", 5, "abcde"),
    "open bold is closed": ("*abcdefgh*", 5, "*abcd…*"),
    "nested are closed inside out": ("*ab_cdefgh_*", 5, "*ab_cd…_*"),
    "underline": ("__abcdefgh__", 5, "__abcd…__"),
    "italic inside underline ends first": ("__ab_cdefgh_\r__", 5, "__ab_cd…_\r__"),
    "underline inside italic": ("_ab__cdefgh___", 5, "_ab__cd…___"),
    "spoiler and strike": ("||~abcdefgh~||", 5, "||~abcd…~||"),
    "closed before the cut": ("*ab*cdefgh", 5, "*ab*cd…"),
    "an escape is one character": (r"\.\.\.\.\.", 5, r"\.\.\.\.\."),
    "an escape is not torn": (r"abc\.\.\.", 5, r"abc\.…"),
    "an escaped marker opens nothing": (r"\*abcdefgh", 5, r"\*abc…"),
    "code": ("`abcdefgh`", 5, "`abcd…`"),
    "code block": ("```\nabcdefgh```", 5, "```\nabc…```"),
    "markers in code mean nothing": ("`*_abcdefgh`", 5, "`*_ab…`"),
    "a link stays whole or goes": ("ab[label](https://x.y/z)", 5, "ab…"),
    "a link's address is not shown": ("[label](https://example.org/a/very/long/one)", 5, "[label](https://example.org/a/very/long/one)"),
    "a surrogate pair is not torn": ("👍👍👍", 5, "👍👍…"),
    "quotation": (">abcdefgh\n>more", 5, ">abc…"),
}  # fmt: skip


@pytest.mark.mission("B-3")
@pytest.mark.parametrize(("text", "limit", "expected"), CUTS.values(), ids=CUTS)
def test_a_text_is_cut_without_breaking_its_markup(text, limit, expected):
    assert cut_markdown(text, limit) == expected


words = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
pieces = st.one_of(
    words.map(lambda word: escape_markdown(word, 2)),
    words.map(lambda word: f"*{escape_markdown(word, 2)}*"),
    words.map(lambda word: f"_{escape_markdown(word, 2)} \\_ ~{escape_markdown(word, 2)}~_ "),
    words.map(lambda word: f"`{escape_markdown(word, 2, 'code')}`"),
    words.map(
        lambda word: f"[{escape_markdown(word, 2)}](https://example.org/{escape_markdown(word, 2, 'text_link')})"
    ),
)


@given(st.lists(pieces, max_size=8).map("\n".join), st.integers(1, 60))
def test_whatever_is_cut_fits_and_leaves_nothing_open(text, limit):
    cut = cut_markdown(text, limit)
    shown, opened = read(cut)
    assert units(shown) <= limit
    assert opened == []
    whole, _ = read(text)
    assert whole.startswith(shown.removesuffix("…"))
    assert (shown == whole) == (units(whole) <= limit)


def read(text: str) -> tuple[str, list[str]]:
    """What a reader sees, and what is still open at the end: a second, slower reading of the same rules."""
    shown, opened = "", []
    while text:
        code = opened[-1:] == ["`"]
        link = None if code else re.match(r"\[((?:\\.|[^\]\\])*)\]\((?:\\.|[^)\\])*\)", text, re.DOTALL)
        if text[0] == "\\" and len(text) > 1:
            shown, text = shown + text[1], text[2:]
        elif link:
            shown, text = shown + re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", link[1]), text[link.end() :]
        elif text[0] == "`" or (not code and text[0] in "*_~"):
            opened.remove(text[0]) if text[0] in opened else opened.append(text[0])
            text = text[1:]
        else:
            shown, text = shown + text[0], text[1:]
    return shown, opened


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        (r"a\.b \\ \*c\* \_", 100, r"a.b \ *c* _"),
        ("*open", 100, "*open"),
        ("\\n", 100, "\\n"),
        ("abcdefgh", 5, "abcd…"),
        ("👍👍👍", 5, "👍👍…"),
        ("👍👍👍", 4, "👍…"),
    ],
)
def test_without_a_parse_mode_the_escapes_go(text, limit, expected):
    assert plain(text, limit) == expected


@given(words)
def test_what_was_escaped_comes_back(word):
    assert plain(escape_markdown(word, 2)) == word
