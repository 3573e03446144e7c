"""`bellwire suppressions`."""

from __future__ import annotations

import re
from typing import Any

import pytest

ANA = ("email", "Ana@Example.org", "--tenant", "acme")


@pytest.mark.mission("E-28", "E-46")
def test_an_address_is_suppressed_shown_and_lifted(bellwire: Any) -> None:
    assert "No such suppression." in bellwire("suppressions").out
    assert "email ana@example.org is suppressed: manual." in bellwire("suppressions", "add", *ANA).out
    said = bellwire("suppressions").out
    assert re.search(r"acme +email +ana@example.org +– +manual +cli", said)
    assert "email Ana@Example.org is told again." in bellwire("suppressions", "lift", *ANA).out
    assert "No such suppression." in bellwire("suppressions", "list").out


def test_one_event_is_suppressed_and_lifted_by_its_name(bellwire: Any) -> None:
    for event in ("ssl_expiry", "ssl_failure"):
        assert f"for {event} is suppressed" in bellwire("suppressions", "add", *ANA, "--event", event).out
    bellwire("suppressions", "lift", *ANA, "--event", "ssl_expiry")
    assert [one["event"] for one in bellwire("suppressions", "list", "--json").json["suppressions"]] == ["ssl_failure"]


def test_programs_read_json(bellwire: Any) -> None:
    added = bellwire("suppressions", "add", *ANA, "--note", "by phone", "--json").json
    assert (added["address"], added["reason"], added["source"]) == ("ana@example.org", "manual", "cli")
    assert bellwire("suppressions", "list", "--json").json == {"suppressions": [added], "next_cursor": None}
    assert bellwire("suppressions", "--json").json == {"suppressions": [added], "next_cursor": None}
    assert bellwire("suppressions", "lift", *ANA, "--json").json["lifted"] is True


def test_an_option_in_front_of_a_command_is_not_lost_in_silence(bellwire: Any) -> None:
    said = bellwire("suppressions", "--json", "list")
    assert (said.code, said.out) == (2, "")
    assert "belongs behind list" in said.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--channel", "email"), 2),
        (("--channel", "sms"), 1),
        (("--address", "+49 30 901820"), 1),
        (("--tenant", "other"), 0),
        (("--reason", "manual"), 3),
        (("--reason", "spam_complaint"), 0),
    ],
)
def test_the_list_is_filtered(bellwire: Any, options: tuple[str, ...], expected: int) -> None:
    for channel, address in (("email", "ana@example.org"), ("email", "bo@example.org"), ("sms", "+4930901820")):
        bellwire("suppressions", "add", channel, address, "--tenant", "acme")
    assert len(bellwire("suppressions", "list", *options, "--json").json["suppressions"]) == expected


def test_the_list_leads_on_to_the_next_page(bellwire: Any) -> None:
    for number in range(3):
        bellwire("suppressions", "add", "email", f"u{number}@example.org", "--tenant", "acme")
    first = bellwire("suppressions", "list", "--limit", "2")
    (cursor,) = re.findall(r"--cursor (\S+)", first.out)
    second = bellwire("suppressions", "list", "--limit", "2", "--cursor", cursor).out
    assert "u2@example.org" in second
    assert "--cursor" not in second


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "email", "nobody", "--tenant", "acme"), "address: is not an email address"),
        (("add", "pigeon", "a@example.org", "--tenant", "acme"), "channel: must be one of email"),
        (("add", "email", "a@example.org", "--tenant", "nobody"), "tenant: does not exist"),
        (("lift", *ANA), "There is no such suppression"),
        (("list", "--reason", "boredom"), "reason: must be one of"),
    ],
)
def test_a_mistake_is_one_sentence(bellwire: Any, arguments: tuple[str, ...], words: str) -> None:
    said = bellwire("suppressions", *arguments)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(words)


def test_whose_list_it_is_must_be_said(bellwire: Any) -> None:
    assert bellwire("suppressions", "add", "email", "a@example.org").code == 2
