"""Which routes an event takes, and why it does not take the others."""

from __future__ import annotations

import pytest

from domain.catalogue import Plan, Resolver, Route
from domain.routing import glob_matches, resolve
from domain.vocabulary import Priority, Severity

HIGH, CRITICAL = Severity.HIGH, Severity.CRITICAL
TO = (Resolver("role", role="operations"),)


@pytest.mark.mission("B-8", "C-3", "C-5")
@pytest.mark.parametrize(
    ("glob", "value", "matches"),
    [
        ("*", "anything", True),
        ("billing.*", "billing.paid", True),
        ("billing.*", "billing", False),
        ("billing.*", "my.billing.paid", False),
        ("ssl_*", "ssl_expiry", True),
        ("ssl_*", "SSL_expiry", False),
        ("support.ticket-[cr]*", "support.ticket-closed", True),
        ("support.ticket-[cr]*", "support.ticket-assigned", False),
        ("order.?", "order.x", True),
        ("order.?", "order.xy", False),
        ("a.b", "axb", False),
        ("ssl", "ssl\n", False),
    ],
)
def test_an_event_pattern_matches_like_a_file_name(glob: str, value: str, matches: bool) -> None:
    assert glob_matches(glob, value) is matches


@pytest.mark.mission("B-1", "B-8")
@pytest.mark.parametrize(
    ("route", "reason"),
    [
        pytest.param(Route("r"), None, id="everything"),
        pytest.param(Route("r", event="ssl_*"), None, id="event"),
        pytest.param(Route("r", event="billing.*"), "event_mismatch", id="another-event"),
        pytest.param(Route("r", severity=(HIGH, CRITICAL)), None, id="severity"),
        pytest.param(Route("r", severity=(CRITICAL,)), "severity_mismatch", id="another-severity"),
        pytest.param(Route("r", branch="berlin"), None, id="branch"),
        pytest.param(Route("r", branch="ber*"), None, id="branch-pattern"),
        pytest.param(Route("r", branch="hamburg"), "branch_mismatch", id="another-branch"),
        pytest.param(
            Route("r", event="x", severity=(CRITICAL,), branch="hamburg"),
            "event_mismatch",
            id="the-first-reason-is-told",
        ),
    ],
)
def test_a_route_matches_by_event_severity_and_branch(route: Route, reason: str | None) -> None:
    routing = resolve([route], "ssl_expiry", HIGH, "berlin")
    assert routing.explanation == (("r", reason is None, reason),)
    assert bool(routing.matched) is (reason is None)


@pytest.mark.mission("B-8")
@pytest.mark.parametrize(("branch", "matches"), [("*", True), ("berlin", False), ("ber*", False)])
def test_an_event_without_branch_takes_only_routes_for_all_branches(branch: str, matches: bool) -> None:
    assert bool(resolve([Route("r", branch=branch)], "x", HIGH, None).matched) is matches


def test_every_route_is_explained_in_the_order_given() -> None:
    routes = [Route("a", event="x"), Route("b"), Route("c", branch="berlin")]
    assert resolve(routes, "y", HIGH, None).explanation == (
        ("a", False, "event_mismatch"),
        ("b", True, None),
        ("c", False, "branch_mismatch"),
    )


@pytest.mark.mission("C-3")
@pytest.mark.parametrize(
    ("routes", "order"),
    [
        pytest.param(
            [Route("a", priority=Priority.LOW), Route("b", priority=Priority.CRITICAL), Route("c")],
            ["b", "c", "a"],
            id="priority",
        ),
        pytest.param([Route("a"), Route("b", own=True)], ["b", "a"], id="the-tenants-own-before-shipped"),
        pytest.param([Route("b"), Route("a")], ["a", "b"], id="name"),
        pytest.param([Route("a", own=True), Route("b", priority=Priority.HIGH)], ["b", "a"], id="priority-before-own"),
    ],
)
def test_routes_lead_by_priority_then_own_then_name(routes: list[Route], order: list[str]) -> None:
    assert [route.name for route in resolve(routes, "x", HIGH, None).matched] == order


@pytest.mark.mission("C-3")
def test_priority_and_plan_come_from_the_leading_route() -> None:
    leading = Route("a", priority=Priority.HIGH, plan=Plan.STAGED, template="ssl_expiry", recipients=TO)
    other = Route("b", plan=Plan.OFFLINE_EMAIL, template="digest", recipients=TO)
    routing = resolve([other, leading], "x", HIGH, None)
    assert (routing.priority, routing.plan) == (Priority.HIGH, Plan.STAGED)


def test_a_route_that_only_adds_channels_does_not_lead() -> None:
    adds = Route("adds", priority=Priority.CRITICAL, plan=Plan.STAGED, template="digest")
    tells = Route("tells", plan=Plan.OFFLINE_EMAIL, recipients=TO)
    routing = resolve([adds, tells], "x", HIGH, None)
    assert (routing.priority, routing.plan) == (Priority.NORMAL, Plan.OFFLINE_EMAIL)


@pytest.mark.mission("B-7")
def test_critical_severity_goes_at_once_and_first() -> None:
    route = Route("r", priority=Priority.LOW, plan=Plan.STAGED, recipients=TO)
    routing = resolve([route], "x", CRITICAL, None)
    assert (routing.priority, routing.plan) == (Priority.CRITICAL, Plan.SIMULTANEOUS)


def test_without_a_matching_route_nothing_leads() -> None:
    routing = resolve([Route("r", event="x")], "y", HIGH, None)
    assert (routing.matched, routing.priority, routing.plan) == ((), Priority.NORMAL, Plan.SIMULTANEOUS)
