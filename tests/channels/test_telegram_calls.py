"""The Bot API's other calls: what every answer means, and that the token is in none of the errors."""

from __future__ import annotations

import json
import time

import pytest

from channels.base import AccountError, NotSentError, OutcomeUnknownError, RefusedError
from channels.telegram_calls import BotApi, Call
from workers.receivers.script import Fault, Reply
from workers.receivers.telegram import fields, problem

PRESS = Call("answerCallbackQuery", {"callback_query_id": "7", "text": "half a pair \ud800"})


@pytest.fixture
def call(bot_api, make_settings, run):
    def calling(*calls: Call, seconds: float = 5.0, url: str | None = None):
        async def scenario():
            settings = make_settings(telegram_url=url or bot_api.url + "/", telegram_bot_token="1:top-secret")
            bot = BotApi.from_settings(settings)
            try:
                return [await bot.call(one, seconds) for one in calls]
            finally:
                await bot.close()

        return run(scenario())

    return calling


def test_calls_are_json_and_share_one_connection(bot_api, call):
    assert call(PRESS, PRESS) == [True, True]
    assert bot_api.connections == 1
    assert fields(bot_api.received[0].body)["callback_query_id"] == "7"


def test_an_answer_may_be_longer_than_a_message(bot_api, call):
    updates = [{"update_id": number, "message": {"text": "x" * 4096}} for number in range(100)]
    bot_api.script("getUpdates", Reply(200, json.dumps({"ok": True, "result": updates}).encode()))
    assert call(Call("getUpdates", {})) == [updates]


ANSWERS = {
    "refused": (problem(400, "Bad Request: query is too old and private"), RefusedError, "query is too old"),
    "unknown words": (problem(400, "Bad Request: private"), RefusedError, "refused by the Bot API"),
    "token": (problem(401, "Unauthorized"), AccountError, "token is not accepted"),
    "no such bot": (problem(404, "Not Found"), AccountError, "token is not accepted"),
    "too many": (problem(429, "Slow", retry_after=3), NotSentError, "HTTP 429"),
    "conflict": (problem(409, "Conflict: private"), NotSentError, "HTTP 409"),
    "500": (Reply(500, b"private"), NotSentError, "HTTP 500"),
    "502": (Reply(502), OutcomeUnknownError, "gateway"),
    "redirect": (Reply(302, b"{", {"Location": "http://127.0.0.1/"}), OutcomeUnknownError, "HTTP 302"),
    "no JSON": (Reply(200, b"<html>private"), OutcomeUnknownError, "not what the Bot API"),
    "a list": (Reply(200, b"[]"), OutcomeUnknownError, "not what the Bot API"),
    "no words": (Reply(400, b'{"ok": false}'), OutcomeUnknownError, "not what the Bot API"),
    "reset": (Reply(fault=Fault.RESET), OutcomeUnknownError, "lost"),
    "nonsense": (Reply(fault=Fault.NONSENSE), OutcomeUnknownError, "not HTTP"),
}


@pytest.mark.parametrize(("answer", "kind", "words"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer_decides_and_nothing_is_told_of_it(answer, kind, words, bot_api, call):
    bot_api.script("answerCallbackQuery", answer)
    with pytest.raises(kind, match=words) as caught:
        call(PRESS)
    assert type(caught.value) is kind
    assert "private" not in f"{caught.value}{caught.value.__cause__}"
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.TRICKLE, Fault.TRICKLE_BODY, Fault.ENDLESS_BODY])
def test_a_call_ends_with_its_deadline(fault, bot_api, call):
    bot_api.script("answerCallbackQuery", Reply(fault=fault))
    began = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        call(PRESS, seconds=0.5)
    assert time.monotonic() - began < 1.5


def test_nobody_there_means_not_sent(call):
    with pytest.raises(NotSentError) as caught:
        call(PRESS, url="http://127.0.0.1:1")
    assert "secret" not in str(caught.value)


def test_without_a_token_there_is_no_bot(make_settings):
    assert BotApi.from_settings(make_settings(telegram_bot_token="")) is None
