"""Replay of dead letters (B-12)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from domain.errors import InvalidInputError
from pipeline.acknowledge import acknowledge
from pipeline.overview import overview
from pipeline.replay import due_by_channel, replay
from pipeline.webhooks import delete_webhook, put_webhook

SSL = {"type": "ssl_failure", "data": {"host": "shop.example.org"}}


@pytest.fixture
def team(world: Any) -> Any:
    for user_id, chat in (("ada", 71), ("bo", 72)):
        world.user(user_id, email=f"{user_id}@example.org", telegram_chat_id=chat, roles=["operations"])
    return world


def again(world: Any, tenant: str | None = "acme", **what: Any) -> dict[str, Any]:
    with world.begin() as connection:
        return replay(connection, tenant=tenant, actor="key:k1", remote="192.0.2.7", **what)


def dead(world: Any, *events: dict[str, Any], channel: str = "email") -> list[str]:
    """Publish, and let every delivery on the channel be refused; their ids."""
    world.publish(*events)
    return sorted(world.refuse(channel))


def status(world: Any, delivery_id: str) -> tuple[str, str | None]:
    return next((one["status"], one["reason"]) for one in world.deliveries() if one["id"] == delivery_id)


@pytest.mark.mission("B-12")
def test_a_replayed_delivery_is_sent_again_and_its_attempts_go_on_counting(team: Any) -> None:
    ids = dead(team, SSL)
    assert again(team, ids=ids) == {"replayed": ids, "left_out": [], "more": False}
    assert {status(team, one) for one in ids} == {("queued", "replayed")}
    assert team.execute("SELECT FROM dead_letters") == []
    assert sorted(team.send("email")) == ids
    for one in team.deliveries(channel="email"):
        assert one["status"] == "sent"
        assert [(tried["number"], tried["outcome"]) for tried in one["attempts"]] == [(1, "refused"), (2, "sent")]


@pytest.mark.mission("B-12")
def test_a_replayed_delivery_has_the_whole_retry_schedule_before_it(team: Any) -> None:
    (first, _) = dead(team, SSL)
    team.execute("UPDATE deliveries SET failures = 6, crashes = 3 WHERE id = cast(:id AS uuid)", id=first)
    again(team, ids=[first])
    (row,) = team.execute(
        "SELECT failures, crashes, due_at <= now() AS due FROM deliveries WHERE id = cast(:id AS uuid)", id=first
    )
    assert (row.failures, row.crashes, row.due) == (0, 0, True)


@pytest.mark.mission("B-12")
def test_however_many_click_at_once_each_delivery_is_replayed_once(team: Any) -> None:
    ids = dead(team, *({**SSL, "data": {"host": f"h{number}"}} for number in range(10)))
    asked = [{"ids": ids}, {"filters": {}}, {"ids": list(reversed(ids))}, {"filters": {"channel": "email"}}]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda what: again(team, **what), asked * 2))
    replayed = [one for answer in answers for one in answer["replayed"]]
    assert sorted(replayed) == ids
    assert len(team.send("email")) == len(ids)
    assert team.send("email") == []


@pytest.mark.mission("B-12")
def test_what_nobody_wants_any_more_is_left_out_and_ends_with_the_reason(team: Any) -> None:
    team.user("cy", email="cy@example.org")
    mine = {**SSL, "data": {"host": "expired"}, "recipients": ["cy"], "expires_at": "2999-01-01T00:00:00Z"}
    other = {"type": "obligation_due", "data": {"obligation_id": "preference"}}
    (expired, preference, taken) = team.publish(mine, other, SSL)
    team.refuse("email")
    team.execute("UPDATE events SET expires_at = now() WHERE id = cast(:id AS uuid)", id=expired)
    team.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, event, channels) "
        "SELECT gen_random_uuid(), 'acme', u, 'obligations', 'obligation_due', '{\"email\": false}' "
        "FROM unnest(ARRAY['ada', 'bo']) u"
    )
    with team.begin() as connection:
        id_ = team.notification(taken, "ada")["id"]
        acknowledge(
            connection, tenant="acme", notification_id=id_, by_user_id="ada", everyone=None, note=None, actor="user:ada"
        )
    answer = again(team, filters={})
    assert answer["replayed"] == []
    reasons = {one["id"]: one["reason"] for one in answer["left_out"]}
    ends = {
        (status(team, one["id"]), reasons[one["id"]], event_id)
        for event_id in (expired, preference, taken)
        for notification in team.event(event_id)["notifications"]
        for one in notification["deliveries"]
        if one["channel"] == "email"
    }
    assert ends == {
        (("expired", "expired"), "expired", expired),
        (("dead_letter", "refused"), "preference", preference),  # who may change his mind, and then it is replayed
        (("cancelled", "acknowledged"), "acknowledged", taken),
    }
    assert len(team.execute("SELECT FROM dead_letters")) == 2
    with team.begin() as connection:
        counted = {(row["status"], row["reason"]): row["count"] for row in overview(connection)["finals"]}
    assert counted["expired", "expired"] == 3
    assert counted["cancelled", "acknowledged"] == 2


def test_a_webhook_that_is_gone_is_left_out(team: Any) -> None:
    with team.begin() as connection:
        body = {"url": "https://hooks.example.org/"}
        put_webhook(connection, tenant="acme", user_id=None, name="shop", body=body, actor="cli")
    (id_,) = dead(team, SSL, channel="webhook")
    with team.begin() as connection:
        delete_webhook(connection, tenant="acme", user_id=None, name="shop", actor="cli")
    assert again(team, ids=[id_])["left_out"] == [{"id": id_, "reason": "no_webhooks_configured"}]
    assert status(team, id_) == ("cancelled", "no_webhooks_configured")


def test_only_what_the_filter_leaves_is_replayed(team: Any) -> None:
    (mail, _) = dead(team, SSL)
    chats = dead(team, {**SSL, "data": {"host": "other"}}, channel="telegram")
    assert sorted(again(team, filters={"channel": "telegram", "event": "ssl_*", "since": "1h"})["replayed"]) == chats
    assert status(team, mail)[0] == "dead_letter"
    assert (
        again(team, filters={"recipient": "ada", "reason": "refused"})["replayed"]
        == [one["id"] for one in team.deliveries(recipient="ada", channel="email") if one["event"] == "ssl_failure"][
            -1:
        ]
    )


def test_another_tenants_dead_letter_is_none_here(team: Any) -> None:
    ids = dead(team, SSL)
    answer = again(team, tenant="other", ids=ids)
    assert answer["left_out"] == [{"id": one, "reason": "not_a_dead_letter"} for one in ids]
    assert again(team, tenant="other", filters={})["replayed"] == []
    assert {status(team, one) for one in ids} == {("dead_letter", "refused")}


def test_what_is_no_dead_letter_stays_as_it_is(team: Any) -> None:
    team.publish(SSL)
    waiting = team.deliveries(channel="email")[0]
    missing = "00000000-0000-7000-8000-000000000000"
    answer = again(team, ids=[waiting["id"], missing])
    assert answer["replayed"] == []
    assert [one["id"] for one in answer["left_out"]] == [waiting["id"], missing]
    assert status(team, waiting["id"]) == ("queued", None)


def test_a_thousand_at_once_and_the_answer_says_that_there_are_more(team: Any) -> None:
    (one, _) = dead(team, SSL)
    team.execute(
        "INSERT INTO deliveries (id, tenant, event_id, channel, address, template, priority, status, reason)"
        " SELECT gen_random_uuid(), tenant, event_id, channel, address, template, priority, status, reason"
        " FROM deliveries, generate_series(1, 1005) WHERE id = cast(:id AS uuid)",
        id=one,
    )
    team.execute(
        "INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail)"
        " SELECT id, tenant, channel, 'ssl_failure', reason, '' FROM deliveries WHERE status = 'dead_letter'"
        " ON CONFLICT DO NOTHING"
    )
    first = again(team, filters={})
    assert (len(first["replayed"]), first["more"]) == (1000, True)
    second = again(team, filters={})
    assert (len(second["replayed"]), second["more"]) == (7, False)


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ({}, ""),
        ({"ids": ["x"], "filters": {}}, ""),
        ({"ids": []}, "ids"),
        ({"ids": "abc"}, "ids"),
        ({"ids": ["no-uuid"]}, "ids[0]"),
        ({"ids": [7]}, "ids[0]"),
        ({"filters": {"status": "dead_letter"}}, "status"),
        ({"filters": {"channel": "pigeon"}}, "channel"),
        ({"filters": {"since": "yesterday"}}, "since"),
        ({"filters": {"event": ["ssl"]}}, "event"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(team: Any, what: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        again(team, **what)
    assert raised.value.field == field


def test_the_audit_says_who_replayed_what(team: Any) -> None:
    ids = dead(team, SSL)
    again(team, ids=ids)
    row = team.audit()[-1]
    assert (row.tenant, row.actor, row.action, row.remote_address) == (
        "acme",
        "key:k1",
        "dead_letters.replay",
        "192.0.2.7",
    )
    assert row.subject == "2 dead letters"
    assert sorted(row.after["queued"]) == ids


def test_whom_to_ring_is_told_by_channel(team: Any) -> None:
    ids = dead(team, SSL) + dead(team, {**SSL, "data": {"host": "b"}}, channel="telegram")
    with team.begin() as connection:
        answer = replay(connection, tenant=None, ids=ids, actor="cli")
        due = due_by_channel(connection, answer["replayed"])
    assert {channel: len(rung) for channel, rung in due.items()} == {"email": 2, "telegram": 4}
