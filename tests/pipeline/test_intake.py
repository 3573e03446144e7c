"""The events of many requests in one transaction: a fixed number of statements, and an answer for each."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event as listening

from config.catalogue import shipped
from domain.event import Event
from pipeline.envelope import parse
from pipeline.idempotency import Slot
from pipeline.intake import Refusal, Submission, Taken, take_in
from pipeline.setup import create_key, revoke_key


def an_event(n: Any = None, tenant: str = "acme") -> Event:
    """An event that differs from all others, or from those with another number."""
    body = {"type": "task.failed", "data": {"task": uuid4().hex if n is None else n}}
    return parse(body, tenant=tenant, catalogue=shipped().event_types)


def a_key(world: Any) -> str:
    with world.begin() as connection:
        key: str = create_key(connection, tenant="acme", role="publisher", actor="cli").id
    return key


def keyed(key: str, body: bytes = b"{}", tenant: str = "acme", key_id: str | None = None) -> Submission:
    return Submission([an_event(tenant=tenant)], key_id, Slot(tenant, "POST /v1/events", key), sha256(body).digest())


def take(world: Any, *submissions: Submission) -> tuple[list[Taken | Refusal], int]:
    """The outcomes, and how many statements they took."""
    said: list[str] = []
    with world.begin() as connection:
        listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
        return take_in(connection, submissions), len(said)


@pytest.mark.mission("D-31")
def test_many_requests_take_as_many_statements_as_one(world: Any) -> None:
    key = a_key(world)
    one, single = take(world, Submission([an_event()], key))
    many, group = take(world, *(Submission([an_event(), an_event()], key) for _ in range(100)))
    assert all(isinstance(outcome, Taken) and outcome.fresh for outcome in (*one, *many))
    assert single == group == 3


@pytest.mark.mission("C-5")
def test_what_was_read_with_event_types_of_before_is_not_stored(world: Any) -> None:
    key = a_key(world)
    (version,) = (row.version for row in world.execute("SELECT version FROM tenants WHERE id = 'acme'"))
    given = [Submission([an_event()], key, version=one) for one in (version, version - 1, None)]
    (current, stale, whatever), statements = take(world, *given)
    assert isinstance(current, Taken) and isinstance(whatever, Taken)
    assert (stale, statements) == (Refusal.STALE, 3)
    assert world.execute("SELECT count(*) AS n FROM events")[0].n == 2


def test_with_idempotency_keys_it_is_a_fixed_number_too(world: Any) -> None:
    _, single = take(world, keyed("first"))
    _, group = take(world, *(keyed(str(number)) for number in range(100)))
    _, repeated = take(world, *(keyed(str(number)) for number in range(100)))
    assert single == group == 4
    assert repeated == 2


def test_each_gets_the_answers_to_its_own_events(world: Any) -> None:
    same = [
        Submission([an_event(1)], None),
        Submission([an_event(2), an_event(1)], None),
        Submission([an_event(2)], None),
    ]
    outcomes, _ = take(world, *same)
    told = [[answer.status for answer in outcome.answers] for outcome in outcomes if isinstance(outcome, Taken)]
    assert told == [["accepted"], ["accepted", "duplicate"], ["duplicate"]]
    ids = [answer.id for outcome in outcomes if isinstance(outcome, Taken) for answer in outcome.answers]
    assert ids == [event.id for submission in same for event in submission.events]


def test_a_key_that_was_revoked_meanwhile_stores_nothing(world: Any) -> None:
    good, bad = a_key(world), a_key(world)
    with world.begin() as connection:
        revoke_key(connection, key_id=bad, actor="cli")
    outcomes, _ = take(world, Submission([an_event()], bad), Submission([an_event()], good), keyed("k", key_id=bad))
    assert outcomes[0] is outcomes[2] is Refusal.REVOKED
    assert isinstance(outcomes[1], Taken)
    assert len(world.execute("SELECT id FROM events")) == 1
    assert world.execute("SELECT key FROM idempotency_keys") == []


def test_repeated_requests_in_one_batch_get_one_answer(world: Any) -> None:
    outcomes, _ = take(world, keyed("k"), keyed("k"), keyed("k", b"another body"), keyed("k", tenant="other"))
    first, second, third, fourth = outcomes
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert (first.fresh, second.fresh) == (True, False)
    assert first.answers == second.answers
    assert third is Refusal.OTHER_BODY
    assert isinstance(fourth, Taken)
    assert fourth.fresh
    assert len(world.execute("SELECT id FROM events")) == 2


def test_a_later_batch_gets_the_kept_answer(world: Any) -> None:
    (first,), _ = take(world, keyed("k"))
    (second, other), _ = take(world, keyed("k"), keyed("k", b"another body"))
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert second.answers == first.answers
    assert not second.fresh
    assert other is Refusal.OTHER_BODY
