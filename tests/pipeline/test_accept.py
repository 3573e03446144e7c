"""Accept: which events are new. The database decides, however many arrive at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from config.catalogue import shipped
from models.engine import new_engine
from pipeline.accept import Accepted, accept
from pipeline.envelope import parse_many
from pipeline.publish import accept_only
from tests.support.waiting import wait_until

SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "shop"}}  # folded for a day
CHAT = {"type": "conversation.message_posted", "data": {"text": "hello"}}  # folded never


@pytest.fixture
def publish(world: Any) -> Callable[..., list[tuple[str, str | None]]]:
    """Accepts events as one batch and commits; the status of each, and the place of the event it was folded into."""
    known: list[str] = []

    def publish(*events: dict[str, Any]) -> list[tuple[str, str | None]]:
        with world.begin() as connection:
            answers = accept_only(connection, parse(events))
        known.extend(answer.id for answer in answers)
        return [(one.status, one.duplicate_of and f"#{known.index(one.duplicate_of)}") for one in answers]

    return publish


def parse(events: Sequence[dict[str, Any]], tenant: str = "acme") -> Any:
    return parse_many(list(events), tenant=tenant, catalogue=shipped().event_types)


def decide(world: Any, *events: dict[str, Any]) -> list[Accepted]:
    with world.begin() as connection:
        return accept(connection, parse(events))


def end_windows(world: Any) -> None:
    world.execute("UPDATE issues SET window_until = now() - interval '1 second'")


def silence(world: Any, user_id: str, until: str = "1 hour") -> None:
    """As an acknowledgement does, for all issues there are."""
    world.execute(
        "INSERT INTO acknowledgements (tenant, fingerprint, user_id, by_user_id, until) "
        f"SELECT tenant, fingerprint, '{user_id}', 'u1', now() + interval '{until}' FROM issues"
    )


NEW, INTO_FIRST = ("accepted", None), ("duplicate", "#0")


@pytest.mark.mission("B-8")
@pytest.mark.parametrize(
    ("second", "becomes"),
    [
        pytest.param(SSL, INTO_FIRST, id="the-same"),
        pytest.param({**SSL, "data": {"host": "shop", "days_left": 3}}, INTO_FIRST, id="with-other-details"),
        pytest.param({**SSL, "severity": "low"}, INTO_FIRST, id="milder"),
        pytest.param({**SSL, "severity": "critical"}, NEW, id="graver"),
        pytest.param({**SSL, "status": "resolved"}, NEW, id="resolved"),
        pytest.param({**SSL, "data": {"host": "blog"}}, NEW, id="another-key"),
        pytest.param({**SSL, "branch": "berlin"}, NEW, id="another-branch"),
        pytest.param({**SSL, "type": "ssl_failure", "severity": "high"}, NEW, id="another-type"),
    ],
)
@pytest.mark.parametrize("together", [False, True], ids=["in-two-batches", "in-one-batch"])
def test_within_the_window_the_same_issue_is_folded_into_its_first_event(
    publish: Any, second: dict[str, Any], becomes: tuple[str, str | None], together: bool
) -> None:
    found = publish(SSL, second) if together else publish(SSL) + publish(second)
    assert found == [NEW, becomes]


def test_after_the_window_the_same_issue_is_new(world: Any, publish: Any) -> None:
    publish(SSL)
    end_windows(world)
    assert publish(SSL, SSL) == [NEW, ("duplicate", "#1")]


def test_repeats_do_not_prolong_the_window(world: Any, publish: Any) -> None:
    publish(SSL)
    before = world.execute("SELECT window_until FROM issues")
    publish(SSL)
    assert world.execute("SELECT window_until FROM issues") == before


def test_the_window_is_the_one_of_the_catalogue(world: Any, publish: Any) -> None:
    publish(SSL, {"type": "unheard.of"})
    assert [
        row.seconds
        for row in world.execute(
            "SELECT round(extract(epoch FROM i.window_until - e.accepted_at)) AS seconds "
            "FROM issues i JOIN events e ON e.id = i.event_id ORDER BY 1"
        )
    ] == [300, 86400]


def test_what_has_no_window_is_never_folded(publish: Any) -> None:
    assert publish(CHAT, CHAT) + publish(CHAT) == [NEW] * 3


def test_after_an_escalation_the_graver_event_leads(publish: Any) -> None:
    assert publish(SSL) + publish({**SSL, "severity": "critical"}) + publish(SSL) == [NEW, NEW, ("duplicate", "#1")]


def test_what_fires_again_after_it_was_resolved_is_new(publish: Any) -> None:
    resolved = {**SSL, "status": "resolved"}
    assert publish(SSL) + publish(resolved) + publish(resolved) + publish(SSL) == [NEW, NEW, ("duplicate", "#1"), NEW]


def test_the_same_issue_of_another_tenant_is_another_one(world: Any) -> None:
    with world.begin() as connection:
        accept(connection, parse([SSL]))
        (other,) = accept(connection, parse([SSL], tenant="other"))
    assert other.is_new


def test_new_events_of_one_issue_are_chained(world: Any) -> None:
    first, resolved, again = (
        decide(world, event)[0] for event in (SSL, {**SSL, "status": "resolved"}, {**SSL, "severity": "critical"})
    )
    assert (first.previous, resolved.previous, again.previous) == (None, first.event.id, resolved.event.id)


def test_the_chain_holds_within_a_batch(world: Any) -> None:
    first, folded, resolved = decide(world, SSL, SSL, {**SSL, "status": "resolved"})
    assert (folded.first, folded.previous) == (first.event.id, None)
    assert resolved.previous == first.event.id


@pytest.mark.mission("D-31")
def test_repeats_are_counted_where_they_were_folded(world: Any, publish: Any) -> None:
    publish(SSL, SSL, SSL, {**SSL, "data": {"host": "blog"}})
    publish(SSL, SSL)
    rows = world.execute("SELECT repeats FROM events WHERE status = 'accepted' ORDER BY id")
    assert [row.repeats for row in rows] == [4, 0]


def test_a_duplicate_has_an_id_of_its_own_and_names_its_first(world: Any, publish: Any) -> None:
    publish(SSL, SSL)
    rows = world.execute("SELECT id, status, duplicate_of FROM events ORDER BY id")
    assert [(row.status, row.duplicate_of) for row in rows] == [("accepted", None), ("duplicate", rows[0].id)]


def test_what_is_rolled_back_was_never_there(world: Any, publish: Any) -> None:
    with pytest.raises(KeyError), world.begin() as connection:
        accept_only(connection, parse([SSL]))
        raise KeyError
    assert publish(SSL) == [NEW]


@pytest.mark.mission("B-8", "D-4")
def test_of_200_identical_events_from_20_threads_at_once_exactly_one_is_accepted(world: Any) -> None:
    engine = new_engine(str(world.engine.url.render_as_string(hide_password=False)), pool_size=20)
    ready = Barrier(20)

    def publish(_: int) -> list[Any]:
        answers = []
        ready.wait(20)
        for batch in (1, 2, 7):  # 10 events a thread
            with engine.begin() as connection:
                answers += accept_only(connection, parse([SSL] * batch))
        return answers

    with ThreadPoolExecutor(20) as threads:
        answers = [answer for found in threads.map(publish, range(20)) for answer in found]
    engine.dispose()
    assert Counter(answer.status for answer in answers) == {"accepted": 1, "duplicate": 199}
    (first,) = (answer.id for answer in answers if answer.status == "accepted")
    assert {answer.duplicate_of for answer in answers} == {None, first}
    assert len({answer.id for answer in answers}) == 200
    assert [row.repeats for row in world.execute("SELECT repeats FROM events WHERE status = 'accepted'")] == [199]


def test_batches_that_hold_the_same_issues_in_another_order_never_wait_in_a_circle(world: Any) -> None:
    """One has the first issue and wants the second; the other must not hold the second while it waits for the first."""
    hosts = [{**SSL, "data": {"host": f"h{number}"}} for number in range(2)]
    first, second = sorted(hosts, key=lambda one: parse([one])[0].fingerprint)

    def other_batch() -> list[Any]:
        with world.begin() as connection:
            return accept_only(connection, parse([second, first]))

    with ThreadPoolExecutor(1) as thread:
        with world.begin() as connection:
            accept_only(connection, parse([first]))
            other = thread.submit(other_batch)
            wait_until(lambda: world.execute("SELECT FROM pg_locks WHERE NOT granted"), "the other batch to wait")
            assert [answer.status for answer in accept_only(connection, parse([second]))] == ["accepted"]
        assert [answer.status for answer in other.result(10)] == ["duplicate", "duplicate"]


@pytest.mark.mission("B-15")
def test_who_acknowledged_is_silent_for_what_is_new_of_the_issue(world: Any) -> None:
    decide(world, SSL)
    silence(world, "u1")
    (graver,) = decide(world, {**SSL, "severity": "critical"})
    assert graver.silenced == {"u1"}


def test_another_issue_is_not_silent(world: Any) -> None:
    decide(world, SSL)
    silence(world, "u1")
    assert decide(world, {**SSL, "data": {"host": "blog"}})[0].silenced == frozenset()


def test_a_silence_ends_with_its_time(world: Any) -> None:
    decide(world, SSL)
    silence(world, "u1", until="-1 second")
    assert decide(world, {**SSL, "severity": "critical"})[0].silenced == frozenset()


@pytest.mark.mission("B-15")
@pytest.mark.parametrize("together", [False, True], ids=["in-two-batches", "in-one-batch"])
def test_a_silence_ends_when_the_issue_is_resolved_and_that_is_told(world: Any, together: bool) -> None:
    decide(world, SSL)
    silence(world, "u1")
    resolved, again = {**SSL, "status": "resolved"}, SSL
    found = decide(world, resolved, again) if together else decide(world, resolved) + decide(world, again)
    assert [one.silenced for one in found] == [frozenset(), frozenset()]
    assert world.execute("SELECT FROM acknowledgements") == []


def test_what_came_before_the_resolved_event_in_its_batch_stays_silent(world: Any) -> None:
    decide(world, SSL)
    silence(world, "u1")
    graver, _ = decide(world, {**SSL, "severity": "critical"}, {**SSL, "status": "resolved"})
    assert graver.silenced == {"u1"}
