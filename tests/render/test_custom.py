"""Tenants' own templates say what the same words would say as shipped ones, and are kept compiled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from config.catalogue import TEMPLATES, shipped
from config.demo import sample_events
from pipeline.custom import PARTS, OwnTemplateError, SandboxAwayError, render_custom
from pipeline.faces import SHIPPED
from pipeline.language import SPOKEN
from pipeline.published import Published
from pipeline.render import Person, render
from pipeline.sandbox_pool import pool
from pipeline.sentences import gettext
from pipeline.wording import moment, money
from tests.render.conftest import Make, make

ONE_OF_EACH = ("billing.payment-failed", "order.created", "provisioning.completed", "chat_message", "ssl_failure")


def own(channel: str, event: str = "ssl_failure", *, fallback: bool = False, **parts: str) -> Published:
    return Published(str(uuid4()), event, channel, "", parts, fallback)


@pytest.mark.mission("A-15")
@pytest.mark.parametrize("channel", PARTS)
@pytest.mark.parametrize("event", ONE_OF_EACH)
def test_the_source_of_a_shipped_template_says_the_same_as_a_tenants_own(event: str, channel: str) -> None:
    for sample in (one for one in sample_events() if one["type"] == event):
        template = shipped().event_types[event].template
        made = make(event, sample["data"], **{key: sample[key] for key in ("severity", "status") if key in sample})
        said = render_custom(own(channel, event, **_sources(template, channel)), channel, made)
        assert said == render(channel, template, made)


def _sources(template: str, channel: str) -> dict[str, str]:
    paths = {part: TEMPLATES / template / name for name, part in PARTS[channel].items()}
    found = {part: path.read_text(encoding="utf-8") for part, path in paths.items() if path.is_file()}
    if not found.keys() & {"html", "text"}:
        found["text"] = (TEMPLATES / "default" / f"{channel}.txt").read_text(encoding="utf-8")
    return found


def test_values_are_escaped_for_the_face(context: Make) -> None:
    made = context("ssl_failure", {"host": "<b>*a*</b>"})
    assert (
        render_custom(own("email", html="<p>{{ data.host }}</p>"), "email", made).html
        == "<p>&lt;b&gt;*a*&lt;/b&gt;</p>"
    )
    assert render_custom(own("telegram", text="{{ data.host }}"), "telegram", made).text == r"<b\>\*a\*</b\>"
    assert render_custom(own("sms", text="{{ data.host }}"), "sms", made).text.startswith("<b>*a*</b>")


@pytest.mark.parametrize("subject", ["{{ data.host }}", "a\n{% if data.host %}\nBcc: x@example.org\n{% endif %}\n"])
def test_a_subject_is_one_line_whatever_the_values_and_the_source(context: Make, subject: str) -> None:
    made = context("ssl_failure", {"host": "a\r\nBcc: x@example.org"})
    assert render_custom(own("email", subject=subject, html="x"), "email", made).title == "a Bcc: x@example.org"


def test_secrets_are_dots_but_in_the_email(context: Make) -> None:
    made = context("provisioning.completed", {"password": "hunter2"})
    of = "provisioning.completed"
    email = render_custom(own("email", of, subject="{{ data.password }}", html="{{ data.password }}"), "email", made)
    assert (email.title, email.html) == ("••••••", "hunter2")
    assert "hunter2" not in render_custom(own("sms", of, text="{{ data.password }}"), "sms", made).text


@pytest.mark.mission("A-16")
def test_an_email_extends_the_shipped_layout(context: Make) -> None:
    source = '{% extends "base" %}{% block content %}<p class="ink paragraph">{{ data.error }}</p>{% endblock %}'
    html = render_custom(own("email", html=source), "email", context("ssl_failure", {"error": "late"})).html or ""
    assert html.startswith("<!doctype html>")
    assert "font-size:15px" in html[html.index("late") - 200 : html.index("late")], "looks as the shipped ones do"


@pytest.mark.mission("E-25")
@pytest.mark.parametrize(
    "html",
    [
        '{% extends "base" %}{% block content %}{{ paragraph(data.error) }}{% endblock %}',
        '<p>{{ data.error }}</p><a href="{{ link_url }}">Read</a> <a href="{{ unsubscribe_url }}">No more</a>',
    ],
)
def test_an_email_without_a_text_of_its_own_says_what_its_html_does(context: Make, html: str) -> None:
    leave = "https://bellwire.example.org/u/1"
    told = context("ssl_failure", {"host": "a", "error": "Too late."}, unsubscribe_url=leave)
    text = render_custom(own("email", html=html), "email", told).text
    assert "Too late.\n" in text
    assert f": {leave}" in text
    assert f": {told.link}" in text
    assert all(line == line.rstrip() for line in text.split("\n"))


def test_the_rules_of_a_stylesheet_are_written_onto_what_a_template_makes(context: Make) -> None:
    source = (
        "<html><head><style>td { color: red } @media (max-width: 9px) { td { color: blue } }</style></head>"
        "<body><table>{% for e in data.entries %}<tr><td>{{ e }}</td></tr>{% endfor %}</table></body></html>"
    )
    html = render_custom(own("email", html=source), "email", context("ssl_failure", {"entries": ["a", "b"]})).html or ""
    assert html.count('<td style="color: red;">') == 2
    assert "@media" in html


def test_a_template_that_fails_leaves_it_to_the_shipped_one_where_the_tenant_chose_so(context: Make) -> None:
    made = context("ssl_failure", {"host": "a", "count": 0})
    broken = {"html": "\n{{ 1 / data.count }}"}
    with pytest.raises(OwnTemplateError) as caught:
        render_custom(own("email", **broken), "email", made)
    assert (caught.value.part, caught.value.line) == ("html", 2)
    assert render_custom(own("email", fallback=True, **broken), "email", made) == render("email", "ssl_failure", made)


def test_a_version_that_takes_all_its_time_rests_after_three_times(context: Make) -> None:
    slow = own("sms", text="{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}")
    made, reasons = context("ssl_failure", {"host": "a"}), []
    for _ in range(3):
        with pytest.raises(OwnTemplateError) as refused:
            render_custom(slow, "sms", made)
        reasons.append(str(refused.value))
    assert not any("rests" in reason for reason in reasons)
    with pytest.raises(SandboxAwayError, match="rests now"):  # others of its messages may be fine: they wait
        render_custom(slow, "sms", made)


def test_threads_share_the_processes(context: Make) -> None:
    made = [context("ssl_failure", {"host": f"host-{number}"}) for number in range(40)]
    template = own("sms", text="{{ data.host }}.")

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(render_custom, template, "sms", one) for one in made))

    said = asyncio.run(at_once())
    assert [one.text.split(".")[0] for one in said] == [f"host-{number}" for number in range(40)]
    assert len(pool().pids()) <= 2


@pytest.mark.parametrize(
    ("locale", "zone"),
    [
        ("de", "Europe/Berlin"),
        ("de-CH", "America/St_Johns"),
        ("en-GB", "Asia/Tokyo"),
        ("xx", "Mars/Olympus"),
        (None, None),
    ],
)
def test_dates_and_money_are_written_as_the_recipient_does(context: Make, locale: str | None, zone: str | None) -> None:
    made = replace(context("ssl_failure", {"host": "a"}), user=Person("u", "U", locale, zone))
    source = "{{ event.occurred_at|moment }} | {{ '1280'|money('JPY') }} | {{ _('Reference') }}"
    before = SPOKEN.set(SHIPPED.languages.of(locale, zone))
    try:
        expected = " | ".join((moment(made.event.occurred_at), money("1280", "JPY"), gettext("Reference")))
    finally:
        SPOKEN.reset(before)
    assert render_custom(own("email", html=source), "email", made).html == expected
