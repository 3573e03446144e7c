"""What stands beside the words of an email: unsubscribe, settings, acknowledge, and what was folded into it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from config.catalogue import template_names
from pipeline.faces import Faces
from pipeline.render import Context, render

Make = Callable[..., Context]

UNSUBSCRIBE = "https://bellwire.example.org/u/abc?x=1&y=2"
ACKNOWLEDGE = "https://bellwire.example.org/a/def"
PREFERENCES = "https://bellwire.example.org/inbox#preferences"
SECTIONS = [
    ("unsubscribe_url", UNSUBSCRIBE, "Unsubscribe"),
    ("preferences_url", PREFERENCES, "Notification settings"),
    ("acknowledge_url", ACKNOWLEDGE, "Acknowledge"),
]


def links(html: str | None) -> dict[str, str]:
    """What the links of a page say, and where they lead."""
    found = re.findall(r'<a [^>]*href="([^"]*)"[^>]*>([^<]*)</a>', html or "")
    return {said: address.replace("&amp;", "&") for address, said in found}


@pytest.mark.mission("E-22")
@pytest.mark.parametrize(("field", "url", "said"), SECTIONS)
@pytest.mark.parametrize("name", sorted(template_names()))
def test_a_link_beside_the_words_is_in_both_faces_when_it_is_set(
    context: Make, name: str, field: str, url: str, said: str
) -> None:
    content = render("email", name, context("made.up", {}, **{field: url}))
    assert links(content.html)[said] == url
    assert f"\n{said}: {url}" in content.text


@pytest.mark.parametrize(("field", "url", "said"), SECTIONS)
def test_nothing_is_said_of_a_link_that_is_not_set(context: Make, field: str, url: str, said: str) -> None:
    others = {name: address for name, address, _ in SECTIONS if name != field}
    content = render("email", "default", context("made.up", {}, **others))
    assert said not in links(content.html)
    assert said not in content.text


def test_an_email_can_be_acknowledged_even_if_it_leads_nowhere_else(context: Make) -> None:
    content = render("email", "default", context("made.up", {}, link=None, acknowledge_url=ACKNOWLEDGE))
    assert links(content.html) == {"Acknowledge": ACKNOWLEDGE}


def test_the_links_of_the_footer_are_in_no_other_face(context: Make) -> None:
    made: dict[str, Any] = {name: address for name, address, _ in SECTIONS}
    for channel in ("telegram", "in_app", "sms", "push", "whatsapp", "apprise"):
        content = render(channel, "default", context("made.up", {"a": "b"}, **made))
        assert not [address for address in made.values() if address in content.text]


@pytest.mark.mission("E-45")
def test_an_email_lists_what_was_folded_into_it(context: Make) -> None:
    made = context("ssl_failure", {"host": "a.org"}, more=("The check of <b> failed", "Two"), more_count=12)
    content = render("email", "ssl_failure", made)
    assert content.title == "The SSL check of a.org failed and 12 more"
    assert "And 12 more:\n* The check of <b> failed\n* Two\n… and 10 more" in content.text
    assert "The check of &lt;b&gt; failed" in (content.html or "")
    assert "… and 10 more" in (content.html or "")


def test_an_email_lists_at_most_twenty_of_them(context: Make) -> None:
    titles = tuple(f"Title {number}." for number in range(30))
    content = render("email", "default", context("made.up", {}, more=titles))
    assert "* Title 19.\n… and 10 more" in content.text
    assert "Title 20." not in (content.html or "")


def test_what_was_folded_may_have_no_titles(context: Make) -> None:
    content = render("email", "default", context("made.up", {}, more_count=3))
    assert "And 3 more.\n" in content.text
    assert "And 3 more." in (content.html or "")


@pytest.mark.mission("E-25")
def test_a_kind_with_html_only_says_the_same_as_text(own_faces: Faces, context: Make) -> None:
    (own_faces.folder / "own" / "email.html").write_text("<p>{{ title }}</p>")
    content = render("email", "own", context("made.up", {}), own_faces)
    assert (content.html, content.text) == ("<p>Made up</p>", "Made up")
