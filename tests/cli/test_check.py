"""`bellwire check` needs no installation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.settings import settings
from workers.stack.places import Places


def test_what_is_shipped_is_in_order_and_channels_without_a_provider_are_named(terminal: Any) -> None:
    said = terminal("check")
    assert said.code == 0
    assert said.out.splitlines()[:5] == [
        "settings: in order",
        "catalogue and routes: in order",
        "queues: in order",
        "templates: in order",
        "languages: in order",
    ]
    assert "email has no provider, so its deliveries wait: set BELLWIRE_SMTP_URL, or " in said.out
    assert "telegram has no provider" in said.out


def test_a_configured_channel_is_not_named_and_a_previewed_one_says_where_its_messages_go(
    terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLWIRE_SMTP_URL", "smtp://127.0.0.1:2525?starttls=false")
    monkeypatch.setenv("BELLWIRE_PREVIEW", "true")
    settings.cache_clear()
    notes = terminal("check", "--json").json["notes"]
    assert "telegram has no provider; its messages are kept in the preview mailbox: `bellwire previews`." in notes
    assert not [note for note in notes if note.startswith("email ")]


def test_providers_are_named_in_the_order_in_which_they_are_tried(
    terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLWIRE_SMTP_URL", "smtp://127.0.0.1:2525?starttls=false")
    monkeypatch.setenv("BELLWIRE_RESEND_API_KEY", "re_123")
    monkeypatch.setenv("BELLWIRE_EMAIL_PROVIDERS", "resend,smtp")
    settings.cache_clear()
    assert "email goes by resend, smtp\n" in terminal("check").out
    assert terminal("check", "--json").json["providers"]["email"] == ["resend", "smtp"]


def test_a_stack_that_was_started_for_the_demo_keeps_messages_though_no_setting_says_so(terminal: Any) -> None:
    places = Places.of(settings().home)
    places.make()
    places.note_previews(True)
    assert "email has no provider; its messages are kept in the preview mailbox" in terminal("check").out
    places.note_previews(False)
    assert "email has no provider, so its deliveries wait" in terminal("check").out


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("BELLWIRE_RETRY_SCHEDULE", "soon", "BELLWIRE_RETRY_SCHEDULE: must be whole seconds"),
        ("BELLWIRE_JWT_SECRET", "short", "BELLWIRE_JWT_SECRET: must be at least 32 bytes"),
        ("BELLWIRE_EMAIL_PROVIDERS", "pigeon", "BELLWIRE_EMAIL_PROVIDERS: must be of smtp"),
        ("BELLWIRE_SMTP_URL", "http://mail.example.org", "BELLWIRE_SMTP_URL"),
        ("BELLWIRE_ON_UNKNOWN", "sms=never", "BELLWIRE_ON_UNKNOWN: must be resend or park"),
        ("BELLWIRE_RECIPIENT_CAPS", "pigeon=1/60", "BELLWIRE_RECIPIENT_CAPS: there is no channel pigeon"),
        ("BELLWIRE_RATE_LIMITS", "pigeon=1/60", "BELLWIRE_RATE_LIMITS: must be of apprise, smtp, resend, "),
        ("BELLWIRE_AWS_ACCESS_KEY_ID", "AKIAEXAMPLE", "BELLWIRE_AWS_SECRET_ACCESS_KEY: must be set, because another"),
        ("BELLWIRE_AWS_SECRET_ACCESS_KEY", "secret", "BELLWIRE_AWS_ACCESS_KEY_ID: must be set, because another"),
        ("BELLWIRE_RESEND_WEBHOOK_SECRET", "whsec_%%%", "BELLWIRE_RESEND_WEBHOOK_SECRET: must be whsec_ and base64"),
        ("BELLWIRE_SENDGRID_WEBHOOK_SECRET", "abc", "BELLWIRE_SENDGRID_WEBHOOK_SECRET: must be the verification key"),
        ("BELLWIRE_POSTMARK_WEBHOOK_SECRET", "abc", "BELLWIRE_POSTMARK_WEBHOOK_SECRET: must be user:password"),
        ("BELLWIRE_SES_TOPIC_ARNS", "receipts", "BELLWIRE_SES_TOPIC_ARNS: must be ARNs such as"),
        ("BELLWIRE_TELEGRAM_WEBHOOK_SECRET", "a b", "BELLWIRE_TELEGRAM_WEBHOOK_SECRET: must be 1 to 256 of"),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_and_the_check_fails(
    terminal: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    settings.cache_clear()
    said = terminal("check")
    assert said.code == 1
    assert words in said.out
    assert "1 problem." in said.out


AWS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1"}
TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "0" * 32, "TWILIO_FROM": "+15005550006"}
SMTP = {"SMTP_URL": "smtp://127.0.0.1:2525?starttls=false"}


@pytest.fixture
def checked(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `check --json` says of an installation with these settings, without the prefix of their names."""

    def check(given: dict[str, str]) -> Any:
        for name, value in given.items():
            monkeypatch.setenv(f"BELLWIRE_{name}", value)
        settings.cache_clear()
        return json.loads(terminal("check", "--json").out)

    return check


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (AWS, []),
        ({**AWS, "AWS_REGION": ""}, ["AWS_REGION"]),
        ({**AWS, "SES_TOPIC_ARNS": "arn:aws:sns:eu-central-1:123456789012:a, b"}, ["SES_TOPIC_ARNS"]),
        ({**SMTP, "EMAIL_SENDERS": "a.*=A <a@example.org>; b.*=nobody"}, ["EMAIL_SENDERS"]),
        ({"TELEGRAM_UPDATES": "webhook"}, ["TELEGRAM_WEBHOOK_SECRET", "PUBLIC_URL"]),
        ({"TELEGRAM_UPDATES": "webhook", "PUBLIC_URL": "https://b.example.org"}, ["TELEGRAM_WEBHOOK_SECRET"]),
        ({"TELEGRAM_UPDATES": "webhook", "TELEGRAM_WEBHOOK_SECRET": "abc"}, ["PUBLIC_URL"]),
        (
            {"TWILIO_FROM": "+15005550006", "WHATSAPP_TOKEN": "a b", "SMTP_URL": "http://x", "RESEND_API_KEY": "a b"},
            ["SMTP_URL", "RESEND_API_KEY", "TWILIO_ACCOUNT_SID", "WHATSAPP_TOKEN"],
        ),
        ({"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "EMAIL_PROVIDERS": "ses,pigeon"}, ["EMAIL_PROVIDERS"]),
        ({"RETRY_SCHEDULE": "soon", "EMAIL_SENDERS": "x"}, ["RETRY_SCHEDULE", "EMAIL_SENDERS"]),
    ],
)
def test_all_that_is_set_up_by_half_is_named(checked: Any, given: dict[str, str], named: list[str]) -> None:
    found = checked(given)["problems"]["settings"]
    assert [problem.partition(":")[0].removeprefix("BELLWIRE_") for problem in found] == named


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({}, False),
        (SMTP, True),
        ({**SMTP, "EMAIL_FROM": "Bellwire <bellwire@example.org>"}, False),
        ({"PREVIEW": "true"}, False),
    ],
)
def test_a_sender_at_localhost_is_doubtful_once_mails_leave(checked: Any, given: dict[str, str], warned: bool) -> None:
    assert any("BELLWIRE_EMAIL_FROM is an address at localhost" in note for note in checked(given)["notes"]) is warned


def test_a_variable_that_no_setting_has_is_told_with_the_nearest_one(checked: Any, nowhere: Path) -> None:
    written = ["BELLWIRE_PUBLIK_URL=https://x", "PREVIEW=true", "POSTGRES_PASSWORD=p", "FLOWER_PASSWORD=f", "OTHER=o"]
    (nowhere / ".env").write_text("\n".join(written), encoding="utf-8")
    notes = checked({"TWILLIO_FROM": "+15005550006", "SOMETHING_ELSE_ALTOGETHER": "1"})["notes"]
    assert [note for note in notes if "is no setting" in note] == [
        "BELLWIRE_SOMETHING_ELSE_ALTOGETHER in the environment is no setting.",
        "BELLWIRE_TWILLIO_FROM in the environment is no setting: BELLWIRE_TWILIO_FROM?",
        "BELLWIRE_PUBLIK_URL in .env is no setting: BELLWIRE_PUBLIC_URL?",
        "PREVIEW in .env is no setting: BELLWIRE_PREVIEW?",
    ]


def test_every_channel_that_is_set_up_has_a_line(terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**TWILIO, "TELEGRAM_BOT_TOKEN": "123456789:AAE" + "x" * 32}
    given |= {"WHATSAPP_TOKEN": "EAAG", "WHATSAPP_PHONE_NUMBER_ID": "106540352242922"}
    for name, value in given.items():
        monkeypatch.setenv(f"BELLWIRE_{name}", value)
    settings.cache_clear()
    lines = terminal("check").out.splitlines()
    assert {"sms goes by twilio", "telegram is set up", "whatsapp is set up"} <= set(lines)
