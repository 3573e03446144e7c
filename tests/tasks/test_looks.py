"""A tenant's brand and own templates in what workers send: at once in the next message, never in a retry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.engine import engine
from pipeline.replay import replay
from pipeline.template_body import Body
from pipeline.template_sending import send_test
from pipeline.template_trial import given, read_background
from pipeline.templates import find_version, publish, save_draft
from workers.receivers.script import Fault, Reply
from workers.receivers.together import Receivers

EMAIL = ("ssl_failure", "email", "")
EVENT = {"tenant": "acme", "type": "ssl_failure", "severity": "critical", "recipients": ["u1"]}


def settings_for(receivers: Receivers) -> dict[str, str]:
    return {
        **receivers.whole_environment(),
        "BELLWIRE_EMAIL_PROVIDERS": "resend",
        "BELLWIRE_RATE_LIMITS": "resend=1000/1",
        "BELLWIRE_RECIPIENT_CAPS": "",
    }


@pytest.fixture
def u1(process: Any) -> Any:
    """The process with one user who has an email address."""
    process.user("u1", email="u1@example.org")
    return process


def brand(process: Any, version: int, **values: Any) -> None:
    process.execute(
        "INSERT INTO branding (tenant, version, body, actor) VALUES ('acme', :version, :body, 'cli')",
        version=version,
        body=json.dumps(values),
    )
    process.execute("UPDATE tenants SET version = version + 1 WHERE id = 'acme'")


def template(html: str, place: tuple[str, str, str] = EMAIL) -> str:
    """Publish a template of the tenant's own; the version's id."""
    parts = {"html": html, "subject": "Ours: {{ data.host }}"} if place[1] == "email" else {"text": html}
    with engine().begin() as connection:
        saved = save_draft(connection, tenant="acme", place=place, body=Body(parts), actor="cli")
        publish(connection, tenant="acme", place=place, number=saved["version"], actor="cli")
        return str(connection.exec_driver_sql("SELECT max(id::text) FROM template_versions").scalar_one())


def tell(process: Any) -> Any:
    number = process.execute("SELECT count(*) AS n FROM events")[0].n
    process.publish({**EVENT, "data": {"host": f"shop-{number}"}})
    return look(process)


def look(process: Any) -> Any:
    process.execute("UPDATE deliveries SET due_at = now() WHERE due_at IS NOT NULL")
    process.ring("email")
    return process.deliveries("email")[-1]


def mails(process: Any) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in process.receivers.lab.received]


@pytest.mark.mission("A-21", "A-22")
def test_a_new_brand_shows_in_the_next_message(u1: Any) -> None:
    assert tell(u1).brand_version == 0
    brand(u1, 1, name="Acme Hosting", reply_to="help@acme.example")
    assert tell(u1).brand_version == 1
    before, after = mails(u1)
    assert "Acme Hosting" not in before["html"]
    assert "Acme Hosting" in after["html"]
    assert "help@acme.example" in after["reply_to"]


@pytest.mark.mission("A-19", "A-20")
def test_a_published_template_is_used_by_the_next_message(u1: Any) -> None:
    assert tell(u1).template_version is None
    version = template("<p>Our own words about {{ data.host }}</p>")
    assert str(tell(u1).template_version) == version
    after = mails(u1)[-1]
    assert after["subject"] == "Ours: shop-1"
    assert "Our own words about shop-1" in after["html"]


@pytest.mark.mission("A-19")
def test_a_retry_says_what_the_first_attempt_said_byte_for_byte(u1: Any) -> None:
    brand(u1, 1, name="Old name")
    template("<p>Old words</p>")
    u1.receivers.lab.script("resend", Reply(fault=Fault.HANG_UP), Reply(200))
    assert tell(u1).status == "failed"
    brand(u1, 2, name="New name")
    template("<p>New words</p>")
    assert look(u1).status == "sent"
    first, second = u1.receivers.lab.received
    assert first.body == second.body
    assert "Old words" in json.loads(second.body)["html"]


@pytest.mark.mission("B-12")
def test_what_cannot_be_said_is_a_dead_letter_and_is_said_after_the_template_was_mended(u1: Any) -> None:
    template("<p>{{ 1 / (data.host | length - 6) }}</p>")  # fails for "shop-0" only, as real data may
    dead = tell(u1)
    assert (dead.status, dead.reason) == ("dead_letter", "not_rendered")
    (letter,) = u1.execute("SELECT detail FROM dead_letters")
    assert "ssl_failure" in letter.detail
    assert "shop-0" not in letter.detail
    template("<p>Mended</p>")
    with engine().begin() as connection:
        replay(connection, tenant="acme", ids=[str(dead.id)], actor="cli")
    assert look(u1).status == "sent"
    assert "Mended" in mails(u1)[-1]["html"]


@pytest.mark.mission("A-22")
def test_the_inbox_speaks_in_the_tenants_own_words_too(u1: Any) -> None:
    template("{{ data.host }} again, says Acme", ("ssl_failure", "in_app", ""))
    tell(u1)
    (shown,) = u1.execute("SELECT title, content FROM notifications")
    assert shown.content == "shop-0 again, says Acme"
    template("{{ 1 / (data.host | length - 6) }}", ("ssl_failure", "in_app", ""))  # an inbox has no retry
    tell(u1)
    shown = u1.execute("SELECT title, content FROM notifications ORDER BY id DESC")[0]
    assert shown.title
    assert "Acme" not in shown.content


def test_words_of_other_tenants_and_channels_are_as_shipped(u1: Any) -> None:
    template("Ours in a text message", ("ssl_failure", "sms", ""))
    assert tell(u1).template_version is None
    assert "Ours" not in mails(u1)[-1]["subject"]


@pytest.mark.mission("A-18")
def test_a_test_says_what_its_version_says_whatever_is_in_force(u1: Any) -> None:
    template("<p>In force</p>")
    parts = {"html": "<p>A draft about {{ data.host }}</p>", "subject": "Draft"}
    with engine().begin() as connection:
        saved = save_draft(connection, tenant="acme", place=EMAIL, body=Body(parts), actor="cli")
        draft = find_version(connection, tenant="acme", place=EMAIL, number=saved["version"])
        known = read_background(connection, "acme", "ssl_failure")
        asked = {"what": given(known, {"host": "tried.example.org"}), "background": known, "actor": "cli"}
        for version in (draft, None):
            to = (None, "look@example.org")
            send_test(connection, tenant="acme", place=EMAIL, version=version, to=to, **asked)
    assert look(u1).status == "sent"
    said = {mail["subject"]: mail["html"] for mail in mails(u1)}
    assert "A draft about tried.example.org" in said.pop("Draft")
    assert "In force" not in "".join(said.values())
