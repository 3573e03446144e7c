"""What is held goes out together when its time has come, each once, or ends with its own reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as listening
from sqlalchemy.exc import DBAPIError

from domain.digest import MOST_ITEMS
from domain.states import DeliveryStatus
from pipeline.cancel import cancel_event
from pipeline.digest import Gathered, gather
from pipeline.ledger import explain_event
from pipeline.moments import written
from pipeline.overview import overview
from pipeline.preferences import put_preferences
from pipeline.routes import put_route
from pipeline.users import delete_user

DAILY = {"group": "obligations", "cadence": "daily"}


def prefer(world: Any, *entries: dict[str, Any], user: str = "ana") -> None:
    with world.begin() as connection:
        put_preferences(
            connection,
            tenant="acme",
            user_id=user,
            customers=(),
            body={"preferences": list(entries)},
            actor=f"user:{user}",
        )


@pytest.fixture
def ana(world: Any) -> Any:
    """Ana hears of certificates by email, once a day."""
    world.user("ana", name="Ana", email="ana@example.org", roles=["operations"], time_zone="Europe/Berlin")
    prefer(world, DAILY)
    return world


@pytest.fixture
def sleeper(world: Any) -> Any:
    """Ben hears of certificates by email, and it is always night where he lives."""
    world.user("ben", email="ben@example.org", roles=["operations"], quiet_hours={"from": "00:00", "to": "23:59"})
    hour = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%H:%M")
    later = (datetime.now(UTC) + timedelta(hours=3)).strftime("%H:%M")
    world.user("ben", quiet_hours={"from": hour, "to": later})
    return world


def certificate(host: str = "a", severity: str = "low", **more: Any) -> dict[str, Any]:
    return {"type": "ssl_expiry", "severity": severity, "data": {"host": host}, **more}


def pass_time(world: Any) -> None:
    """Let everything come due that is held."""
    world.execute("UPDATE holds SET release_at = date_trunc('second', now()) - interval '1 second'")


def gathered(world: Any, **more: Any) -> Gathered:
    with world.begin() as connection:
        return gather(connection, **more)


def emails(world: Any) -> list[Any]:
    """Status, reason and where it was folded into, of every email of an event that was published."""
    rows = world.execute(
        "SELECT d.id::text, d.status, d.reason, d.folded_into::text"
        " FROM deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE d.channel = 'email' AND e.type <> 'digest' ORDER BY d.id"
    )
    return list(rows)


def digests(world: Any) -> list[Any]:
    return list(
        world.execute(
            "SELECT d.id::text, d.event_id::text, d.status, d.reason, d.channel, d.address, e.data FROM deliveries d"
            " JOIN events e ON e.id = d.event_id WHERE e.type = 'digest' ORDER BY d.id"
        )
    )


@pytest.mark.mission("B-16")
def test_what_waits_for_a_digest_is_told_in_one_message(ana: Any) -> None:
    first, second = ana.publish(certificate("a"), certificate("b", "high"))
    assert [row[1:] for row in emails(ana)] == [("held", "digest", None)] * 2
    assert gathered(ana) == Gathered()
    pass_time(ana)
    found = gathered(ana)
    (digest,) = digests(ana)
    assert found == Gathered({"email": [digest.id]})
    assert (digest.status, digest.address) == ("queued", "ana@example.org")
    assert [row[1:] for row in emails(ana)] == [("cancelled", "folded", digest.id)] * 2
    (group,) = digest.data["groups"]
    assert [(one["severity"], one["count"]) for one in group["items"]] == [("high", 1), ("low", 1)]
    assert (group["group"], digest.data["total"], digest.data["more"]) == ("obligations", 2, 0)
    assert ana.send("email") == [digest.id]
    assert {ana.notification(event, "ana")["status"] for event in (first, second)} == {"delivered"}


@pytest.mark.parametrize(("who", "words"), [("ana", "next digest"), ("ben", "quiet hours are not over")])
def test_whoever_asks_why_is_told_what_it_waits_for_and_until_when(request: Any, who: str, words: str) -> None:
    world = request.getfixturevalue({"ana": "ana", "ben": "sleeper"}[who])
    (event,) = world.publish(certificate())
    (at,) = world.execute("SELECT release_at FROM holds")
    with world.begin() as connection:
        said = str(explain_event(connection, tenant="acme", event_id=event))
    assert words in said
    assert f"due at {written(at.release_at)}" in said


@pytest.mark.mission("B-16")
def test_a_digest_is_an_event_of_its_own_in_the_ledger_and_in_nobodys_inbox(ana: Any) -> None:
    (item,) = ana.publish(certificate())
    pass_time(ana)
    gathered(ana)
    (digest,) = digests(ana)
    event = ana.event(digest.event_id)
    assert (event["type"], event["severity"], event["status"]) == ("digest", "low", "routed")
    (told,) = event["notifications"]
    assert (told["recipient"], told["type"], told["audience"]) == ("ana", "digest", "customer")
    assert told["title"].startswith("Your summary of ")
    assert [row.sequence for row in ana.execute("SELECT sequence FROM notifications WHERE event = 'digest'")] == [None]
    with ana.begin() as connection:
        words = explain_event(connection, tenant="acme", event_id=item)
    assert digest.id in str(words)


@pytest.mark.mission("B-16")
def test_the_same_issue_appears_once_with_its_count(ana: Any) -> None:
    ana.publish(certificate("a"), certificate("a"), certificate("a", "high"), certificate("b"))
    pass_time(ana)
    gathered(ana)
    (digest,) = digests(ana)
    items = digest.data["groups"][0]["items"]
    assert [(one["severity"], one["count"]) for one in items] == [("high", 3), ("low", 1)]


def test_a_long_digest_names_the_gravest_and_counts_the_rest(ana: Any) -> None:
    ana.publish(*(certificate(f"h{number}") for number in range(MOST_ITEMS + 20)), certificate("z", "high"))
    pass_time(ana)
    gathered(ana)
    (digest,) = digests(ana)
    items = digest.data["groups"][0]["items"]
    assert (len(items), items[0]["severity"]) == (MOST_ITEMS, "high")
    assert (digest.data["total"], digest.data["more"]) == (MOST_ITEMS + 21, 21)


MEANWHILE = {
    "read": ("UPDATE notifications SET read_at = now() WHERE id = :notification", ("suppressed", "seen")),
    "thrown-away": ("UPDATE notifications SET deleted_at = now() WHERE id = :notification", ("suppressed", "seen")),
    "acknowledged": (
        "INSERT INTO acknowledgements (tenant, fingerprint, user_id, by_user_id, until)"
        " SELECT 'acme', e.fingerprint, '', 'bob', now() + interval '1 day' FROM events e WHERE e.id = :event",
        ("cancelled", "acknowledged"),
    ),
    "resolved": (
        "UPDATE issues i SET status = 'resolved' FROM events e WHERE e.id = :event AND e.fingerprint = i.fingerprint",
        ("cancelled", "resolved"),
    ),
    "expired": ("UPDATE events SET expires_at = now() WHERE id = :event", ("expired", "expired")),
    "cancelled": ("UPDATE events SET status = 'cancelled' WHERE id = :event", ("cancelled", "cancelled")),
    "unsubscribed": (
        "INSERT INTO suppressions (tenant, channel, address, event, reason, source)"
        " SELECT tenant, 'email', 'ana@example.org', type, 'unsubscribed', 'unsubscribe' FROM events WHERE id = :event",
        ("suppressed", "user_suppressed"),
    ),
    "switched-off": (
        "UPDATE preferences SET channels = channels || '{\"email\": false}' WHERE cast(:event AS uuid) IS NOT NULL",
        ("suppressed", "preference"),
    ),
    "email-switched-off": (
        "UPDATE users SET disabled_channels = '{email}' WHERE cast(:event AS uuid) IS NOT NULL",
        ("suppressed", "email_disabled"),
    ),
}


@pytest.mark.mission("B-16")
@pytest.mark.parametrize(("change", "ends"), MEANWHILE.values(), ids=MEANWHILE)
def test_what_nobody_needs_any_more_is_left_out_with_its_reason(ana: Any, change: str, ends: tuple[str, str]) -> None:
    (event,) = ana.publish(certificate())
    (row,) = ana.execute("SELECT id FROM notifications")
    values = {"notification": row.id, "event": event}
    ana.execute(change, **{name: value for name, value in values.items() if f":{name}" in change})
    pass_time(ana)
    assert gathered(ana) == Gathered()
    assert [row[1:3] for row in emails(ana)] == [ends]
    assert digests(ana) == []
    assert ana.execute("SELECT FROM holds") == []
    assert ana.execute("SELECT count FROM statistics WHERE status = :status AND channel = 'email'", status=ends[0])


def test_an_event_type_that_is_wanted_is_told_although_the_rest_of_its_group_is_not(ana: Any) -> None:
    rest = {"group": "obligations", "channels": {"email": False}}
    prefer(ana, rest, {**DAILY, "event": "ssl_expiry", "channels": {"email": True}})
    ana.publish(certificate())
    pass_time(ana)
    gathered(ana)
    assert [row[1:3] for row in emails(ana)] == [("cancelled", "folded")]


@pytest.mark.mission("B-16")
def test_two_rounds_make_one_digest_and_what_comes_late_waits_for_the_next(ana: Any) -> None:
    ana.publish(certificate("a"))
    pass_time(ana)
    (at,) = ana.execute("SELECT release_at FROM holds")
    gathered(ana)
    assert gathered(ana) == Gathered()
    ana.publish(certificate("b"))
    ana.execute("UPDATE holds SET release_at = :at", at=at.release_at)
    assert gathered(ana) == Gathered()
    assert len(digests(ana)) == 1
    (late,) = ana.execute("SELECT release_at FROM holds")
    assert late.release_at > datetime.now(UTC)
    pass_time(ana)
    ana.execute("UPDATE holds SET release_at = release_at + interval '1 millisecond'")
    assert len(gathered(ana).due["email"]) == 1
    assert len(digests(ana)) == 2


def test_nobody_gathers_while_another_does(ana: Any) -> None:
    ana.publish(certificate())
    pass_time(ana)
    with ana.engine.begin() as other:
        assert len(gather(other).due["email"]) == 1
        assert gathered(ana) == Gathered()
    assert len(digests(ana)) == 1


@pytest.mark.parametrize("user", ["ana", "bob"])
def test_everybody_has_a_digest_of_their_own(ana: Any, user: str) -> None:
    ana.user("bob", email="bob@example.org", roles=["operations"])
    prefer(ana, DAILY, user="bob")
    ana.publish(certificate("a"), certificate("b"))
    pass_time(ana)
    found = gathered(ana, most=1)
    assert (len(found.due["email"]), found.more) == (1, True)
    gathered(ana)
    mine = [one for one in digests(ana) if one.address == f"{user}@example.org"]
    assert [one.data["total"] for one in mine] == [2]


def test_one_that_waited_for_the_morning_goes_out_as_it_is(sleeper: Any) -> None:
    sleeper.publish(certificate())
    assert [row[1:3] for row in emails(sleeper)] == [("held", "quiet_hours")]
    pass_time(sleeper)
    (only,) = gathered(sleeper).due["email"]
    assert [(row.id, row.status, row.reason) for row in emails(sleeper)] == [(only, "queued", "released")]
    assert sleeper.send("email") == [only]


def test_of_several_that_waited_the_gravest_carries_the_others(sleeper: Any) -> None:
    sleeper.publish(certificate("a"), certificate("b", "high"), certificate("c"))
    pass_time(sleeper)
    (chosen,) = gathered(sleeper).due["email"]
    a, b, c = emails(sleeper)
    assert chosen == b.id
    assert [(row.status, row.folded_into) for row in (a, b, c)] == [
        ("cancelled", b.id),
        ("queued", None),
        ("cancelled", b.id),
    ]


@pytest.mark.mission("B-8")
def test_what_is_critical_wakes_whoever_sleeps(sleeper: Any) -> None:
    sleeper.publish(certificate(severity="critical"))
    assert [row[1:3] for row in emails(sleeper)] == [("queued", None)]


def route_staged(world: Any) -> None:
    """Let Ana be told at once, by emails that gather others for some minutes."""
    prefer(world, {**DAILY, "cadence": "instant"})
    world.execute(
        "INSERT INTO routes (tenant, name, body) VALUES ('acme', 'own', cast(:body AS jsonb))",
        body='{"match": {"event": "ssl_*"}, "channels": ["email", "in_app"], "plan": "staged", "priority": "critical",'
        ' "recipients": {"resolver": "role", "role": "operations"}}',
    )
    world.execute("UPDATE tenants SET version = version + 1")


@pytest.mark.mission("E-40")
def test_emails_of_a_staged_plan_go_out_with_the_first_that_is_due(ana: Any) -> None:
    route_staged(ana)
    ana.publish(certificate("a"), certificate("b"))
    assert [row[1:3] for row in emails(ana)] == [("held", "batch")] * 2
    ana.execute(
        "UPDATE holds SET release_at = now() WHERE delivery_id = (SELECT min(delivery_id::text)::uuid FROM holds)"
    )
    assert len(gathered(ana).due["email"]) == 1
    assert sorted(row.status for row in emails(ana)) == ["cancelled", "queued"]


def test_what_may_stay_unread_for_some_time_is_not_taken_along_before(ana: Any) -> None:
    route_staged(ana)
    _, second = ana.publish(certificate("a"), certificate("b"))
    later = "UPDATE holds SET not_before = now() + interval '1 hour' FROM deliveries d"
    ana.execute(f"{later} WHERE d.id = delivery_id AND d.event_id = :event", event=second)
    ana.execute("UPDATE holds SET release_at = now() WHERE not_before IS NULL")
    assert len(gathered(ana).due["email"]) == 1
    assert [row[1:] for row in emails(ana)] == [("queued", "released", None), ("held", "batch", None)]
    assert gathered(ana) == Gathered()


def test_emails_that_gather_others_wait_for_no_night_that_is_taken_back(ana: Any) -> None:
    route_staged(ana)
    begins, ends = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (2, 500))
    ana.user("ana", time_zone="UTC", quiet_hours={"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"})
    ana.publish(certificate())
    ana.user("ana", quiet_hours=None)
    (held,) = ana.execute("SELECT reason, release_at FROM holds")
    assert held.reason == "batch"
    assert held.release_at < datetime.now(UTC) + timedelta(minutes=10)


CHANGES: dict[str, tuple[Callable[[Any], None], bool]] = {
    "told-at-once": (lambda world: prefer(world, {**DAILY, "cadence": "instant"}), True),
    "switched-off": (lambda world: prefer(world, {"group": "obligations", "channels": {"email": False}}), True),
    "another-time": (lambda world: world.user("ana", digest={"cron": "* * * * *"}), False),
    "another-group": (lambda world: prefer(world, {"group": "billing", "cadence": "weekly"}), False),
}


@pytest.mark.parametrize(("change", "due"), CHANGES.values(), ids=CHANGES)
def test_a_change_takes_effect_on_what_is_held(ana: Any, change: Callable[[Any], None], due: bool) -> None:
    ana.publish(certificate("a"), certificate("b"))
    before = {row.release_at for row in ana.execute("SELECT release_at FROM holds")}
    change(ana)
    after = {row.release_at for row in ana.execute("SELECT release_at FROM holds")}
    assert all(at <= datetime.now(UTC) for at in after) is due
    assert len(after) == 1
    if "weekly" not in str(ana.audit()[-1]):
        assert max(after) <= max(before)


def test_a_digest_goes_to_where_its_user_is_reached_when_it_is_sent(ana: Any) -> None:
    ana.publish(certificate("a"))
    ana.user("ana", email="ana@example.net")
    ana.publish(certificate("b"))
    pass_time(ana)
    gathered(ana)
    assert [(row.address, row.data["total"]) for row in digests(ana)] == [("ana@example.net", 2)]


def test_whoever_has_no_address_any_more_is_told_nothing_at_the_old_one(sleeper: Any) -> None:
    sleeper.publish(certificate())
    sleeper.user("ben", email=None)
    pass_time(sleeper)
    assert gathered(sleeper) == Gathered()
    assert [row[1:3] for row in emails(sleeper)] == [("suppressed", "no_address")]
    assert sleeper.execute("SELECT address FROM deliveries WHERE channel = 'email'") == [("",)]


def test_quiet_hours_that_are_taken_back_release_what_they_held_as_one_message(sleeper: Any) -> None:
    sleeper.publish(certificate("a"), certificate("b"))
    sleeper.user("ben", quiet_hours=None)
    assert len(gathered(sleeper).due["email"]) == 1


def test_what_may_stay_unread_for_an_hour_may_so_when_quiet_hours_are_taken_back(sleeper: Any) -> None:
    whole = {
        "match": {"event": "conversation.message_posted"},
        "recipients": {"resolver": "role", "role": "operations"},
        "channels": ["in_app", "email"],
        "when": {"email": "unread for 1h"},
    }
    with sleeper.begin() as connection:
        put_route(connection, tenant="acme", name="messages", body=whole, actor="cli")
    sleeper.publish(
        {
            "type": "conversation.message_posted",
            "severity": "low",
            "data": {"conversation_id": "c", "text": "Hello"},
        }
    )
    sleeper.user("ben", quiet_hours=None)
    (held,) = sleeper.execute("SELECT release_at - now() AS left FROM holds WHERE channel = 'email'")
    assert timedelta(minutes=59) < held.left <= timedelta(hours=1)


def test_what_waits_for_the_morning_joins_the_digest_that_is_wished_for(sleeper: Any) -> None:
    sleeper.publish(certificate("a"))
    prefer(sleeper, DAILY, user="ben")
    assert [row[1:3] for row in emails(sleeper)] == [("held", "digest")]
    assert [row.reason for row in sleeper.execute("SELECT reason FROM holds")] == ["digest"]


def test_no_more_digests_means_that_nothing_comes_in_one(ana: Any) -> None:
    ana.publish(certificate())
    prefer(ana, {"group": "digest", "channels": {"email": False}})
    pass_time(ana)
    gathered(ana)
    assert [row[1:3] for row in emails(ana)] == [("suppressed", "preference")]


ENDS = {
    "resolved": lambda world, _: world.publish(certificate(status="resolved")),
    "cancelled": lambda world, event: _cancel(world, event),
    "erased": lambda world, _: _erase(world),
}


def _cancel(world: Any, event: str) -> None:
    with world.begin() as connection:
        answer = cancel_event(connection, tenant="acme", event_id=event, actor="key:1")
    assert answer is not None
    assert answer["withdrawn"] == 1


def _erase(world: Any) -> None:
    with world.begin() as connection:
        assert delete_user(connection, tenant="acme", user_id="ana", actor="key:1")


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_what_is_withdrawn_is_held_no_longer(ana: Any, end: Callable[[Any, str], None]) -> None:
    (event,) = ana.publish(certificate())
    end(ana, event)
    (row,) = ana.execute(
        "SELECT status, reason FROM deliveries WHERE event_id = :event AND channel = 'email'", event=event
    )
    assert row.status == "cancelled"
    held = ana.execute(
        "SELECT FROM holds h JOIN deliveries d ON d.id = h.delivery_id WHERE d.event_id = :event", event=event
    )
    assert held == []


def test_of_whoever_is_erased_no_digest_keeps_what_it_said(ana: Any) -> None:
    ana.publish(certificate("secret-host"))
    pass_time(ana)
    gathered(ana)
    _erase(ana)
    assert [row.data for row in digests(ana)] == [{}]


@pytest.mark.parametrize(
    "forgetting",
    [
        "DELETE FROM holds",
        "UPDATE deliveries SET due_at = NULL, status = 'held', reason = 'digest' WHERE channel = 'email'"
        " AND id NOT IN (SELECT delivery_id FROM holds)",
    ],
)
def test_the_database_lets_nobody_forget_what_is_held(ana: Any, forgetting: str) -> None:
    ana.publish(certificate("a"), certificate("b", "critical"))
    with pytest.raises(DBAPIError, match="held for ever"):
        ana.execute(forgetting)


def test_a_hold_without_a_delivery_takes_no_place_of_others(ana: Any) -> None:
    ana.publish(certificate())
    pass_time(ana)
    ana.execute("SET session_replication_role = replica; DELETE FROM deliveries; SET session_replication_role = origin")
    gathered(ana)
    assert ana.execute("SELECT FROM holds") == []


def test_what_is_held_is_live_work(ana: Any) -> None:
    ana.publish(certificate())
    with ana.begin() as connection:
        found = overview(connection, tenant="acme")
    assert {"channel": "email", "status": DeliveryStatus.HELD, "count": 1} in found["live"]
    assert 0 < found["next_due_seconds"] <= 25 * 3600


@pytest.mark.parametrize("people", [1, 25])
def test_a_round_costs_the_same_number_of_statements_for_many_as_for_one(world: Any, people: int) -> None:
    for number in range(people):
        world.user(f"u{number}", email=f"u{number}@example.org", roles=["operations"])
        prefer(world, DAILY, user=f"u{number}")
    world.publish(*(certificate(f"h{number}") for number in range(5)))
    pass_time(world)
    said: list[str] = []
    with world.begin() as connection:
        listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
        assert len(gather(connection).due["email"]) == people
    assert len(said) == 5


@pytest.mark.parametrize("people", [1, 5])
def test_what_comes_late_costs_two_statements_more_however_many_it_concerns(world: Any, people: int) -> None:
    for number in range(people):
        world.user(f"u{number}", email=f"u{number}@example.org", roles=["operations"])
        prefer(world, DAILY, user=f"u{number}")
    world.publish(certificate("a"))
    pass_time(world)
    (at, *_) = world.execute("SELECT release_at FROM holds")
    gathered(world)
    world.publish(certificate("b"))
    world.execute("UPDATE holds SET release_at = :at", at=at.release_at)
    said: list[str] = []
    with world.begin() as connection:
        listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
        assert gather(connection) == Gathered()
    assert len(said) == 7
    assert all(row.release_at > datetime.now(UTC) for row in world.execute("SELECT release_at FROM holds"))


def test_a_round_has_room_for_so_much_and_leaves_nobody_with_half_of_his(ana: Any) -> None:
    ana.user("bob", email="bob@example.org", roles=["operations"])
    prefer(ana, DAILY, user="bob")
    ana.publish(certificate("a"), certificate("b"))
    pass_time(ana)
    first = gathered(ana, most_rows=3)
    assert first.more
    assert [(row.address, row.data["total"]) for row in digests(ana)] == [("ana@example.org", 2)]
    gathered(ana, most_rows=3)
    assert [row.data["total"] for row in digests(ana)] == [2, 2]


def test_of_what_has_no_room_in_any_round_the_rest_is_told_the_next_time(ana: Any) -> None:
    ana.publish(certificate("a"), certificate("b"), certificate("c"))
    pass_time(ana)
    while gathered(ana, most_rows=2).more:
        pass
    assert [row.data["total"] for row in digests(ana)] == [2]
    (late,) = ana.execute("SELECT release_at FROM holds")
    assert late.release_at > datetime.now(UTC)
