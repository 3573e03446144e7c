"""Withdraw: what has not been sent of an issue is cancelled, and nothing else."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest

from domain import verdict
from domain.vocabulary import Reason
from pipeline.claim import claim
from pipeline.withdraw import withdraw_issue, withdraw_issues

SSL = {"type": "ssl_expiry", "severity": "low", "data": {"host": "shop"}}
OTHER = {"type": "ssl_expiry", "severity": "low", "data": {"host": "blog"}}


@pytest.fixture
def team(world: Any) -> Any:
    for user in ("u1", "u2"):
        world.user(user, email=f"{user}@example.org", roles=["operations"])
    return world


def states(world: Any, event_id: str) -> list[tuple[str, str | None]]:
    rows = world.execute(
        "SELECT status, reason FROM deliveries WHERE channel = 'email' AND event_id = :id ORDER BY address", id=event_id
    )
    return [(row.status, row.reason) for row in rows]


def withdraw(world: Any, *events: str, tenant: str = "acme", user_id: str | None = None) -> int:
    with world.begin() as connection:
        return withdraw_issue(connection, tenant, events, Reason.ACKNOWLEDGED, user_id)


CANCELLED, QUEUED = ("cancelled", "acknowledged"), ("queued", None)


@pytest.mark.mission("B-15")
def test_what_waits_is_cancelled_with_the_reason(team: Any) -> None:
    (event,) = team.publish(SSL)
    assert withdraw(team, event) == 2
    assert states(team, event) == [CANCELLED, CANCELLED]
    assert team.execute("SELECT FROM deliveries WHERE due_at IS NOT NULL") == []


@pytest.mark.mission("B-15")
def test_earlier_events_of_the_same_issue_are_withdrawn_too(team: Any) -> None:
    (first,) = team.publish(SSL)
    (second,) = team.publish({**SSL, "severity": "medium"})
    assert withdraw(team, second) == 4
    assert states(team, first) == [CANCELLED, CANCELLED]


def test_later_events_and_other_issues_are_left_alone(team: Any) -> None:
    first, other = team.publish(SSL, OTHER)
    (later,) = team.publish({**SSL, "severity": "medium"})
    withdraw(team, first)
    assert states(team, later) == states(team, other) == [QUEUED, QUEUED]


def test_one_user_may_be_withdrawn_alone(team: Any) -> None:
    (event,) = team.publish(SSL)
    assert withdraw(team, event, user_id="u1") == 1
    assert states(team, event) == [CANCELLED, QUEUED]


def test_what_is_being_sent_or_was_sent_stays(team: Any) -> None:
    (event,) = team.publish(SSL)
    team.send("email")
    assert withdraw(team, event) == 0
    assert {status for status, _ in states(team, event)} == {"sent"}


@pytest.mark.mission("A-26")
def test_what_waits_for_a_retry_is_withdrawn(team: Any) -> None:
    (event,) = team.publish(SSL)
    team.settle("email", verdict.failed(0, (60,), 0.0, None))
    assert withdraw(team, event) == 2


def test_a_dead_letter_stays_for_its_person(team: Any) -> None:
    (event,) = team.publish(SSL)
    team.refuse("email")
    assert withdraw(team, event) == 0


def test_nobody_withdraws_what_is_another_tenants(team: Any) -> None:
    (event,) = team.publish(SSL)
    assert withdraw(team, event, tenant="other") == 0


@pytest.mark.mission("D-32")
def test_what_was_withdrawn_is_counted(team: Any) -> None:
    (event,) = team.publish(SSL)
    withdraw(team, event)
    rows = team.execute("SELECT channel, reason, count AS n FROM statistics WHERE status = 'cancelled'")
    assert [(row.channel, row.reason, row.n) for row in rows] == [("email", "acknowledged", 2)]


def test_what_somebody_has_in_hand_is_left_to_him(team: Any) -> None:
    """Whoever has it locked claims it just now, and a claim looks again; waiting for each other would help nobody."""
    (event,) = team.publish(SSL)
    with team.begin() as connection:
        assert len(claim(connection, "email", 1, 30.0, monotonic()).rows) == 1
        assert withdraw(team, event) == 1


@pytest.mark.mission("D-31")
def test_several_issues_of_several_tenants_are_withdrawn_at_once(team: Any) -> None:
    mine, other = team.publish(SSL, OTHER)
    with team.begin() as connection:
        found = withdraw_issues(connection, [("acme", mine), ("other", other)], Reason.RESOLVED)
    assert found == 2
    assert states(team, mine) == [("cancelled", "resolved")] * 2
    assert states(team, other) == [QUEUED, QUEUED]
