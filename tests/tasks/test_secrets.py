"""Secrets (A-14): only emails say them; nowhere else are they found, and they are gone once no email needs them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from channels.preview import preview_of
from config.settings import settings
from models.engine import engine
from pipeline.claim import claim
from pipeline.fold import More
from pipeline.ledger import read_event
from pipeline.looks import AS_SHIPPED
from pipeline.own_event_types import put_event_type
from pipeline.sealing import _seal
from pipeline.secrets_of_events import wipe_secrets
from tasks.attempt import words
from tests.support.search import tables_with
from workers.receivers.script import Reply
from workers.receivers.together import Receivers

WORD = "marker-hunter2-parole"
EVENT = {
    "tenant": "acme",
    "type": "provisioning.completed",
    "recipients": ["u1"],
    "data": {"provisioning_id": "p1", "service": "db", "password": WORD, "account": {"password": WORD}},
}


def settings_for(receivers: Receivers) -> dict[str, str]:
    return {
        **receivers.whole_environment(),
        "BELLWIRE_EMAIL_PROVIDERS": "resend",
        "BELLWIRE_RATE_LIMITS": "resend=1000/1",
        "BELLWIRE_RECIPIENT_CAPS": "",
    }


@pytest.fixture
def u1(process: Any) -> Any:
    """The process with a user who is told on every channel, and a webhook of the tenant's."""
    process.user("u1", email="u1@example.org", telegram_chat_id="42", phone="+4915112345678", whatsapp="+4915112345678")
    process.hook("/all")
    body = {
        "match": {"event": "*"},
        "recipients": {"resolver": "explicit"},
        "channels": ["email", "telegram", "sms", "whatsapp", "in_app"],
        "sms_severity": "low",
    }
    process.execute(
        "INSERT INTO routes (tenant, name, body) VALUES ('acme', 'all', cast(:body AS jsonb))", body=json.dumps(body)
    )
    process.execute("UPDATE tenants SET version = version + 1 WHERE id = 'acme'")
    return process


def wipe() -> None:
    with engine().begin() as connection:
        wipe_secrets(connection)


def found(word: str = WORD) -> list[str]:
    """The tables of the whole database in which it stands."""
    with engine().connect() as connection:
        return tables_with(connection, word)


def kept(process: Any) -> int:
    return int(process.execute("SELECT count(*) AS n FROM event_secrets")[0].n)


def said(process: Any) -> dict[str, bool]:
    """On which channels something was said, and whether it was said with the secret."""
    given = process.receivers
    heard = {"webhook": given.webhook, "telegram": given.telegram, "lab": given.lab}
    return {name: WORD.encode() in b"".join(one.body for one in each.received) for name, each in heard.items()}


@pytest.mark.mission("A-14")
def test_only_the_email_says_it_and_after_a_full_run_it_is_found_nowhere(u1: Any, capfd: Any) -> None:
    u1.publish(EVENT)
    assert (kept(u1), found()) == (1, [])
    assert "users" in found("u1@example.org")  # it does look
    for channel in ("webhook", "telegram", "email", "whatsapp", "sms"):
        u1.ring(channel)
    assert u1.deliveries("email")[0].status == "sent"
    assert [WORD in mail["html"] for mail in mails(u1)] == [True]
    assert WORD not in mails(u1)[0]["subject"]
    assert said(u1) == {"webhook": False, "telegram": False, "lab": True}
    assert b"u2022" in u1.receivers.webhook.received[0].body or "•".encode() in u1.receivers.webhook.received[0].body
    wipe()
    assert (kept(u1), found()) == (0, [])
    with engine().begin() as connection:
        shown = read_event(connection, tenant="acme", event_id=str(u1.execute("SELECT id FROM events")[0].id))
    assert WORD not in json.dumps(shown, default=str)
    assert WORD not in "".join(capfd.readouterr())


def mails(process: Any) -> list[dict[str, Any]]:
    """What the email provider was given."""
    bodies = [one.body for one in process.receivers.lab.received if b'"html"' in one.body]
    return [json.loads(body) for body in bodies]


@pytest.mark.mission("A-14")
def test_it_is_kept_while_an_email_may_need_it_and_survives_a_new_key(u1: Any, monkeypatch: Any) -> None:
    u1.receivers.lab.script("resend", Reply(503), Reply(200))
    u1.publish(EVENT)
    u1.ring("email")
    wipe()
    assert (u1.deliveries("email")[0].status, kept(u1)) == ("failed", 1)
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", "a new key of forty characters or so," + "k" * 40)
    settings.cache_clear(), _seal.cache_clear()
    u1.execute("UPDATE deliveries SET due_at = now() WHERE channel = 'email'")
    u1.ring("email")
    assert [WORD in mail["html"] for mail in mails(u1)] == [True, True]
    wipe()
    assert kept(u1) == 0
    monkeypatch.undo()
    settings.cache_clear(), _seal.cache_clear()


@pytest.mark.mission("A-14")
@pytest.mark.parametrize(("days", "left"), [(6, 1), (8, 0)])
def test_a_dead_letter_keeps_it_for_a_week(u1: Any, days: int, left: int) -> None:
    u1.receivers.lab.script("resend", Reply(422))
    u1.publish(EVENT)
    u1.ring("email")
    assert u1.deliveries("email")[0].status == "dead_letter"
    u1.execute("UPDATE dead_letters SET created_at = now() - :days * interval '1 day'", days=days)
    wipe()
    assert kept(u1) == left


@pytest.mark.mission("A-14")
def test_a_preview_has_dots(u1: Any) -> None:
    u1.publish(EVENT)
    with engine().begin() as connection:
        (row,) = claim(connection, "email", 10, 30.0, 0.0).rows
    told = words(row, "email", More(0, ()), AS_SHIPPED, preview_of("email"))
    assert WORD not in str(told)
    assert "•••" in str(told)


@pytest.mark.mission("A-14")
def test_two_secrets_are_two_issues_and_nobody_can_try_which_one_it_was(u1: Any) -> None:
    with engine().begin() as connection:
        body = {"group": "own", "secret": ["pin"]}  # all of the data is its key
        put_event_type(connection, tenant="acme", name="own.pin", body=body, actor="cli")
    for pin in ("1234", "1234", "9876"):
        u1.publish({"tenant": "acme", "type": "own.pin", "data": {"pin": pin}})
    rows = u1.execute("SELECT status, fingerprint, data FROM events ORDER BY id")
    assert [row.status == "duplicate" for row in rows] == [False, True, False]
    assert rows[0].data == rows[2].data == {"pin": "••••••"}
    assert kept(u1) == 2  # what is told along needs none


def test_a_message_that_is_no_event_is_kept_with_dots(u1: Any) -> None:
    u1.publish({**EVENT, "severity": "loud"}, {**EVENT, "tenant": "nobody"})
    rows = u1.execute("SELECT error, payload FROM rejections")
    assert len(rows) == 2
    assert found() == []


def test_a_test_of_a_template_says_it_to_who_it_is_sent_to_only(u1: Any) -> None:
    from pipeline.template_sending import send_test
    from pipeline.template_trial import given, read_background

    with engine().begin() as connection:
        known = read_background(connection, "acme", "provisioning.completed")
        asked = {"what": given(known, EVENT["data"]), "background": known, "actor": "cli"}
        place, to = ("provisioning.completed", "email", ""), (None, "look@example.org")
        send_test(connection, tenant="acme", place=place, version=None, to=to, **asked)
    assert (kept(u1), found()) == (1, [])
    u1.ring("email")
    assert [WORD in mail["html"] for mail in mails(u1)] == [True]


def test_an_email_that_says_a_secret_is_sent_by_itself_whatever_the_hour(u1: Any) -> None:
    u1.user("u1", quiet_hours={"from": "00:00", "to": "23:59"})
    u1.publish(EVENT, {**EVENT, "type": "task.failed", "data": {"task_id": "t1"}})
    by_type = {(one.channel, one.template): one.status for one in u1.deliveries("email")}
    assert by_type == {("email", "provisioning.completed"): "queued", ("email", "task"): "held"}
    u1.ring("email")
    assert WORD in json.loads(u1.receivers.lab.received[-1].body)["text"]


def test_an_email_that_says_a_secret_is_folded_into_no_other(u1: Any) -> None:
    other = {**EVENT, "data": {**EVENT["data"], "provisioning_id": "p2"}}
    u1.publish(EVENT, other, {**EVENT, "type": "task.failed", "data": {"task_id": "t1"}})
    u1.execute("UPDATE deliveries SET status = 'held', reason = 'too_many' WHERE channel = 'email'")
    u1.ring("email")
    assert [one.status for one in u1.deliveries("email")] == ["sent"] * 3
    texts = [json.loads(one.body)["text"] for one in u1.receivers.lab.received]
    assert sum(WORD in text for text in texts) == 2
