"""Telegram through the real library to a local Bot API: what is sent, and what every answer means."""

from __future__ import annotations

import json

import pytest

from channels.base import AccountError, Address, Fate, Message, NotSentError, OutcomeUnknownError, Receipt, RefusedError
from channels.telegram import TelegramProvider
from workers.receivers.script import Fault, Reply
from workers.receivers.telegram import fields, problem

TOKEN = "123456:top-secret"


@pytest.fixture
def send(bot_api, make_settings, run):
    def sending(chat: str = "4711", text: str = "Hello", **more: str | None) -> Receipt:
        async def scenario() -> Receipt:
            settings = make_settings(telegram_url=bot_api.url + "/", telegram_bot_token=TOKEN)
            provider = TelegramProvider.from_settings(settings)
            try:
                return await provider.send(Message("delivery-1", "t", "e", "x", text=text, **more), Address(chat))
            finally:
                await provider.close()

        return run(scenario())

    return sending


@pytest.mark.mission("B-3")
@pytest.mark.parametrize("chat", ["4711", "-4711", "-1001234567890", "@operations"])
def test_users_groups_and_channels_are_reached_with_markdown(chat, bot_api, send):
    receipt = send(chat, r"*Bold* \(escaped\)")
    sent = fields(bot_api.received[0].body)
    assert (sent["chat_id"], sent["text"], sent["parse_mode"]) == (chat, r"*Bold* \(escaped\)", "MarkdownV2")
    assert receipt.message_id
    assert receipt.moved_to is None


@pytest.mark.parametrize("chat", ["", "nobody", "+49123", "12 34", "@a/b", "-", "@", "https://t.me/x", "١٢٣"])
def test_what_is_no_chat_is_refused_before_anything_is_sent(chat, bot_api, send):
    with pytest.raises(RefusedError, match="not a chat id"):
        send(chat)
    assert bot_api.connections == 0


CANNOT_PARSE = problem(400, "Bad Request: can't parse entities: Can't find end of the entity starting at byte offset 0")


@pytest.mark.mission("B-3")
def test_what_telegram_cannot_parse_goes_out_once_more_as_plain_text(bot_api, send):
    bot_api.script("4711", CANNOT_PARSE, Reply())
    send(text=r"*broken \. _markup")
    first, second = (fields(one.body) for one in bot_api.received)
    assert first["parse_mode"] == "MarkdownV2"
    assert "parse_mode" not in second
    assert second["text"] == "*broken . _markup"


@pytest.mark.mission("B-3")
def test_a_text_that_is_too_long_is_cut_at_4096_units(bot_api, send):
    send(text="*" + "👍" * 3000 + "*")
    text = fields(bot_api.received[0].body)["text"]
    assert text == "*" + "👍" * 2047 + "…*"


@pytest.mark.mission("B-3")
def test_a_group_that_became_a_supergroup_is_followed_and_reported(bot_api, send):
    moved = problem(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-1009)
    bot_api.script("-42", moved)
    receipt = send("-42")
    assert receipt.moved_to == "-1009"
    assert [one.target for one in bot_api.received] == ["-42", "-1009"]


def test_groups_that_point_at_each_other_are_followed_once(bot_api, send):
    bot_api.script("-1", problem(400, "moved", migrate_to_chat_id=-2))
    bot_api.script("-2", problem(400, "moved", migrate_to_chat_id=-1))
    with pytest.raises(RefusedError):
        send("-1")
    assert len(bot_api.received) == 2


@pytest.mark.mission("E-45")
@pytest.mark.parametrize(
    ("parameters", "wait"),
    [({"retry_after": 7}, 7.0), ({"retry_after": -1}, None), ({"retry_after": 0}, None), ({}, None)],
)
def test_too_many_requests_wait_as_long_as_telegram_says_and_are_no_failure(parameters, wait, bot_api, send):
    bot_api.script("4711", problem(429, "Too Many Requests", **parameters))
    with pytest.raises(NotSentError) as caught:
        send()
    assert caught.value.retry_after == wait
    assert (caught.value.throttled, caught.value.provider_failed) == (True, False)


ANSWERS = {
    "blocked": (
        problem(403, "Forbidden: bot was blocked by the user"),
        RefusedError,
        "bot was blocked by the user",
        False,
    ),
    "kicked": (problem(403, "Forbidden: bot was kicked from the group chat"), RefusedError, "bot was kicked", False),
    "no chat": (problem(400, "Bad Request: chat not found"), RefusedError, "chat not found", False),
    "other": (problem(400, "Bad Request: private-body is odd"), RefusedError, "refused by the Bot API", False),
    "token": (problem(401, "Unauthorized"), AccountError, "token", True),
    "no such bot": (problem(404, "Not Found"), AccountError, "token", True),
    "500": (problem(500, "Internal Server Error"), NotSentError, "HTTP 500", True),
    "503": (Reply(503, b"<html>private-body</html>"), NotSentError, "HTTP 503", True),
    "502": (Reply(502, b"<html>Bad Gateway</html>"), OutcomeUnknownError, "HTTP 502", True),
    "504": (Reply(504), OutcomeUnknownError, "HTTP 504", True),
    "409": (problem(409, "Conflict"), NotSentError, "HTTP 409", True),
    "redirect": (Reply(302, headers={"Location": "http://127.0.0.1/"}), NotSentError, "unexpected", True),
    "not JSON": (Reply(200, b"<html>private-body</html>"), OutcomeUnknownError, "not what the Bot API", True),
    "no result": (Reply(200, b'{"ok": true}'), OutcomeUnknownError, "not what the Bot API", True),
    "a list": (Reply(200, b"[]"), OutcomeUnknownError, "not what the Bot API", True),
    "odd result": (Reply(200, b'{"ok": true, "result": 1}'), OutcomeUnknownError, "not what the Bot API", True),
    "odd chat": (Reply(200, b'{"result": {"message_id": 1, "chat": null}}'), OutcomeUnknownError, "not what", True),
    "error as a list": (Reply(400, b"[]"), OutcomeUnknownError, "not what", True),
}


@pytest.mark.parametrize(("answer", "kind", "words", "against"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer_decides(answer, kind, words, against, bot_api, send):
    bot_api.script("4711", answer)
    with pytest.raises(kind) as caught:
        send()
    assert type(caught.value) is kind
    assert words in caught.value.detail
    assert caught.value.provider_failed == against
    assert "private" not in caught.value.detail
    assert "secret" not in caught.value.detail


@pytest.mark.mission("B-3")
@pytest.mark.mission("B-9")
def test_a_message_that_can_be_acknowledged_has_one_button(bot_api, send):
    send(acknowledge="a:" + "x" * 62)
    keyboard = json.loads(fields(bot_api.received[0].body)["reply_markup"])
    assert keyboard == {"inline_keyboard": [[{"text": "Acknowledge", "callback_data": "a:" + "x" * 62}]]}


@pytest.mark.parametrize("answers", [None, "", "x" * 65, "é" * 33])
def test_what_cannot_be_a_button_is_left_out_and_the_message_goes_out(answers, bot_api, send):
    assert send(acknowledge=answers).message_id
    assert "reply_markup" not in fields(bot_api.received[0].body)


def test_the_button_stays_below_a_text_that_telegram_cannot_parse_and_follows_a_group(bot_api, send):
    bot_api.script("-42", problem(400, "upgraded", migrate_to_chat_id=-1009))
    bot_api.script("-1009", CANNOT_PARSE, Reply())
    send("-42", acknowledge="a:b")
    assert all("a:b" in fields(one.body)["reply_markup"] for one in bot_api.received)
    assert len(bot_api.received) == 3


@pytest.mark.mission("E-45")
def test_telegrams_own_limits_are_declared():
    limits = TelegramProvider.capabilities.limits
    assert {(one.amount, one.seconds, one.scope) for one in limits} == {(30, 1, "account"), (1, 1, "address")}


FATES = {
    "bot was blocked by the user": Fate.SUPPRESS,
    "user is deactivated": Fate.SUPPRESS,
    "bot was kicked from the group chat": Fate.SUPPRESS,
    "bot can't initiate conversation with a user": Fate.NONE,
    "chat not found": Fate.NONE,
    "message text is empty": Fate.NONE,
}


@pytest.mark.parametrize(("words", "fate"), FATES.items())
def test_only_who_does_not_want_us_is_told_no_more(words, fate, bot_api, send):
    bot_api.script("4711", problem(403, f"Forbidden: {words}"))
    with pytest.raises(RefusedError) as caught:
        send()
    assert caught.value.fate is fate


def test_a_lost_answer_is_not_followed_by_a_second_message(bot_api, send):
    bot_api.script("4711", Reply(fault=Fault.RESET), Reply())
    with pytest.raises(OutcomeUnknownError):
        send()
    assert len(bot_api.received) == 1


def test_an_empty_token_configures_nothing(make_settings):
    assert TelegramProvider.from_settings(make_settings(telegram_bot_token="")) is None
