"""Every stage costs a fixed number of statements, whatever the size of its batch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event as listening

from config.catalogue import shipped
from domain import verdict
from domain.vocabulary import Reason
from pipeline.claim import claim
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route, accept_only, route_accepted
from pipeline.rejections import unseen
from pipeline.settle import Result, settle
from pipeline.sweep import look

BUILT = dict.fromkeys(("email", "telegram", "webhook", "in_app"), True)
SMALL, LARGE = 1, 200


def opened(number: int) -> list[dict[str, Any]]:
    return [{"type": "ssl_expiry", "severity": "low", "data": {"host": f"h{number}"}}]


def repeated(number: int) -> list[dict[str, Any]]:
    """An issue that is open repeats, grows worse, and is resolved."""
    (first,) = opened(number)
    return [first, {**first, "severity": "high"}, {**first, "status": "resolved"}]


def of_all_kinds(number: int) -> list[dict[str, Any]]:
    """Every event is of a kind of its own: routing has seen none of them."""
    return [{"type": f"made.up{number}", "branch": f"b{number}", "recipients": [f"u{number % 5}", f"ghost{number}"]}]


@pytest.fixture
def team(world: Any) -> Any:
    for number in range(5):
        world.user(f"u{number}", email=f"u{number}@example.org", roles=["operations"])
    return world


@pytest.fixture
def count(team: Any) -> Callable[[Callable[[Any], Any]], int]:
    """How many statements something sends to the database within one transaction."""

    def count(work: Callable[[Any], Any]) -> int:
        said: list[str] = []
        with team.begin() as connection:
            listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
            work(connection)
        return len(said)

    return count


def events(make: Callable[[int], list[dict[str, Any]]], size: int, start: int = 0) -> Any:
    bodies = [body for number in range(start, start + size) for body in make(number)]
    return parse_many(bodies, tenant="acme", catalogue=shipped().event_types)


def open_issues(team: Any, count: int) -> None:
    with team.begin() as connection:
        tenants = team.directory.look_up(connection, ["acme"])
        accept_and_route(connection, tenants, events(opened, count), BUILT)


@pytest.mark.mission("D-31", "D-4")
@pytest.mark.parametrize(
    ("make", "statements"),
    [
        # the tenants' versions, the decision, the people, the events, what is to be sent
        pytest.param(opened, 5, id="new-issues"),
        # and: explanations that may be new
        pytest.param(of_all_kinds, 6, id="kinds-that-were-never-seen"),
        # and: a decision for each of the further two rounds, repeats, the end of silence, withdrawals
        pytest.param(repeated, 10, id="repeated-graver-and-resolved"),
    ],
)
def test_publishing_a_batch_costs_the_same_number_of_statements_at_every_size(
    team: Any, count: Callable[..., int], make: Callable[[int], list[dict[str, Any]]], statements: int
) -> None:
    def publish(size: int, start: int) -> int:
        batch = events(make, size, start)
        return count(
            lambda connection: accept_and_route(connection, team.directory.look_up(connection, ["acme"]), batch, BUILT)
        )

    open_issues(team, LARGE + SMALL)
    if make is not of_all_kinds:
        for start in (-1000, -2000):  # after two batches it is known that what is said of their kinds is stored
            publish(SMALL, start)
    start = 1000 if make is opened else 0
    assert [publish(SMALL, start), publish(LARGE, start + SMALL)] == [statements, statements]


@pytest.mark.mission("D-31", "D-4")
@pytest.mark.parametrize(
    ("make", "statements"), [pytest.param(opened, 2, id="new-issues"), pytest.param(repeated, 6, id="repeated")]
)
def test_accepting_a_batch_costs_the_same_number_of_statements_at_every_size(
    team: Any, count: Callable[..., int], make: Callable[[int], list[dict[str, Any]]], statements: int
) -> None:
    def accept(size: int, start: int) -> int:
        batch = events(make, size, start)
        return count(lambda connection: accept_only(connection, batch))

    open_issues(team, LARGE + SMALL)
    start = 1000 if make is opened else 0
    assert [accept(SMALL, start), accept(LARGE, start + SMALL)] == [statements, statements]


@pytest.mark.mission("D-31", "D-4")
def test_ingesting_a_batch_costs_the_same_number_of_statements_at_every_size(
    team: Any, count: Callable[..., int]
) -> None:
    def ingest(size: int, start: int) -> int:
        with team.begin() as connection:
            ids = [answer.id for answer in accept_only(connection, events(opened, size, start))]
        return count(lambda connection: route_accepted(connection, team.directory, ids, BUILT))

    open_issues(team, 1)
    ingest(1, 5000)
    # the events, the tenants' versions, the people, what became of the events, what is to be sent
    assert [ingest(SMALL, 1000), ingest(LARGE, 2000)] == [5, 5]


@pytest.mark.mission("D-31", "D-4")
@pytest.mark.parametrize("lost", [False, True], ids=["first-time", "after-a-crash"])
def test_claiming_a_batch_costs_the_same_number_of_statements_at_every_size(
    team: Any, count: Callable[..., int], lost: bool
) -> None:
    open_issues(team, LARGE)
    if lost:
        count(lambda connection: claim(connection, "email", 1000, 0.0, monotonic()))
    sizes = [
        count(lambda connection, most=most: claim(connection, "email", most, 30.0, monotonic()))
        for most in (SMALL, LARGE)
    ]
    assert sizes == ([2, 2] if lost else [1, 1])


@pytest.mark.mission("D-31", "D-4")
def test_settling_a_batch_costs_one_statement_at_every_size_and_whatever_came_of_it(
    team: Any, count: Callable[..., int]
) -> None:
    verdicts = (
        verdict.sent(0),
        verdict.failed(0, (60,), 0.0, None),
        verdict.refused(0),
        verdict.postponed(0, Reason.BREAKER_OPEN, 30.0),
    )

    def finish(size: int) -> int:
        with team.begin() as connection:
            taken = claim(connection, "email", size, 30.0, monotonic())
        assert len(taken.rows) == size
        results = [
            Result(row.id, verdicts[place % len(verdicts)], "smtp", datetime.now(UTC), moved_to=f"a{place}")
            for place, row in enumerate(taken.rows)
        ]
        return count(lambda connection: settle(connection, taken.token, results))

    open_issues(team, LARGE)
    assert [finish(SMALL), finish(LARGE)] == [1, 1]


@pytest.mark.mission("D-31")
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_messages_are_looked_up_in_one_statement(count: Callable[..., int], size: int) -> None:
    assert count(lambda connection: unseen(connection, "celery", [str(number) for number in range(size)])) == 1


@pytest.mark.mission("D-31")
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_sweep_looks_with_three_statements(team: Any, count: Callable[..., int], size: int) -> None:
    open_issues(team, size)
    assert count(lambda connection: look(connection, ["email", "telegram", "webhook"], 0.0)) == 3
