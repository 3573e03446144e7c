"""A storm becomes one message: what came beyond a recipient's cap is folded into the gravest of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event as listening
from sqlalchemy import text

from domain import verdict
from domain.states import DeliveryStatus
from domain.verdict import Verdict
from domain.vocabulary import Reason
from pipeline.claim import claim
from pipeline.fold import MOST_TITLES, More, fold
from pipeline.ledger import explain_event
from pipeline.settle import Result, settle

HELD = Verdict(DeliveryStatus.HELD, Reason.TOO_MANY, 0.0, None, 0)


@pytest.fixture
def ada(world: Any) -> Any:
    """Ada gets certificates by email, and so does Bob."""
    world.user("ada", email="ada@example.org", roles=["operations"])
    world.user("bob", email="bob@example.org", roles=["support"])
    return world


def held(world: Any, count: int, severity: str = "low", start: int = 0, **more: Any) -> list[str]:
    """So many deliveries to Ada that were beyond her cap, whose window has ended; the oldest first."""
    before = {row.id for row in world.execute("SELECT id::text FROM deliveries")}
    for number in range(start, start + count):
        world.publish({"type": "ssl_expiry", "severity": severity, "data": {"host": f"h{number}"}, **more})
    world.execute(
        "UPDATE deliveries SET status = 'held', reason = 'too_many' WHERE channel = 'email' AND status = 'queued'"
        " AND NOT id::text = ANY(:before)",
        before=list(before),
    )
    rows = world.execute("SELECT id::text FROM deliveries WHERE channel = 'email' AND status = 'held' ORDER BY id")
    return [row.id for row in rows if row.id not in before]


def claimed(connection: Any, most: int = 200) -> tuple[int, list[Any]]:
    """The rows of a claim, with the reason that each had before."""
    reasons = dict(connection.execute(text("SELECT id::text, reason FROM deliveries")).all())
    taken = claim(connection, "email", most, 30.0, monotonic())
    rows = [SimpleNamespace(**{**row._mapping, "earlier_reason": reasons[row.id]}) for row in taken.rows]
    return taken.token, rows


def folding(world: Any, most: int = 200, before: Callable[[Any, list[Any]], None] | None = None) -> Any:
    """Claim and fold."""
    with world.begin() as connection:
        token, rows = claimed(connection, most)
        if before:
            before(connection, rows)
        gone, more = fold(connection, token, rows)
    return SimpleNamespace(token=token, rows=rows, gone=gone, more=more)


def states(world: Any, ids: list[str]) -> list[tuple[str, str | None, str | None, bool]]:
    rows = world.execute(
        "SELECT status, reason, folded_into::text, due_at IS NOT NULL AS due FROM deliveries"
        " WHERE id::text = ANY(:ids) ORDER BY id",
        ids=ids,
    )
    return [tuple(row) for row in rows]


@pytest.mark.mission("E-45")
def test_the_gravest_and_then_the_newest_carries_the_others(ada: Any) -> None:
    high = held(ada, 2, "high")
    low = held(ada, 3, start=10)
    done = folding(ada)
    carrier = high[-1]
    assert done.gone == {*low, high[0]}
    assert {id_: one.count for id_, one in done.more.items()} == {carrier: 4}
    assert states(ada, [*low, high[0]]) == [("cancelled", "folded", carrier, False)] * 4
    assert states(ada, [carrier]) == [("processing", None, None, True)]
    leased = ada.execute("SELECT id::text FROM deliveries WHERE lease_token IS NOT NULL OR lease_until IS NOT NULL")
    assert [row.id for row in leased] == [carrier]


def test_the_titles_are_those_of_the_notifications_the_newest_first(ada: Any) -> None:
    ids = held(ada, 4)
    titles = [
        row.title
        for row in ada.execute(
            "SELECT n.title FROM deliveries d JOIN notifications n ON n.id = d.notification_id"
            " WHERE d.id::text = ANY(:ids) ORDER BY d.id DESC",
            ids=ids[:3],
        )
    ]
    assert folding(ada).more == {ids[3]: More(3, tuple(titles))}
    assert len(set(titles)) == 3


def test_at_most_twenty_titles_are_named_of_however_many(ada: Any) -> None:
    ids = held(ada, MOST_TITLES + 15)
    (more,) = folding(ada).more.values()
    assert (more.count, len(more.titles)) == (len(ids) - 1, MOST_TITLES)


def test_one_alone_is_sent_as_it_is(ada: Any) -> None:
    (only,) = held(ada, 1)
    done = folding(ada)
    assert (done.gone, done.more) == (set(), {})
    assert states(ada, [only]) == [("processing", None, None, True)]


def test_what_waited_for_another_reason_is_neither_folded_nor_carries(ada: Any) -> None:
    ids = held(ada, 3)
    ada.execute("UPDATE deliveries SET reason = 'rate_limited' WHERE id::text = :id", id=ids[0])
    done = folding(ada)
    assert done.gone == {ids[1]}
    assert set(done.more) == {ids[2]}


def test_every_recipient_has_a_message_of_their_own(world: Any) -> None:
    for name in ("ada", "bob"):
        world.user(name, email=f"{name}@example.org", roles=["operations"])
    held(world, 3)
    done = folding(world)
    carriers = {row.address: done.more[row.id].count for row in done.rows if row.id in done.more}
    assert carriers == {"ada@example.org": 2, "bob@example.org": 2}


def test_users_who_share_an_address_are_not_told_each_others_news(ada: Any) -> None:
    ids = held(ada, 4)
    ada.execute(
        "UPDATE notifications SET user_id = 'bob' WHERE id IN (SELECT notification_id FROM deliveries"
        " WHERE id::text = ANY(:ids))",
        ids=ids[:2],
    )
    done = folding(ada, most=3)
    assert {id_: one.count for id_, one in done.more.items()} == {ids[1]: 1, ids[2]: 1}  # of two each
    assert [row[2] for row in states(ada, ids)] == [ids[1], None, None, ids[2]]


def test_what_was_not_looked_at_is_not_told_along_when_it_depends_on_a_condition(ada: Any) -> None:
    ids = held(ada, 4)
    ada.execute("UPDATE deliveries SET only_if = 'unread' WHERE id::text = :id", id=ids[3])
    assert folding(ada, most=2).more[ids[1]].count == 2
    assert states(ada, [ids[3]]) == [("held", "too_many", None, True)]


@pytest.mark.mission("E-45")
def test_a_storm_of_which_a_claim_sees_little_becomes_one_message_all_the_same(ada: Any) -> None:
    ids = held(ada, 60)
    done = folding(ada, most=10)
    assert len(done.rows) == 10
    assert [one.count for one in done.more.values()] == [59]
    (carrier,) = done.more
    assert [row[:3] for row in states(ada, ids)].count(("cancelled", "folded", carrier)) == 59
    assert folding(ada).rows == []


@pytest.mark.parametrize(("seconds", "along"), [(20, True), (600, False)])
def test_what_is_due_within_a_minute_comes_along_and_what_is_due_later_waits(
    ada: Any, seconds: int, along: bool
) -> None:
    ids = held(ada, 2)
    ada.execute(
        "UPDATE deliveries SET due_at = now() + :seconds * interval '1 second' WHERE id::text = :id",
        id=ids[0],
        seconds=seconds,
    )
    assert bool(folding(ada).more) is along


def test_what_another_worker_holds_is_left_to_it(ada: Any) -> None:
    ids = held(ada, 4)
    with ada.engine.connect() as other:
        other.execute(text("SELECT FROM deliveries WHERE id::text = ANY(:ids) FOR UPDATE"), {"ids": ids[:2]})
        done = folding(ada)
    assert [one.count for one in done.more.values()] == [1]
    assert [row[0] for row in states(ada, ids[:2])] == ["held", "held"]


# Two that were claimed, and a third that would come along.
STAY_BEHIND = {
    "held for another reason": "UPDATE deliveries SET reason = 'quiet_hours' WHERE id::text = :id",
    "on another channel": "UPDATE deliveries SET channel = 'telegram' WHERE id::text = :id",
    "of another tenant": "UPDATE deliveries SET tenant = 'other' WHERE id::text = :id",
    "to another address": "UPDATE deliveries SET address = 'bob@example.org' WHERE id::text = :id",
    "another user's at the same address": "UPDATE notifications n SET user_id = 'bob' FROM deliveries d"
    " WHERE n.id = d.notification_id AND d.id::text = :id",
    "of a type that the recipient unsubscribed from": "WITH typed AS (UPDATE events e SET type = 'ssl_other'"
    " FROM deliveries d WHERE e.id = d.event_id AND d.id::text = :id)"
    " INSERT INTO suppressions (tenant, channel, address, event, reason, source)"
    " VALUES ('acme', 'email', 'ada@example.org', 'ssl_other', 'unsubscribed', 'unsubscribe')",
    "acknowledged": "INSERT INTO acknowledgements (tenant, fingerprint, user_id, by_user_id, until)"
    " SELECT 'acme', e.fingerprint, '', 'bob', now() + interval '1 day' FROM deliveries d"
    " JOIN events e ON e.id = d.event_id WHERE d.id::text = :id",
    "switched off by the user": "INSERT INTO preferences (id, tenant, user_id, group_name, channels)"
    " SELECT gen_random_uuid(), 'acme', 'ada', 'chat', '{\"email\": false}' WHERE :id <> ''",
    "expired": "UPDATE events e SET expires_at = now() FROM deliveries d WHERE e.id = d.event_id AND d.id::text = :id",
}


@pytest.mark.parametrize("change", STAY_BEHIND.values(), ids=STAY_BEHIND)
def test_nothing_comes_along_that_is(ada: Any, change: str) -> None:
    ids = held(ada, 3)
    ada.execute(change, id=ids[2])
    done = folding(ada, most=2)
    assert {id_: one.count for id_, one in done.more.items()} == {ids[1]: 1}
    assert states(ada, ids[2:])[0][0] == "held"


def expire(row: Any) -> None:
    row.expires_at = row.occurred_at - timedelta(seconds=1)


UNWANTED: dict[str, Callable[[Any], None]] = {
    "acknowledged": lambda row: setattr(row, "acknowledged", True),
    "resolved": lambda row: setattr(row, "resolved", True),
    "expired": expire,
    "suppressed": lambda row: setattr(row, "suppressed", "unsubscribed"),
    "on a channel that the user switched off": lambda row: setattr(row, "disabled", True),
}


@pytest.mark.parametrize("change", UNWANTED.values(), ids=UNWANTED)
def test_what_is_not_wanted_any_more_neither_carries_nor_is_folded(ada: Any, change: Callable[[Any], None]) -> None:
    ids = held(ada, 4)

    def end(connection: Any, rows: list[Any]) -> None:
        for row in rows:
            if row.id in (ids[0], ids[3]):
                change(row)

    done = folding(ada, before=end)
    assert (done.gone, set(done.more)) == ({ids[1]}, {ids[2]})


def test_whoever_claims_may_look_closer_at_what_is_wanted(ada: Any) -> None:
    ids = held(ada, 3)
    with ada.begin() as connection:
        token, rows = claimed(connection)
        gone, more = fold(connection, token, rows, wanted=lambda row: row.id != ids[2])
    assert (gone, set(more)) == ({ids[0]}, {ids[1]})


# --- a carrier's later life


@pytest.mark.parametrize("status", ["failed", "queued"])
def test_a_carrier_that_is_tried_again_still_knows_what_it_carries(ada: Any, status: str) -> None:
    held(ada, 3)
    first = folding(ada)
    ada.execute(
        "UPDATE deliveries SET status = :status, reason = 'retry', failures = 1, due_at = now(), lease_until = NULL"
        " WHERE status = 'processing'",
        status=status,
    )
    again = folding(ada)
    assert again.more == first.more


def test_a_carrier_whose_worker_died_still_knows_what_it_carries(ada: Any) -> None:
    held(ada, 3)
    first = folding(ada)
    ada.execute("UPDATE deliveries SET lease_until = now() - interval '1 second' WHERE status = 'processing'")
    assert folding(ada).more == first.more


def test_a_carrier_that_is_beyond_the_cap_again_is_folded_with_all_that_it_carries(ada: Any) -> None:
    held(ada, 3)
    (first,) = folding(ada).more
    ada.execute(
        "UPDATE deliveries SET status = 'held', reason = 'too_many', due_at = now(), lease_until = NULL"
        " WHERE status = 'processing'"
    )
    (later,) = held(ada, 1, "critical", start=50)
    done = folding(ada)
    assert {id_: one.count for id_, one in done.more.items()} == {later: 3}
    assert done.gone == {first}


def test_a_lease_that_is_not_ours_changes_nothing(ada: Any) -> None:
    ids = held(ada, 3)
    with ada.begin() as connection:
        token, rows = claimed(connection)
        gone, more = fold(connection, token + 1, rows)
    assert (gone, more) == (set(), {})
    assert [row[0] for row in states(ada, ids)] == ["processing"] * 3


@pytest.mark.mission("C-9")
def test_when_the_carrier_is_sent_all_that_it_carries_counts_as_told(ada: Any) -> None:
    held(ada, 3)
    with ada.begin() as connection:
        token, rows = claimed(connection)
        _, more = fold(connection, token, rows)
        (carrier,) = more
        sent = Result(carrier, verdict.sent(0), "smtp", datetime.now(UTC))
        assert settle(connection, token, [sent], "email") == {carrier: "sent"}
    rows = ada.execute(
        "SELECT n.status FROM notifications n JOIN deliveries d ON d.notification_id = n.id WHERE d.reason = 'folded'"
    )
    assert [row.status for row in rows] == ["delivered"] * 2


def test_what_was_folded_is_counted(ada: Any) -> None:
    held(ada, 5)
    folding(ada)
    rows = ada.execute("SELECT sum(count)::int AS n FROM statistics WHERE status = 'cancelled' AND reason = 'folded'")
    assert rows[0].n == 4


def test_the_ledger_names_the_delivery_that_told_it_and_says_so_in_words(ada: Any) -> None:
    ids = held(ada, 2)
    folding(ada)
    (folded,) = [one for one in ada.deliveries(channel="email") if one["id"] == ids[0]]
    assert folded["folded_into"] == ids[1]
    with ada.begin() as connection:
        event = explain_event(connection, tenant="acme", event_id=folded["event_id"])
    assert event is not None
    (said,) = [one["words"] for one in event["deliveries"] if one["id"] == ids[0]]
    assert said == f"It is told in one message together with delivery {ids[1]}."


# --- what it costs


@pytest.fixture
def count(ada: Any) -> Callable[..., int]:
    """How many statements folding a claim sends."""

    def count(most: int) -> int:
        said: list[str] = []
        with ada.begin() as connection:
            token, rows = claimed(connection, most)
            listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
            fold(connection, token, rows)
        return len(said)

    return count


@pytest.mark.mission("D-31")
def test_folding_costs_two_statements_whatever_the_size(ada: Any, count: Callable[..., int]) -> None:
    held(ada, 1)
    assert count(1) == 2
    held(ada, 200, start=300)
    assert count(200) == 2


@pytest.mark.mission("D-31")
def test_deliveries_that_are_claimed_for_the_first_time_cost_none(ada: Any, count: Callable[..., int]) -> None:
    for number in range(5):
        ada.publish({"type": "ssl_expiry", "severity": "low", "data": {"host": f"new{number}"}})
    assert count(200) == 0
