"""Every event type of the catalogue on every channel: words that a person would write, and a brand in all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from config.catalogue import TEMPLATES, shipped
from config.demo import sample
from domain.brand import Brand
from pipeline.faces import SHIPPED
from pipeline.fit import share_of, text_message
from pipeline.render import RENDERED, Content, Context, Person, render

Make = Callable[..., Context]

TYPES = sorted(shipped().event_types)
POOR = re.compile(
    r"\b(?:None|True|False|Undefined|TODO|null|nan)\b|\bN/A\b|[{}]|%\(|\(\)"
    r"|: +$| ,| \.(?:\s|$)|(?<!\.)\.\.(?!\.)|\S  \S|, ,",
    re.MULTILINE,
)
BRAND = Brand(
    version=1,
    name="Nordlicht",
    logo_url="https://static.nordlicht.example.org/logo.png",
    logo_alt="The northern light",
    primary="#0f766e",
    background="#f0fdfa",
    text="#134e4a",
    footer="Nordlicht GmbH\nBerlin",
    website="https://www.nordlicht.example.org",
    support="help@nordlicht.example.org",
)


def told(make: Make, event_type: str, **more: Any) -> tuple[str, Context]:
    """The template of an event type, and the context of its sample."""
    body = sample(event_type)
    assert body is not None
    status = {key: body[key] for key in ("severity", "branch") if key in body}
    return shipped().event_types[event_type].template, make(event_type, body["data"], **status, **more)


def words(content: Content) -> Iterator[str]:
    yield from (content.title or "", content.text, content.link_text or "", *content.parameters)


@pytest.mark.mission("A-6", "A-7", "A-8", "A-9", "A-10", "B-6", "C-4", "D-40")
@pytest.mark.parametrize("channel", RENDERED)
@pytest.mark.parametrize("event_type", TYPES)
def test_no_face_has_an_empty_place_or_a_poor_word(context: Make, event_type: str, channel: str) -> None:
    content = render(channel, *told(context, event_type))
    assert content.text.strip()
    plain = [text.replace("\\", "") for text in words(content)]
    assert not [found for text in plain if (found := POOR.search(text))]


@pytest.mark.parametrize("channel", ["email", "in_app", "sms"])
@pytest.mark.parametrize(
    ("reader", "title", "body"),
    [("noor", "Your account is ready", "sign in"), ("ada", "The account of Noor Haddad", "The account can be used")],
)
def test_a_new_user_and_everybody_else_read_whose_account_is_ready(
    context: Make, channel: str, reader: str, title: str, body: str
) -> None:
    template, made = told(context, "identity.user-created")
    content = render(channel, template, replace(made, user=Person(reader)))
    assert (content.title or "").startswith(title)
    assert channel != "email" or body in content.text
    assert channel != "email" or ("made for you" in content.text) is (reader == "noor")


@pytest.mark.parametrize("locale", [None, "de"])
@pytest.mark.parametrize(
    ("event_type", "needed"),
    [
        (
            "billing.subscription-past-due",
            {None: "or the services stop.", "de": "sonst werden die Dienste eingestellt."},
        ),
        ("billing.payment-failed", {None: "¥48,600 could not be collected", "de": "Einzug von 48.600 ¥"}),
        ("bellwire.account-rejected", {None: "Nothing is lost.", "de": "Es geht nichts verloren."}),
    ],
)
def test_a_text_message_is_not_cut_where_it_matters(
    context: Make, event_type: str, locale: str | None, needed: dict[str | None, str]
) -> None:
    assert needed[locale] in render("sms", *told(context, event_type, locale=locale)).text


@pytest.mark.mission("A-15")
def test_there_are_far_more_than_eighteen_emails_and_nothing_is_told_in_a_default() -> None:
    kinds = {one.template for one in shipped().event_types.values()}
    assert len([kind for kind in kinds if (TEMPLATES / kind / "email.html").is_file()]) >= 25
    assert "default" not in kinds


@pytest.mark.mission("A-15")
@pytest.mark.parametrize("kind", sorted({one.template for one in shipped().event_types.values()} | {"order.placed"}))
@pytest.mark.parametrize("face", ["email.html", "email.txt", "telegram.md", "in_app.txt"])
def test_every_kind_has_words_of_its_own(kind: str, face: str) -> None:
    assert SHIPPED.face(kind, face) is not None
    assert SHIPPED.link_text(kind)


@pytest.mark.mission("A-14")
@pytest.mark.parametrize("channel", RENDERED)
def test_the_password_of_a_new_service_is_in_the_email_alone(context: Make, channel: str) -> None:
    content = render(channel, *told(context, "provisioning.completed"))
    everything = [*words(content), content.html or "", *map(str, content.data.values())]
    assert any("kV7-ruhig-Mandel_42" in text for text in everything) is (channel == "email")


@pytest.mark.mission("A-13")
@pytest.mark.parametrize("channel", ["email", "telegram", "in_app"])
def test_whoever_carries_an_order_out_reads_who_wants_what(context: Make, channel: str) -> None:
    _, made = told(context, "order.created")
    content = render(channel, "order.placed", made)
    assert content.title == "New order SO-20418 from Nordlicht Coffee Roasters"
    assert "2 × Managed PostgreSQL, 4 vCPU" in content.text


@pytest.mark.mission("A-21", "A-22")
@pytest.mark.parametrize("event_type", TYPES)
def test_a_brand_is_in_every_email(context: Make, event_type: str) -> None:
    template, made = told(context, event_type)
    content = render("email", template, replace(made, brand=BRAND))
    html = content.html or ""
    for value in (BRAND.logo_url, BRAND.logo_alt, "background:#f0fdfa", "#134e4a", BRAND.website):
        assert value in html
    assert 'href="mailto:help@nordlicht.example.org"' in html
    assert "Nordlicht GmbH<br>Berlin" in html
    assert "Nordlicht GmbH\nBerlin" in content.text
    assert made.tenant not in html + content.text


@pytest.mark.mission("A-21")
@pytest.mark.parametrize(("channel", "shown"), [("telegram", "\n_Nordlicht_"), ("whatsapp", "\n_Nordlicht_")])
@pytest.mark.parametrize("event_type", TYPES)
def test_a_chat_that_many_tenants_share_says_whose_message_it_is(
    context: Make, event_type: str, channel: str, shown: str
) -> None:
    template, made = told(context, event_type)
    assert render(channel, template, replace(made, brand=BRAND)).text.endswith(shown)
    assert "Nordlicht_" not in render(channel, template, made).text


@pytest.mark.parametrize(
    ("text", "link", "sent"),
    [
        ("It burns.", "https://a.org/1", "Nordlicht: It burns. https://a.org/1"),
        ("a" * 140, "https://a.org/1", "a" * 140 + " https://a.org/1"),
        ("a" * 146, "https://a.org/1", "Nordlicht: " + "a" * 146),
        ("a" * 155, "https://a.org/1", "a" * 155),
    ],
)
def test_a_text_message_begins_with_the_name_where_that_costs_no_word_and_no_link(
    text: str, link: str, sent: str
) -> None:
    assert text_message(text, link, 1, sender="Nordlicht") == sent


@pytest.mark.parametrize("attack", ['"><script>alert(1)</script>', "</style><script>alert(1)</script>", "{{ 7 * 7 }}"])
def test_no_value_of_a_brand_becomes_markup(context: Make, attack: str) -> None:
    template, made = told(context, "order.created")
    brand = replace(BRAND, name=attack, logo_alt=attack, footer=attack)
    html = render("email", template, replace(made, brand=brand)).html or ""
    assert "<script" not in html
    assert " 49" not in html


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [
        (3, 6, 50),
        ("3", "6", 50),
        (1, 3, 33),
        (7, 6, 100),
        (-1, 6, 0),
        (0, 6, 0),
        (1, 0, None),
        ("a", 6, None),
        (None, None, None),
        (1, "nan", None),
        (10**400, 1, None),
        ([1], {"a": 1}, None),
    ],
)
def test_progress_is_a_share_or_nothing(part: object, whole: object, share: int | None) -> None:
    assert share_of(part, whole) == share
