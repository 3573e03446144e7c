"""Cancel: a publisher takes an event back, and nothing more of it is sent."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from config.catalogue import shipped
from pipeline.cancel import cancel_event
from pipeline.envelope import parse_many
from pipeline.publish import accept_only

SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "shop"}}


@pytest.fixture
def team(world: Any) -> Any:
    for user in ("u1", "u2"):
        world.user(user, email=f"{user}@example.org", roles=["operations"])
    return world


def cancel(world: Any, event_id: str, tenant: str = "acme") -> Any:
    with world.begin() as connection:
        return cancel_event(connection, tenant=tenant, event_id=event_id, actor="key:k1")


def states(world: Any) -> set[tuple[str, str | None]]:
    rows = world.execute("SELECT status, reason FROM deliveries WHERE channel = 'email'")
    return {(row.status, row.reason) for row in rows}


@pytest.mark.mission("A-27", "B-9")
def test_what_was_not_sent_is_withdrawn_and_said_so(team: Any) -> None:
    (event,) = team.publish(SSL)
    assert cancel(team, event) == {"id": event, "status": "cancelled", "withdrawn": 2}
    assert states(team) == {("cancelled", "cancelled")}
    assert team.send("email") == []


def test_what_was_sent_stays_sent(team: Any) -> None:
    (event,) = team.publish(SSL)
    team.send("email")
    assert cancel(team, event) == {"id": event, "status": "routed", "withdrawn": 0}
    assert states(team) == {("sent", None)}
    assert team.event(event)["status"] == "routed"
    assert not [row for row in team.audit() if row.action == "event.cancel"]
    (again,) = team.publish(SSL)
    assert team.event(again)["status"] == "duplicate"


def test_an_event_that_was_not_routed_yet_never_is(team: Any) -> None:
    with team.begin() as connection:
        (answer,) = accept_only(connection, parse_many(SSL, tenant="acme", catalogue=shipped().event_types))
    cancel(team, answer.id)
    assert team.execute("SELECT status FROM events")[0].status == "cancelled"
    assert team.execute("SELECT FROM events WHERE status = 'accepted'") == []


def test_doing_it_again_changes_nothing(team: Any) -> None:
    (event,) = team.publish(SSL)
    cancel(team, event)
    assert cancel(team, event) == {"id": event, "status": "cancelled", "withdrawn": 0}
    assert len([row for row in team.audit() if row.action == "event.cancel"]) == 1


def test_the_next_event_of_the_issue_is_new_and_not_folded_into_it(team: Any) -> None:
    (event,) = team.publish(SSL)
    cancel(team, event)
    (again,) = team.publish(SSL)
    assert team.event(again)["status"] == "routed"


def test_a_duplicate_has_nothing_to_take_back(team: Any) -> None:
    _, duplicate = team.publish(SSL, SSL)
    assert cancel(team, duplicate) == {"id": duplicate, "status": "duplicate", "withdrawn": 0}
    assert states(team) == {("queued", None)}


@pytest.mark.parametrize("tenant", ["other", "nobody"])
def test_another_tenants_event_is_not_found(team: Any, tenant: str) -> None:
    (event,) = team.publish(SSL)
    assert cancel(team, event, tenant) is None
    assert states(team) == {("queued", None)}


def test_an_event_that_does_not_exist_is_not_found(team: Any) -> None:
    assert cancel(team, str(uuid4())) is None


@pytest.mark.mission("D-36", "D-32")
def test_it_is_audited_and_counted(team: Any) -> None:
    (event,) = team.publish(SSL)
    cancel(team, event)
    row = team.audit()[-1]
    assert (row.tenant, row.actor, row.action, row.subject) == ("acme", "key:k1", "event.cancel", event)
    rows = team.execute("SELECT channel, reason, count AS n FROM statistics WHERE status = 'cancelled'")
    assert [(one.channel, one.reason, one.n) for one in rows] == [("email", "cancelled", 2)]
