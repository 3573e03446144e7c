"""WhatsApp's marks: those of a template stay, none comes from data, and addresses still lead to the same place."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import template_names
from pipeline.render import Context, render
from pipeline.whatsapp import escape

Make = Callable[..., Context]

# What WhatsApp formats: a mark before a word, the same mark behind one, on one line, with no letter outside of them.
FORMATTED = re.compile(r"(?<![^\W_])([*_~])(?=[^\s*_~])[^\n]*?(?<=\S)\1(?![^\W_])|`[^`\n]+`")


@pytest.mark.parametrize("text", ["*a*", "see *a b* there", "_a_", "~a~", "`a`", "```a```", "(*a*)", "*a_b*"])
def test_the_pattern_finds_what_whatsapp_formats(text: str) -> None:
    assert FORMATTED.search(text)


@pytest.mark.mission("B-4")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*bold*", "∗bold∗"),
        ("_italic_", "ˍitalicˍ"),
        ("~gone~", "∼gone∼"),
        ("`code`", "ˋcodeˋ"),
        ("```block```", "ˋˋˋblockˋˋˋ"),
        ("import_job", "import_job"),
        ("2*3*4", "2*3*4"),
        ("foo__bar", "fooˍˍbar"),
        ("*.example.org", "∗.example.org"),
        ("nothing", "nothing"),
        ("https://a.org/b_c", "https://a.org/b_c"),
        ("https://a.org/_next/~u.", "https://a.org/%5Fnext/%7Eu."),
        ("*https://a.org/b*", "∗https://a.org/b∗"),
    ],
)
def test_marks_at_the_edge_of_a_word_are_changed(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(text=st.text(alphabet="*_~`ab1 .\n(é"))
def test_no_text_is_formatted(text: str) -> None:
    assert not FORMATTED.search(escape(text))


@given(path=st.text(alphabet="*_~ab1/-"))
def test_an_address_leads_to_the_same_place(path: str) -> None:
    escaped = escape(f"see https://a.org/{path}x")
    assert unquote(escaped) == f"see https://a.org/{path}x"


@given(words=st.text(alphabet="*_~`a b\n"), name=st.sampled_from(sorted(template_names())))
@settings(max_examples=150, deadline=None)
def test_only_the_title_is_bold_whatever_the_data(context: Make, words: str, name: str) -> None:
    fields = ("text", "message", "error", "host", "reason", "sender", "customer", "topic", "note")
    content = render("whatsapp", name, context("made.up", dict.fromkeys(fields, words), title="Made up"))
    first, _, rest = content.text.partition("\n")
    assert next(found[0] for found in FORMATTED.finditer(first)) == "*" + first.split("*", 1)[1]
    assert not FORMATTED.search(rest)
    assert not [one for one in content.parameters if FORMATTED.search(one)]


@pytest.mark.mission("B-4")
def test_a_message_has_a_bold_title_its_words_and_the_link(context: Make) -> None:
    data = {"host": "a_b.org", "error": "*bad*", "failed_since": "2026-11-20T08:58:00Z"}
    content = render("whatsapp", "ssl_failure", context("ssl_failure", data, link="https://b.org/in_box"))
    assert content.text.startswith("🔴 *The SSL check of a_b.org failed*\n∗bad∗")
    assert "Failing since: 20 November 2026, 08:58 UTC" in content.text
    assert content.text.endswith("Open notification: https://b.org/in_box")
    assert content.parameters == (
        "The SSL check of a_b.org failed",
        "∗bad∗; Failing since: 20 November 2026, 08:58 UTC https://b.org/in_box",
    )
