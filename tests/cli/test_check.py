"""`bellwire check` needs no installation."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import settings
from workers.stack.places import Places


def test_what_is_shipped_is_in_order_and_channels_without_a_provider_are_named(terminal: Any) -> None:
    said = terminal("check")
    assert said.code == 0
    assert said.out.splitlines()[:4] == [
        "settings: in order",
        "catalogue and routes: in order",
        "queues: in order",
        "templates: in order",
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
