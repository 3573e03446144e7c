"""`bellwire telegram`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from config.settings import settings
from workers.receivers.telegram import TOKEN, TelegramReceiver, problem
from workers.receivers.together import Running

SECRET = "top-secret_1"


@pytest.fixture
def bot_api() -> Iterator[TelegramReceiver]:
    receiver = TelegramReceiver()
    with Running(receiver):
        yield receiver


@pytest.fixture
def use(terminal: Any, bot_api: TelegramReceiver, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `bellwire telegram webhook` with settings that work, but for those that are given; None unsets."""

    def using(*options: str, **given: str | None) -> Any:
        values = {
            "telegram_url": bot_api.url,
            "telegram_bot_token": TOKEN,
            "telegram_webhook_secret": SECRET,
            "telegram_updates": "webhook",
            "public_url": "https://bellwire.example.org/",
            **given,
        }
        for name, value in values.items():
            if value is not None:
                monkeypatch.setenv(f"BELLWIRE_{name.upper()}", value)
        settings.cache_clear()
        return terminal("telegram", "webhook", *options)

    return using


@pytest.mark.mission("B-3")
def test_telegram_is_told_where_to_call_with_the_secret_and_for_what(use: Any, bot_api: TelegramReceiver) -> None:
    said = use()
    assert (said.code, said.out) == (
        0,
        "Telegram calls https://bellwire.example.org/v1/receipts/telegram from now on.\n",
    )
    assert bot_api.webhook == {
        "url": "https://bellwire.example.org/v1/receipts/telegram",
        "secret_token": SECRET,
        "allowed_updates": '["message", "channel_post", "callback_query"]',
    }
    assert use("--json").json["url"] == bot_api.webhook["url"]
    assert use("--remove").out == "Telegram calls no more.\n"
    assert bot_api.webhook == {}


def test_a_webhook_that_gives_no_buttons_is_set_with_a_warning(use: Any, bot_api: TelegramReceiver) -> None:
    said = use(telegram_updates="off")
    assert said.code == 0
    assert "set it to webhook" in said.err
    assert bot_api.webhook


WRONG = {
    "no token": ({"telegram_bot_token": None}, "BELLWIRE_TELEGRAM_BOT_TOKEN is not set"),
    "no secret": ({"telegram_webhook_secret": None}, "BELLWIRE_TELEGRAM_WEBHOOK_SECRET is not set"),
    "odd secret": ({"telegram_webhook_secret": "a b"}, "BELLWIRE_TELEGRAM_WEBHOOK_SECRET must be 1 to 256"),
    "polling": ({"telegram_updates": "polling"}, "BELLWIRE_TELEGRAM_UPDATES is polling"),
    "no TLS": ({"public_url": "http://bellwire.example.org"}, "BELLWIRE_PUBLIC_URL must begin with https://"),
    "odd port": ({"public_url": "https://bellwire.example.org:9443"}, "BELLWIRE_PUBLIC_URL must begin with https://"),
}


@pytest.mark.parametrize(("given", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_work_is_said_before_telegram_is_asked(
    use: Any, bot_api: TelegramReceiver, given: Any, words: str
) -> None:
    said = use(**given)
    assert said.code == 1
    assert said.err.startswith(words)
    assert bot_api.received == []


def test_what_telegram_refuses_is_said_in_its_words(use: Any, bot_api: TelegramReceiver) -> None:
    bot_api.script(
        "setWebhook",
        problem(400, "Bad Request: bad webhook: Failed to resolve host: Name or service not known"),
        problem(401, "Unauthorized"),
    )
    assert use().err == "Telegram did not do it: failed to resolve host.\n"
    assert use().err == "Telegram did not do it: the bot's token is not accepted.\n"
