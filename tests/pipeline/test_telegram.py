"""What comes in from Telegram: presses of the Acknowledge button, and /start."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from config.settings import settings
from pipeline.routes import put_route
from pipeline.sealing import _seal
from pipeline.telegram import NOT_HERE, NOT_KNOWN, Answered, answer, button
from pipeline.users import delete_user

CUSTOMER = "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01"
SSL = {"type": "ssl_failure", "data": {"host": "shop.example.org"}}
ORDER = {"type": "order.failed", "customer_id": CUSTOMER, "data": {"order_id": "o1"}}
ADA = {"id": 71, "is_bot": False, "first_name": "Ada", "last_name": "Lindqvist"}
STRANGER = {"id": 999, "is_bot": False, "first_name": "Max"}


@pytest.fixture
def keys(own_settings: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the secret keys, and that presses come in."""

    def use(*secrets: str, updates: str = "webhook") -> None:
        monkeypatch.setenv("BELLWIRE_SECRET_KEY", ",".join(secrets))
        monkeypatch.setenv("BELLWIRE_TELEGRAM_UPDATES", updates)
        settings.cache_clear()
        _seal.cache_clear()

    use("k" * 40)
    return use


@pytest.fixture
def team(world: Any, keys: Any) -> Any:
    """Two operators, and two people of one customer; all of them use Telegram."""
    for user_id, chat in (("ada", 71), ("bo", 72)):
        world.user(user_id, email=f"{user_id}@example.org", telegram_chat_id=chat, roles=["operations"])
    for user_id, chat in (("lena", 81), ("carlos", 82)):
        world.user(user_id, telegram_chat_id=chat, customers=[CUSTOMER])
    return world


def press(
    data: str | None, chat: int = 71, sender: dict[str, Any] = ADA, said: str = "It is down.", **message: Any
) -> dict[str, Any]:
    shown = {"message_id": 5, "date": 1, "chat": {"id": chat, "type": "private"}, "text": said, **message}
    return {"update_id": 1, "callback_query": {"id": "77", "from": sender, "message": shown, "data": data}}


def take(world: Any, update: Any, **more: Any) -> Answered | None:
    with world.begin() as connection:
        return answer(connection, update, **more)


def calls(answered: Answered | None) -> dict[str, dict[str, Any]]:
    assert answered is not None
    return {one.method: dict(one.fields) for one in answered.calls}


def toast(answered: Answered | None) -> str:
    return str(calls(answered)["answerCallbackQuery"]["text"])


def alert(world: Any, recipient: str = "ada", event: dict[str, Any] = SSL) -> tuple[str, str]:
    """An event that was told; the notification and what its button answers."""
    (event_id,) = world.publish(event)
    notification_id = world.notification(event_id, recipient)["id"]
    data = button("acme", notification_id)
    assert data is not None
    return event_id, data


def taken_by(world: Any, event_id: str, recipient: str = "ada") -> str | None:
    found: str | None = world.notification(event_id, recipient)["ack_by_user_id"]
    return found


@pytest.mark.mission("B-3")
def test_what_a_button_answers_fits_into_the_64_bytes_that_telegram_takes(team: Any) -> None:
    _, data = alert(team)
    assert len(data.encode()) <= 64


@pytest.mark.mission("B-3")
@pytest.mark.mission("B-9")
def test_a_press_acknowledges_and_takes_the_button_away(team: Any) -> None:
    event_id, data = alert(team)
    done = calls(take(team, press(data)))
    assert done["answerCallbackQuery"] == {"callback_query_id": "77", "text": "Acknowledged."}
    edit = done["editMessageText"]
    assert (edit["chat_id"], edit["message_id"], edit["text"]) == (71, 5, "It is down.\n\nAcknowledged by ada")
    assert "reply_markup" not in edit
    assert taken_by(team, event_id) == taken_by(team, event_id, "bo") == "ada"
    assert [(row.actor, row.action) for row in team.audit()][-1] == ("user:ada", "issue.acknowledge")


def test_the_message_keeps_its_words_as_they_were_marked_and_a_name_is_no_markup(team: Any) -> None:
    team.user("ada", name="*A_d_a* [x](http://y)")
    _, data = alert(team)
    marked = [{"type": "bold", "offset": 0, "length": 2}]
    edit = calls(take(team, press(data, entities=marked)))["editMessageText"]
    assert edit["entities"] == marked
    assert "parse_mode" not in edit
    assert edit["text"].endswith("Acknowledged by *A_d_a* [x](http://y)")


@pytest.mark.parametrize(
    "message", [{"said": "x" * 4090}, {"said": "It is down.\n\nAcknowledged by ada"}, {"text": None}], ids=str
)
def test_where_no_line_fits_only_the_button_goes(team: Any, message: Any) -> None:
    _, data = alert(team)
    done = calls(take(team, press(data, **message)))
    assert done["editMessageReplyMarkup"] == {"chat_id": 71, "message_id": 5}
    assert "editMessageText" not in done


def test_a_second_press_says_who_took_it_and_changes_nothing(team: Any) -> None:
    event_id, data = alert(team)
    take(team, press(data))
    rows = len(team.audit())
    again = take(team, press(data))
    assert toast(again) == "Already acknowledged by ada."
    (theirs,) = (one["id"] for one in team.event(event_id)["notifications"] if one["recipient"] == "bo")
    bos = button("acme", theirs)
    assert toast(take(team, press(bos, 72, {"id": 72, "first_name": "Bo"}))) == "Already acknowledged by ada."
    assert (taken_by(team, event_id), len(team.audit())) == ("ada", rows)


def test_of_many_presses_at_once_one_takes_it(team: Any) -> None:
    _, data = alert(team)
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: toast(take(team, press(data))), range(8)))
    assert sorted(said) == ["Acknowledged.", *["Already acknowledged by ada."] * 7]
    assert len([row for row in team.audit() if row.action == "issue.acknowledge"]) == 1


def test_a_customer_silences_it_for_himself_only(team: Any) -> None:
    to_customers = {
        "match": {"event": "order.*"},
        "recipients": {"resolver": "customer"},
        "channels": ["telegram"],
    }
    with team.begin() as connection:
        put_route(connection, tenant="acme", name="orders", body=to_customers, actor="cli")
    event_id, data = alert(team, "lena", ORDER)
    take(team, press(data, 81, {"id": 81, "first_name": "Lena"}))
    assert taken_by(team, event_id, "lena") == "lena"
    assert taken_by(team, event_id, "carlos") is None


def test_in_a_group_whoever_presses_took_it_if_he_is_a_user(team: Any) -> None:
    team.user("ops", telegram_chat_id=-4711, roles=["operations"])
    event_id, data = alert(team, "ops")
    done = take(team, press(data, -4711, {"id": 72, "first_name": "Somebody"}))
    assert taken_by(team, event_id) == "bo"
    assert calls(done)["editMessageText"]["text"].endswith("Acknowledged by bo")


def test_of_two_users_with_one_chat_the_recipient_took_it(team: Any) -> None:
    team.user("aaa", telegram_chat_id=72)
    event_id, data = alert(team, "bo")
    take(team, press(data, 72, {"id": 72, "first_name": "Bo"}))
    assert taken_by(team, event_id) == "bo"


def test_whoever_is_no_user_takes_it_for_the_recipient_and_is_named_in_the_note(team: Any) -> None:
    team.user("ops", telegram_chat_id=-4711, roles=["operations"])
    event_id, data = alert(team, "ops")
    done = take(team, press(data, -4711, STRANGER))
    ours = team.notification(event_id, "ops")
    assert (ours["ack_by_user_id"], ours["ack_note"]) == ("ops", "Max, in Telegram")
    assert calls(done)["editMessageText"]["text"].endswith("Acknowledged by Max")
    assert team.audit()[-1].actor == "telegram"
    assert "Max" not in str(team.audit()[-1])


def test_a_chat_that_an_event_named_takes_it_for_everyone_when_it_was_told_as_an_admin(team: Any) -> None:
    (event_id,) = team.publish({**SSL, "recipients": [{"telegram_chat_id": "-500"}]})
    named = next(one for one in team.event(event_id)["notifications"] if one["recipient"] not in ("ada", "bo"))
    take(team, press(button("acme", named["id"]), -500, STRANGER))
    assert taken_by(team, event_id, "bo") == "telegram"


def test_a_chat_that_was_told_as_a_customer_and_is_no_users_cannot_silence_the_others(team: Any) -> None:
    (event_id,) = team.publish({**SSL, "recipients": [{"telegram_chat_id": "-500"}]})
    team.execute("UPDATE notifications SET audience = 'customer' WHERE user_id IS NULL")
    named = next(one for one in team.event(event_id)["notifications"] if one["recipient"] not in ("ada", "bo"))
    assert toast(take(team, press(button("acme", named["id"]), -500, STRANGER))) == NOT_HERE
    assert taken_by(team, event_id) is None


def test_a_group_that_moved_may_press_from_where_it_is_now(team: Any) -> None:
    event_id, data = alert(team)
    team.execute(
        "INSERT INTO moved_addresses (tenant, channel, address, moved_to, delivery_id)"
        " SELECT tenant, 'telegram', '71', '-100200', id FROM deliveries WHERE channel = 'telegram' AND address = '71'"
    )
    take(team, press(data, -100200))
    assert taken_by(team, event_id) == "ada"


def test_a_public_channel_presses_under_its_name(team: Any) -> None:
    team.user("ops", telegram_chat_id="@Operations", roles=["operations"])
    event_id, data = alert(team, "ops")
    chat = {"id": -1007, "type": "channel", "username": "operations"}
    take(team, press(data, chat=-1007) | {"update_id": 2})
    assert taken_by(team, event_id) is None
    update = press(data)
    update["callback_query"]["message"]["chat"] = chat
    take(team, update)
    assert taken_by(team, event_id) == "ada"


def test_a_press_from_a_chat_that_it_was_not_sent_to_changes_nothing(team: Any) -> None:
    event_id, data = alert(team)
    assert toast(take(team, press(data, 72))) == NOT_KNOWN
    assert taken_by(team, event_id) is None


def forged(data: str) -> dict[str, str]:
    body, signature = data[:24], data[24:]
    other = "A" if signature[0] != "A" else "B"
    return {
        "another signature": body + other + signature[1:],
        "no signature": body,
        "another purpose": "b" + data[1:],
        "another key": "a:" + "A" * 38,
        "more": data + "A",
        "less": data[:-1],
        "nothing": "",
        "odd": "a:" + "é" * 38,
    }


def test_forged_data_changes_nothing_and_says_only_that_it_is_not_known(team: Any) -> None:
    event_id, data = alert(team)
    for name, one in forged(data).items():
        answered = take(team, press(one))
        assert [call.method for call in answered.calls] == ["answerCallbackQuery"], name  # type: ignore[union-attr]
        assert toast(answered) == NOT_KNOWN, name
    assert taken_by(team, event_id) is None


def test_another_tenants_signature_and_another_tenants_bot_are_not_known(team: Any) -> None:
    event_id, data = alert(team)
    notification_id = team.notification(event_id, "ada")["id"]
    assert toast(take(team, press(button("other", notification_id)))) == NOT_KNOWN
    assert toast(take(team, press(data), account="other")) == NOT_KNOWN
    assert taken_by(team, event_id) is None
    take(team, press(data), account="acme")
    assert taken_by(team, event_id) == "ada"


def test_a_key_that_was_replaced_is_accepted_until_it_is_removed(team: Any, keys: Any) -> None:
    event_id, data = alert(team)
    keys("n" * 40)
    assert toast(take(team, press(data))) == NOT_KNOWN
    keys("n" * 40, "k" * 40)
    assert button("acme", team.notification(event_id, "ada")["id"]) != data
    assert toast(take(team, press(data))) == "Acknowledged."


def test_there_is_no_button_where_presses_cannot_reach_us(team: Any, keys: Any) -> None:
    event_id, _ = alert(team)
    keys("k" * 40, updates="off")
    assert button("acme", team.notification(event_id, "ada")["id"]) is None


def test_a_user_who_was_erased_is_not_known_any_more(team: Any) -> None:
    event_id, data = alert(team)
    with team.begin() as connection:
        delete_user(connection, tenant="acme", user_id="ada", actor="cli")
    for update in (press(data), press(data, chat={"id": ""}), press(data, chat={"id": None, "username": ""})):  # type: ignore[arg-type]
        assert toast(take(team, update)) == NOT_KNOWN
    assert taken_by(team, event_id, "bo") is None


ODD = [
    None,
    [],
    "x",
    7,
    {},
    {"callback_query": None},
    {"callback_query": []},
    {"callback_query": {"id": 7}},
    {"message": {"text": 5, "chat": {"id": 1}}},
    {"message": {"text": "/start"}},
    {"message": {"text": "/start", "chat": {"id": "1"}}},
    {"message": {"text": "/start", "chat": {"id": 10**30}}},
    {"message": {"text": "/start", "chat": {"id": True}}},
    {"message": {"text": "hello", "chat": {"id": 1}}},
    {"message": {"text": "/starting", "chat": {"id": 1}}},
    {"message": [], "callback_query": "x"},
]


@pytest.mark.parametrize("update", ODD, ids=json.dumps)
def test_what_is_no_update_of_ours_asks_for_nothing(team: Any, update: Any) -> None:
    assert take(team, update) is None


@pytest.mark.parametrize(
    "change",
    [
        {"message": None},
        {"message": {"chat": []}},
        {"message": {"chat": {"id": 71, "username": "a\0b"}}},
        {"message": {"chat": {"id": 71}, "message_id": "5", "text": ["x"]}},
        {"from": None},
        {"from": {"id": 10**40, "first_name": 3}},
        {"from": {"id": 71, "first_name": "\0\ud800\n" * 500}},
        {"data": 5},
        {"inline_message_id": "x", "message": None},
    ],
    ids=repr,
)
def test_a_press_of_any_form_breaks_nothing(team: Any, change: Any) -> None:
    _, data = alert(team)
    update = press(data)
    update["callback_query"] |= change
    assert toast(take(team, update))


@pytest.mark.parametrize("words", ["/start", "/start now", "/start@bellwire_bot", "/id"])
@pytest.mark.parametrize("kind", ["message", "channel_post"])
def test_start_answers_with_the_id_of_the_chat(team: Any, words: str, kind: str) -> None:
    done = calls(take(team, {"update_id": 1, kind: {"chat": {"id": -1007}, "text": words}}))
    assert done["sendMessage"]["chat_id"] == -1007
    assert "-1007" in done["sendMessage"]["text"]


def test_start_lifts_what_a_refusal_suppressed_and_nothing_else(team: Any) -> None:
    put = (
        "INSERT INTO suppressions (tenant, channel, address, reason, source)"
        " VALUES (:tenant, 'telegram', :chat, 'permanent_bounce', :source)"
    )
    for tenant, chat, source in (
        ("acme", "71", "refusal"),
        ("other", "71", "refusal"),
        ("acme", "72", "refusal"),
        ("acme", "73", "key:k1"),
    ):
        team.execute(put, tenant=tenant, chat=chat, source=source)
    left = "SELECT tenant, address FROM suppressions ORDER BY tenant, address"
    start = {"message": {"chat": {"id": 71}, "text": "/start"}}
    take(team, start, account="other")
    assert [tuple(row) for row in team.execute(left)] == [("acme", "71"), ("acme", "72"), ("acme", "73")]
    take(team, start)
    take(team, {"message": {"chat": {"id": 73}, "text": "/start"}})
    assert [tuple(row) for row in team.execute(left)] == [("acme", "72"), ("acme", "73")]
    assert [row.action for row in team.audit()][-1] == "suppression.delete"
