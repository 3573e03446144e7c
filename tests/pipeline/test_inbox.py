"""The words of a notification."""

from __future__ import annotations

from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from config.catalogue import shipped
from domain.event import Event, Person
from pipeline.envelope import parse
from pipeline.inbox import AT_ONCE, OF_TENANT, Allowance, likeness, words
from pipeline.looks import Look
from pipeline.published import Published

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


ADA, BEN = (Person(name, None, None, {}) for name in ("ada", "ben"))
SLOW = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"


def spoken(**parts: str) -> Look:
    """How a tenant speaks that has a template of its own for certificates."""
    own = Published(str(uuid4()), "ssl_expiry", "in_app", "", parts)
    return Look(published={("ssl_expiry", "in_app", ""): own})


@pytest.mark.parametrize(
    ("parts", "same"),
    [
        pytest.param({"title": "News", "text": "{{ data.host }}"}, True, id="for everybody"),
        pytest.param({"title": "For {{ user.id }}", "text": "{{ data.host }}"}, False, id="personal"),
        pytest.param({"text": "{{ data.host }}"}, False, id="whose title is shipped"),
    ],
)
def test_only_who_is_told_the_same_shares_words(parts: dict[str, str], same: bool) -> None:
    event, look = take(type="ssl_expiry", data={"host": "shop"}), spoken(**parts)
    assert (likeness(event, "ssl_expiry", ADA, look) == likeness(event, "ssl_expiry", BEN, look)) is same


def test_what_a_tenants_own_template_cannot_say_is_said_as_shipped() -> None:
    look = spoken(title="Own", text="{{ data.host + 1 }}")
    assert (
        words(take(type="ssl_expiry", data={"host": "shop"}), "ssl_expiry", ADA, look).title
        == "The certificate of shop expires soon"
    )


def test_a_batch_does_not_wait_for_ever_for_a_tenants_own_template() -> None:
    event, allowance, began = take(type="ssl_expiry", data={"host": "shop"}), Allowance(), monotonic()
    allowance.note("acme", OF_TENANT - 0.4)
    slow, good = spoken(title="Own", text=SLOW), spoken(title="Own", text="{{ data.host }}")
    assert words(event, "ssl_expiry", ADA, slow, allowance).title != "Own"
    assert monotonic() - began < AT_ONCE + 1.0
    assert words(event, "ssl_expiry", ADA, good, allowance).title != "Own"
    assert words(event, "ssl_expiry", ADA, good, Allowance()).title == "Own"
