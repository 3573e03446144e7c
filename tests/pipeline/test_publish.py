"""Publish: accepted and routed in one transaction, or accepted now and routed when the bell rings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from config.catalogue import shipped
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.publish import Answer, accept_and_route, accept_only, give_up, route_accepted
from pipeline.route import Bells

BUILT = dict.fromkeys(("email", "telegram", "webhook", "in_app"), True)
SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "shop", "days_left": 7}}
RESOLVED = {**SSL, "status": "resolved"}


@pytest.fixture
def team(world: Any) -> Any:
    """Two users of the role that the shipped routes tell of certificates."""
    for user in ("u1", "u2"):
        world.user(user, email=f"{user}@example.org", roles=["operations"])
    return world


def accept(world: Any, *events: dict[str, Any]) -> list[Answer]:
    with world.begin() as connection:
        return accept_only(connection, parse_many(list(events), tenant="acme", catalogue=shipped().event_types))


def route(world: Any, *ids: str) -> Bells:
    with world.begin() as connection:
        return route_accepted(connection, world.directory, ids, BUILT)


def statuses(world: Any) -> list[tuple[str, str | None]]:
    return [(row.status, row.reason) for row in world.execute("SELECT status, reason FROM events ORDER BY id")]


@pytest.mark.mission("A-11", "B-8", "C-2")
def test_one_call_accepts_routes_and_stores_what_is_to_be_sent(team: Any) -> None:
    team.publish(SSL)
    assert statuses(team) == [("routed", None)]
    rows = team.execute("SELECT channel, status, count(*) AS n FROM deliveries GROUP BY 1, 2 ORDER BY 1")
    assert [(row.channel, row.status, row.n) for row in rows] == [("email", "queued", 2), ("in_app", "sent", 2)]


@pytest.mark.mission("D-4", "A-26")
def test_what_was_accepted_is_stored_and_waits_for_its_routing(team: Any) -> None:
    accept(team, SSL)
    assert statuses(team) == [("accepted", None)]
    assert team.execute("SELECT FROM deliveries") == []


@pytest.mark.mission("D-4")
def test_what_was_accepted_is_routed_when_its_bell_rings(team: Any) -> None:
    (answer,) = accept(team, SSL)
    bells = route(team, answer.id)
    assert statuses(team) == [("routed", None)]
    assert {channel: len(ids) for channel, ids in bells.due.items()} == {"email": 2}


def test_both_ways_store_the_same(team: Any) -> None:
    event = {**SSL, "branch": "berlin", "recipients": ["u1", {"email": "ops@example.org"}]}
    (answer,) = accept(team, event)
    route(team, answer.id)
    team.publish({**event, "data": {"host": "blog", "days_left": 7}})
    columns = "status, severity, condition, branch, recipients, skipped, routing_id, reason"
    first, second = team.execute(f"SELECT {columns} FROM events ORDER BY id")
    assert first == second
    told = "SELECT array_agg((channel, status, address, priority, template)::text ORDER BY channel, address)::text"
    assert len(set(team.execute(f"{told} FROM deliveries GROUP BY event_id"))) == 1


@pytest.mark.mission("D-4")
def test_a_bell_that_rings_twice_routes_once(team: Any) -> None:
    (answer,) = accept(team, SSL)
    route(team, answer.id)
    assert route(team, answer.id) == Bells()
    assert len(team.execute("SELECT FROM notifications")) == 2


def test_a_bell_for_nothing_does_nothing(team: Any) -> None:
    assert route(team) == route(team, "0191f2a0-0000-7000-8000-000000000001") == Bells()


def test_a_duplicate_is_not_routed(team: Any) -> None:
    first, duplicate = accept(team, SSL, SSL)
    assert (duplicate.status, duplicate.duplicate_of) == ("duplicate", first.id)
    route(team, first.id, duplicate.id)
    assert [status for status, _ in statuses(team)] == ["routed", "duplicate"]


@pytest.mark.mission("D-4")
def test_of_two_workers_that_answer_the_same_bell_each_event_goes_to_one(team: Any) -> None:
    ids = [one.id for one in accept(team, *({**SSL, "data": {"host": f"h{number}"}} for number in range(30)))]
    ready = Barrier(4)

    def work(_: int) -> int:
        ready.wait(10)
        with team.begin() as connection:
            bells = route_accepted(connection, Directory(), ids, BUILT)
        return sum(map(len, bells.due.values()))

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(work, range(4))) == 60
    assert len(team.execute("SELECT FROM notifications")) == 60


def test_an_alarm_whose_issue_was_resolved_before_it_was_routed_tells_nobody(team: Any) -> None:
    (alarm,) = accept(team, SSL)
    (all_clear,) = accept(team, RESOLVED)
    route(team, all_clear.id)
    assert route(team, alarm.id) == Bells()
    assert statuses(team) == [("unrouted", "resolved"), ("resolved", None)]
    assert {row.event_id for row in team.execute("SELECT event_id::text FROM notifications")} == {all_clear.id}


def test_what_fires_again_is_routed_although_it_was_resolved_before(team: Any) -> None:
    ids = [answer.id for event in (SSL, RESOLVED, SSL) for answer in accept(team, event)]
    route(team, *ids)
    assert [status for status, _ in statuses(team)][2] == "routed"


def test_an_event_that_cannot_be_routed_says_so_and_is_not_looked_at_again(team: Any) -> None:
    (answer,) = accept(team, SSL)
    with team.begin() as connection:
        give_up(connection, answer.id)
    assert statuses(team) == [("unrouted", "not_routed")]
    assert route(team, answer.id) == Bells()


def test_nobody_gives_up_what_was_routed_meanwhile(team: Any) -> None:
    (answer,) = accept(team, SSL)
    route(team, answer.id)
    with team.begin() as connection:
        give_up(connection, answer.id)
    assert statuses(team) == [("routed", None)]


@pytest.mark.parametrize(
    ("event", "ends"),
    [
        pytest.param(SSL, ("routed", None), id="somebody-is-told"),
        pytest.param(RESOLVED, ("resolved", None), id="resolved"),
        pytest.param({"type": "unheard.of"}, ("unrouted", "no_recipients"), id="nobody-is-told"),
        pytest.param(
            {**SSL, "type": "task.completed", "data": {"owner_id": "ghost"}},
            ("unrouted", "no_recipients"),
            id="nobody-is-known",
        ),
    ],
)
def test_an_event_says_what_became_of_it(team: Any, event: dict[str, Any], ends: tuple[str, str | None]) -> None:
    team.publish(event)
    assert statuses(team) == [ends]


@pytest.mark.mission("E-39")
def test_an_event_whose_only_recipient_has_no_enabled_channel_says_so(world: Any) -> None:
    world.user("u1", phone="+4915112345678")
    world.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, channels) "
        "VALUES (gen_random_uuid(), 'acme', 'u1', 'task', '{\"email\": false, \"in_app\": false}')"
    )
    world.publish({"type": "task.completed", "data": {"owner_id": "u1"}})
    assert statuses(world) == [("unrouted", "no_enabled_channels")]


@pytest.mark.mission("B-8")
def test_data_comes_back_as_it_was_sent(team: Any) -> None:
    data = {
        "ü": ["\u2028", "𝄞", "\\u0000", '"'],
        "n": [1, 1.5, -0.25, 1e-7, 12345678901234567890],
        "b": [True, None, {}],
    }
    team.publish({"type": "x", "data": data})
    assert team.execute("SELECT data FROM events")[0].data == data


def test_what_an_event_brought_along_is_stored(team: Any) -> None:
    attachment = {"filename": "a.csv", "content_type": "text/csv", "content": "YQ=="}
    team.publish({**SSL, "expires_at": "2099-01-01T00:00:00+02:00", "actor_id": "u9", "attachments": [attachment]})
    (row,) = team.execute("SELECT expires_at AT TIME ZONE 'UTC' AS until, actor_id, attachments FROM events")
    assert (row.until.isoformat(), row.actor_id, row.attachments) == ("2098-12-31T22:00:00", "u9", [attachment])


@pytest.mark.mission("A-26", "D-4")
def test_a_batch_that_fails_halfway_leaves_nothing(team: Any) -> None:
    events = parse_many([SSL], tenant="acme", catalogue=shipped().event_types)
    with pytest.raises(KeyError), team.begin() as connection:
        accept_and_route(connection, team.directory.look_up(connection, ["acme"]), events, BUILT)
        raise KeyError
    for table in ("events", "issues", "notifications", "deliveries", "statistics"):
        assert team.execute(f"SELECT FROM {table}") == []


@pytest.mark.mission("D-31")
def test_a_batch_of_many_kinds_is_answered_in_the_order_given(team: Any) -> None:
    events = [SSL, {"type": "unheard.of"}, SSL, RESOLVED, {**SSL, "severity": "critical"}]
    ids = team.publish(*events)
    rows = {str(row.id): row for row in team.execute("SELECT id, type, status, duplicate_of FROM events")}
    assert [rows[id_].status for id_ in ids] == ["routed", "unrouted", "duplicate", "resolved", "routed"]
    assert str(rows[ids[2]].duplicate_of) == ids[0]
