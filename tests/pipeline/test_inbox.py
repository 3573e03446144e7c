"""The words of a notification."""

from __future__ import annotations

from typing import Any

from config.catalogue import shipped
from domain.event import Event, Person
from pipeline.envelope import parse
from pipeline.inbox import words

NOBODY = Person(None, None, None, {})


def take(**fields: Any) -> Event:
    return parse(fields, tenant="acme", catalogue=shipped().event_types)


def test_a_notification_has_a_title_and_a_content() -> None:
    said = words(take(type="ssl_expiry", data={"host": "shop", "days_left": 7}), "ssl_expiry", NOBODY)
    assert said.title == "The certificate of shop expires in 7 days"
    assert said.content == "Renew it before browsers refuse the site."


def test_a_template_that_is_gone_is_replaced_by_the_default() -> None:
    assert words(take(type="unheard.of", data={"door": "open"}), "gone", NOBODY).content == "Door: open"


def test_what_is_resolved_says_so() -> None:
    event = take(type="ssl_expiry", status="resolved", data={"host": "shop"})
    assert words(event, "ssl_expiry", NOBODY).title.startswith("Resolved: ")
