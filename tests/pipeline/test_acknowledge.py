"""Acknowledging: for whom it is silent, what is withdrawn, when it is loud again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from config.settings import settings
from domain import verdict
from domain.errors import InvalidInputError
from pipeline.acknowledge import Acknowledged, acknowledge
from pipeline.webhooks import put_webhook

CUSTOMER = "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01"
SSL = {"type": "ssl_failure", "data": {"host": "shop.example.org"}}
ORDER = {"type": "order.failed", "customer_id": CUSTOMER, "data": {"order_id": "o1"}}


@pytest.fixture
def team(world: Any) -> Any:
    """Two operators, and two people of one customer."""
    for user_id, chat in (("ada", 71), ("bo", 72)):
        world.user(user_id, email=f"{user_id}@example.org", telegram_chat_id=chat, roles=["operations"])
    for user_id in ("lena", "carlos"):
        world.user(user_id, email=f"{user_id}@example.org", customers=[CUSTOMER])
    return world


def take(world: Any, notification_id: str, by: str, **more: Any) -> dict[str, Any] | None:
    taken = press(world, notification_id, by, **more)
    return None if taken is None else taken.notification


def press(world: Any, notification_id: str, by: str, **more: Any) -> Acknowledged | None:
    with world.begin() as connection:
        return acknowledge(
            connection,
            tenant=more.pop("tenant", "acme"),
            notification_id=notification_id,
            by_user_id=by,
            everyone=more.pop("everyone", None),
            note=more.pop("note", None),
            actor=f"user:{by}",
            **more,
        )


def states(world: Any, event_id: str, recipient: str) -> dict[str, tuple[str, str | None]]:
    return {
        one["channel"]: (one["status"], one["reason"]) for one in world.notification(event_id, recipient)["deliveries"]
    }


def later(world: Any, seconds: int) -> None:
    """Let the dedupe window of every issue pass."""
    world.execute("UPDATE issues SET window_until = window_until - :s * interval '1 second'", s=seconds)


@pytest.mark.mission("B-14")
@pytest.mark.mission("B-9")
@pytest.mark.mission("C-9")
def test_the_answer_shows_who_took_it_when_and_why(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    mine = team.notification(event_id, "ada")
    answer = take(team, mine["id"], "ada", note="I renew it now.")
    assert answer is not None
    assert (answer["id"], answer["ack_by_user_id"], answer["ack_note"]) == (mine["id"], "ada", "I renew it now.")
    assert answer["ack_at"] is not None
    assert answer["status"] == "acknowledged"
    assert answer["read"]


@pytest.mark.mission("B-15")
def test_an_admin_silences_it_for_everyone_and_the_others_stay_unread(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    team.send("telegram")
    take(team, team.notification(event_id, "ada")["id"], "ada", note="mine")
    theirs = team.notification(event_id, "bo")
    assert (theirs["ack_by_user_id"], theirs["ack_note"], theirs["status"]) == ("ada", "mine", "acknowledged")
    assert not theirs["read"]
    for user in ("ada", "bo"):
        assert states(team, event_id, user) == {
            "email": ("cancelled", "acknowledged"),
            "telegram": ("sent", None),
            "in_app": ("sent", None),
        }


@pytest.mark.mission("B-15")
def test_a_customer_silences_it_for_himself_only(team: Any) -> None:
    (event_id,) = team.publish(ORDER)
    take(team, team.notification(event_id, "lena")["id"], "lena")
    assert states(team, event_id, "lena")["email"] == ("cancelled", "acknowledged")
    for user in ("carlos", "ada"):
        assert states(team, event_id, user)["email"] == ("queued", None)
        assert team.notification(event_id, user)["ack_at"] is None
    later(team, 4000)
    (again,) = team.publish(ORDER)
    told = {one["recipient"] for one in team.event(again)["notifications"]}
    assert told == {"carlos", "ada", "bo"}
    skipped = team.event(again)["skipped"]
    assert {"recipient": "lena", "channel": None, "reason": "acknowledged"} in skipped


@pytest.mark.mission("B-15")
def test_the_same_issue_stays_silent_until_it_is_resolved(team: Any) -> None:
    (first,) = team.publish(SSL)
    take(team, team.notification(first, "ada")["id"], "ada")
    later(team, 86400)
    (second,) = team.publish(SSL)
    assert team.event(second)["status"] == "unrouted"
    assert team.event(second)["reason"] == "acknowledged"
    (over,) = team.publish({**SSL, "status": "resolved"})
    assert len(team.event(over)["notifications"]) == 2
    (third,) = team.publish(SSL)
    assert len(team.event(third)["notifications"]) == 2


def test_the_silence_ends_after_the_time_that_the_settings_say(team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_ACK_TTL", "60")
    settings.cache_clear()
    (first,) = team.publish(SSL)
    take(team, team.notification(first, "ada")["id"], "ada")
    (row,) = team.execute("SELECT extract(epoch FROM until - at) AS seconds FROM acknowledgements")
    assert row.seconds == 60
    later(team, 86400)
    team.execute("UPDATE acknowledgements SET until = now() - interval '1 second'")
    (second,) = team.publish(SSL)
    assert len(team.event(second)["notifications"]) == 2
    take(team, team.notification(second, "bo")["id"], "bo")
    (row,) = team.execute("SELECT by_user_id, until > now() AS silent FROM acknowledgements")
    assert (row.by_user_id, row.silent) == ("bo", True)


def test_a_second_acknowledgement_changes_nothing(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    mine, theirs = (team.notification(event_id, user)["id"] for user in ("ada", "bo"))
    first = take(team, mine, "ada", note="first")
    assert take(team, mine, "ada", note="second") == first
    second = take(team, theirs, "bo", note="mine too")
    assert second is not None
    assert (second["ack_by_user_id"], second["ack_note"]) == ("ada", "first")
    assert [row.action for row in team.audit() if row.action == "issue.acknowledge"] == ["issue.acknowledge"]


def test_of_many_who_take_it_at_once_one_does(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    ids = [team.notification(event_id, user)["id"] for user in ("ada", "bo")] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda pair: press(team, pair[1], ("ada", "bo")[pair[0] % 2]), enumerate(ids)))
    assert len({answer and answer.notification["ack_by_user_id"] for answer in answers}) == 1
    assert [answer and answer.just_now for answer in answers].count(True) == 1
    assert len([row for row in team.audit() if row.action == "issue.acknowledge"]) == 1


@pytest.mark.parametrize(
    ("by", "tenant"), [("bo", "acme"), ("ada", "other"), ("stranger", "acme")], ids=["his", "other tenant", "nobody"]
)
def test_somebody_elses_notification_is_not_found(team: Any, by: str, tenant: str) -> None:
    (event_id,) = team.publish(SSL)
    assert take(team, team.notification(event_id, "ada")["id"], by, tenant=tenant) is None
    assert team.notification(event_id, "ada")["ack_at"] is None


@pytest.mark.parametrize("wrong", ["no-uuid", "", "00000000-0000-7000-8000-000000000000"])
def test_a_notification_that_does_not_exist_is_not_found(team: Any, wrong: str) -> None:
    assert take(team, wrong, "ada") is None


@pytest.mark.parametrize(("everyone", "carlos"), [(True, "cancelled"), (False, "queued")])
def test_an_operator_says_for_whom_and_the_recipient_has_not_read_it(team: Any, everyone: bool, carlos: str) -> None:
    (event_id,) = team.publish(ORDER)
    answer = take(team, team.notification(event_id, "lena")["id"], "ops", everyone=everyone)
    assert answer is not None
    assert answer["ack_by_user_id"] == "ops"
    assert not answer["read"]
    assert states(team, event_id, "lena")["email"] == ("cancelled", "acknowledged")
    assert states(team, event_id, "carlos")["email"][0] == carlos


@pytest.mark.mission("B-15")
@pytest.mark.mission("D-36")
def test_what_waits_for_a_retry_and_the_tenants_webhooks_are_withdrawn_too(team: Any) -> None:
    with team.begin() as connection:
        body = {"url": "https://hooks.example.org/"}
        put_webhook(connection, tenant="acme", user_id=None, name="shop", body=body, actor="cli")
    (event_id,) = team.publish(SSL)
    team.settle("telegram", verdict.failed(0, (60,), 0.0, None))
    take(team, team.notification(event_id, "ada")["id"], "ada")
    assert states(team, event_id, "bo")["telegram"] == ("cancelled", "acknowledged")
    (hook,) = team.event(event_id)["deliveries"]
    assert (hook["status"], hook["reason"]) == ("cancelled", "acknowledged")
    (row,) = [row for row in team.audit() if row.action == "issue.acknowledge"]
    assert row.actor == "user:ada"
    assert row.after == {"by": "ada", "event_id": event_id, "everyone": True, "withdrawn": 5}


def test_earlier_alerts_of_the_ongoing_issue_show_it_but_not_those_of_an_older_one(team: Any) -> None:
    (old,) = team.publish(SSL)
    team.publish({**SSL, "status": "resolved"})
    (first,) = team.publish(SSL)
    later(team, 86400)
    (second,) = team.publish(SSL)
    take(team, team.notification(second, "ada")["id"], "ada")
    assert team.notification(first, "bo")["ack_by_user_id"] == "ada"
    assert team.notification(old, "bo")["ack_at"] is None


def test_taking_an_older_issue_leaves_the_present_one_loud(team: Any) -> None:
    (old,) = team.publish(SSL)
    team.publish({**SSL, "status": "resolved"})
    (present,) = team.publish(SSL)
    take(team, team.notification(old, "ada")["id"], "ada")
    assert states(team, present, "ada")["email"] == ("queued", None)
    assert team.notification(present, "ada")["ack_at"] is None
    later(team, 86400)
    (following,) = team.publish(SSL)
    assert len(team.event(following)["notifications"]) == 2


def test_taking_a_chat_message_does_not_swallow_the_next_one_with_the_same_words(team: Any) -> None:
    chat = {"type": "message_received", "recipients": ["ada"], "data": {"sender": "Bo", "text": "ok"}}
    (first,) = team.publish(chat)
    take(team, team.notification(first, "ada")["id"], "ada")
    (second,) = team.publish(chat)
    assert [one["recipient"] for one in team.event(second)["notifications"]] == ["ada"]


def test_what_an_address_was_told_can_be_taken_by_an_operator_for_everyone(team: Any) -> None:
    (event_id,) = team.publish({**SSL, "recipients": [{"email": "guest@example.net"}]})
    named = next(one for one in team.event(event_id)["notifications"] if "@" in one["recipient"])
    assert take(team, named["id"], "guest") is None
    assert take(team, named["id"], "ops", everyone=False) is not None
    assert states(team, event_id, "ada")["email"] == ("cancelled", "acknowledged")


@pytest.mark.parametrize("note", ["x" * 2001, "a\0b", "\ud800", 5])
def test_a_note_that_cannot_be_kept_is_refused(team: Any, note: Any) -> None:
    (event_id,) = team.publish(SSL)
    with pytest.raises(InvalidInputError) as raised:
        take(team, team.notification(event_id, "ada")["id"], "ada", note=note)
    assert raised.value.field == "note"
    assert team.notification(event_id, "ada")["ack_at"] is None
