"""A digest reads well on every channel: by groups, each issue with its count, and how many more there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from config.demo import sample
from domain.digest import Item, summary
from domain.vocabulary import Severity
from pipeline.render import Context, EventView, Person, render

NOW = datetime(2026, 11, 20, 7, tzinfo=UTC)


def said(channel: str, locale: str = "en", count: int = 3) -> Any:
    items = [
        Item(bytes([number % 200]), ("billing", "obligations")[number % 2], Severity.HIGH, f"Issue {number}", NOW)
        for number in range(count)
    ]
    event = EventView("e", "digest", Severity.LOW, NOW, title="Your {period} summary")
    person = Person("ana", "Ana", locale, "Europe/Berlin")
    return render(channel, "digest", Context(event, summary([*items, items[0]], NOW), "acme", person))


@pytest.mark.mission("B-16")
@pytest.mark.parametrize("channel", ["email", "telegram", "push", "sms", "in_app", "whatsapp", "apprise"])
def test_every_channel_says_what_a_digest_is_about(channel: str) -> None:
    found = said(channel)
    assert found.title == "Your summary of 20 November 2026, 08:00 CET"
    assert "Issue 0" in found.text or "Billing: 2" in found.text


@pytest.mark.parametrize(("locale", "words"), [("en", ["3 notifications", "(2 ×)"]), ("de", ["3 Benachrichtigungen"])])
def test_an_email_counts_what_came_again(locale: str, words: list[str]) -> None:
    mail = said("email", locale)
    assert all(one in mail.text + mail.html.replace("2 ×", "(2 ×)") for one in words)


@pytest.mark.parametrize("locale", ["en", "de"])
def test_a_digest_says_what_happened_and_why_it_comes(locale: str) -> None:
    mail = said("email", locale)
    words = (
        ("What happened from", "gathers what concerns you") if locale == "en" else ("geschehen ist", "was Sie betrifft")
    )
    for text in (mail.text, mail.html):
        assert all(one in text for one in words)
        assert "among those" not in text
        assert "mitgeteilt" not in text


def test_the_sample_of_a_digest_counts_right_and_begins_with_the_gravest() -> None:
    body = sample("digest")
    assert body is not None
    items, totals = body["data"]["items"], body["data"]["totals"]
    assert totals["open"] == len(items)
    assert totals["overdue"] == sum(item["due_on"] < body["data"]["to"] for item in items)
    assert items == sorted(items, key=lambda item: -Severity(item["severity"]).rank)


def test_a_digest_of_very_much_names_the_beginning() -> None:
    mail = said("email", count=200)
    assert "… and 150 more" in mail.text
    assert "… and 150 more" in mail.html
    assert mail.text.count("* Issue") == 50
