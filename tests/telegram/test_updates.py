"""A press is stored first and answered at Telegram then, whichever way it came in."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis

from config.settings import settings
from tasks import live
from tasks.telegram import take_update
from workers.receivers.script import Fault, Reply
from workers.receivers.telegram import fields, problem


def calls(chat: Any) -> list[str]:
    """What the bot did after the message."""
    return [one.target for one in chat.bot_api.received if one.target != "71"]


@pytest.mark.mission("B-3")
def test_a_press_takes_it_and_the_message_says_who_did(chat: Any) -> None:
    alert = chat.alert()
    take_update(chat.press())
    assert chat.taken_by(alert) == "ada"
    assert calls(chat) == ["answerCallbackQuery", "editMessageText"]
    assert chat.shown()["text"].endswith("\n\nAcknowledged by ada")
    assert "reply_markup" not in chat.shown()


def test_who_has_the_issue_open_sees_at_once_that_it_was_taken(
    chat: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = chat.alert()
    monkeypatch.setenv("BELLWIRE_REDIS_URL", redis_url)
    settings.cache_clear()
    live._client.cache_clear()
    with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("ws:notification")
        listener.get_message(timeout=5)
        take_update(chat.press())
        frame = json.loads(listener.get_message(timeout=5)["data"])
    live._client.cache_clear()
    assert frame["acknowledged"]["ack_by_user_id"] == "ada"
    assert [one[:2] for one in frame["notifications"]] == [["ada", alert]]


def test_the_same_update_again_is_answered_and_changes_nothing(chat: Any) -> None:
    chat.alert()
    update = chat.press()
    take_update(update)
    before = dict(chat.shown())
    take_update(update)
    assert chat.shown()["text"] == before["text"]
    assert fields(chat.bot_api.received[-2].body)["text"] == "Already acknowledged by ada."


@pytest.mark.parametrize(
    "answer",
    [Reply(500), Reply(200, b"<html>"), Reply(fault=Fault.RESET), problem(401, "Unauthorized"), problem(429, "Slow")],
    ids=["500", "no JSON", "reset", "token", "429"],
)
def test_what_was_pressed_is_stored_although_telegram_cannot_be_told(chat: Any, answer: Reply) -> None:
    alert = chat.alert()
    chat.bot_api.script("answerCallbackQuery", answer)
    take_update(chat.press())
    assert chat.taken_by(alert) == "ada"


def test_telegram_may_take_its_time_but_not_ours(chat: Any) -> None:
    alert = chat.alert()
    chat.bot_api.script("answerCallbackQuery", Reply(wait=2.5))
    chat.bot_api.script("editMessageText", Reply(fault=Fault.HANG))
    began = time.monotonic()
    take_update(chat.press())
    assert time.monotonic() - began < 6.5
    assert chat.taken_by(alert) == "ada"


def test_a_press_that_telegram_has_forgotten_still_changes_the_message(chat: Any) -> None:
    chat.alert()
    chat.bot_api.script(
        "answerCallbackQuery", problem(400, "Bad Request: query is too old and response timeout expired")
    )
    take_update(chat.press())
    assert chat.shown()["text"].endswith("Acknowledged by ada")


def test_without_a_bot_a_press_is_stored_all_the_same(chat: Any) -> None:
    alert = chat.alert()
    take_update(chat.press(), own=settings().model_copy(update={"telegram_bot_token": None}))
    assert chat.taken_by(alert) == "ada"
    assert calls(chat) == []


def test_start_is_answered_with_the_id_of_the_chat(chat: Any) -> None:
    take_update(chat.bot_api.write({"id": -1007, "type": "supergroup"}, "/start@bellwire_bot"))
    (said,) = [fields(one.body) for one in chat.bot_api.received]
    assert said["chat_id"] == "-1007"
    assert "-1007" in said["text"]
