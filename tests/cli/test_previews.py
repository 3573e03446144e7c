"""`bellwire previews`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SAID = {
    "title": "A certificate failed",
    "text": "The certificate of shop.example.org failed.",
    "html": "<p>It failed.</p>",
}


@pytest.fixture
def kept(bellwire: Any, work: Any) -> str:
    """The id of a delivery to ada, whose message is in the mailbox."""
    bellwire.send()
    work.route()
    work.keep("email", SAID)
    listed = bellwire("deliveries", "--channel", "email", "--recipient", "ada", "--json").json["deliveries"]
    return str(listed[0]["id"])


def test_the_mailbox_is_listed_without_texts_and_with_masked_addresses(bellwire: Any, kept: str) -> None:
    said = bellwire("previews").out
    for words in (kept, "email", "ada", "a•••@example.org", "A certificate failed"):
        assert words in said
    assert "shop.example.org" not in said
    listed = next(one for one in bellwire("previews", "--json").json["previews"] if one["recipient"] == "ada")
    assert (listed["delivery"], listed["event"], "text" in listed) == (kept, "ssl_failure", False)
    first = bellwire("previews", "--limit", "1", "--json").json
    assert bellwire("previews", "--cursor", first["next_cursor"], "--json").json["next_cursor"] is None
    assert bellwire("previews", "--tenant", "other").out.strip() == "The preview mailbox is empty."


def test_one_message_is_shown_and_its_html_written(bellwire: Any, kept: str, tmp_path: Path) -> None:
    file = tmp_path / "message.html"
    said = bellwire("previews", kept, "--html", str(file))
    assert "The certificate of shop.example.org failed." in said.out
    assert file.read_text() == "<p>It failed.</p>"
    assert bellwire("previews", kept, "--json").json["text"] == "The certificate of shop.example.org failed."


def test_explain_names_the_command_that_shows_the_message(bellwire: Any, kept: str) -> None:
    event_id = bellwire("deliveries", "--json").json["deliveries"][0]["event_id"]
    assert "`bellwire previews ID` shows it" in json.dumps(bellwire("explain", event_id, "--json").json)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("x",), 1, "has no message of a delivery x"),
        (("--html", "x.html"), 2, "--html needs the DELIVERY"),
    ],
)
def test_what_cannot_be_shown_is_said(bellwire: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    said = bellwire("previews", *arguments)
    assert said.code == code
    assert words in said.err
