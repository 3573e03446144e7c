"""What templates are told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from config.settings import settings
from domain.vocabulary import Severity
from pipeline.context import context


def told(**fields: Any) -> Any:
    made = {
        "event_id": "e",
        "event_type": "provisioning.completed",
        "severity": Severity.HIGH,
        "condition": "firing",
        "occurred_at": datetime(2026, 11, 20, tzinfo=UTC),
        "branch": None,
        "data": {},
        "tenant": "acme",
        "user_id": "u1",
        "name": "Ute",
        "locale": "de",
    }
    return context(**(made | fields))


@pytest.mark.parametrize(
    ("public_url", "link"),
    [("https://bell.example.org", "https://bell.example.org/inbox"), ("https://x.org/b/", "https://x.org/b/inbox")],
)
def test_links_lead_below_the_public_url(monkeypatch: pytest.MonkeyPatch, public_url: str, link: str) -> None:
    monkeypatch.setenv("BELLWIRE_PUBLIC_URL", public_url)
    settings.cache_clear()
    assert told().link == link


def test_who_has_no_inbox_gets_no_link() -> None:
    assert told(user_id=None).link is None


def test_secret_fields_and_title_are_those_of_the_catalogue() -> None:
    assert (told().secret, told().event.title) == (("password",), "{service} is ready")


def test_a_type_that_nobody_listed_has_neither() -> None:
    found = told(event_type="unheard.of")
    assert (found.secret, found.event.title) == ((), "")


def test_what_stands_beside_the_words_is_handed_on() -> None:
    beside = {"unsubscribe_url": "https://u", "acknowledge_url": "https://a", "preferences_url": "https://p"}
    found = told(**beside, more=("One", "Two"), more_count=7)
    assert {name: getattr(found, name) for name in beside} == beside
    assert (found.more, found.more_count) == (("One", "Two"), 7)
    assert {name: getattr(told(), name) for name in beside} == dict.fromkeys(beside)
