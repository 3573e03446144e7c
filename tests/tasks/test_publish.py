"""From messages to stored deliveries: what is no event is kept for a person, and nothing holds up the rest."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event as listening
from sqlalchemy.exc import OperationalError

from models.engine import engine


@pytest.fixture
def ops(process: Any) -> Any:
    """One user whom the shipped routes tell of certificates by email."""
    process.user("u1", email="u1@example.org", roles=["operations"])
    return process


def letter(body: Any, id_: str | None = None, wrapped: bool = True) -> Any:
    from tasks.batching import Letter

    raw = body if isinstance(body, bytes) else json.dumps([[body], {}, {}] if wrapped else body).encode()
    return Letter(id_ or str(uuid4()), raw, wrapped)


def publish(*letters: Any, source: str = "celery") -> None:
    from tasks.publish import publish_letters

    publish_letters(letters, source)


def stored(ops: Any) -> list[str]:
    return [row.host for row in ops.execute("SELECT data->>'host' AS host FROM events ORDER BY id")]


def rejected(ops: Any) -> list[tuple[str, str]]:
    return [(row.source, row.error) for row in ops.execute("SELECT source, error FROM rejections ORDER BY id")]


@pytest.mark.mission("B-8", "D-4", "D-31")
def test_the_events_of_many_messages_are_stored_routed_and_rung_for_together(ops: Any, ssl: dict[str, Any]) -> None:
    publish(letter(ssl), letter([{**ssl, "data": {"host": host}} for host in ("a", "b")]))
    assert stored(ops) == ["shop", "a", "b"]
    from tasks.bells import ringer

    ringer().flush()
    ids = sorted(str(row.id) for row in ops.deliveries("email"))
    assert [sorted(ids) for (ids,) in ops.broker.bells("deliver.email")] == [ids]


@pytest.mark.mission("D-4", "A-26")
def test_a_message_that_is_delivered_twice_happens_once(ops: Any, ssl: dict[str, Any]) -> None:
    chat = {"tenant": "acme", "type": "message_received", "data": {"host": "x"}, "recipients": ["u1"]}
    again = letter(chat, "task-1")
    publish(again)
    publish(letter(ssl), again)
    publish(again, again)
    assert sorted(stored(ops)) == ["shop", "x"]


def test_the_same_message_twice_in_a_batch_happens_once(ops: Any) -> None:
    chat = {"tenant": "acme", "type": "message_received", "data": {"host": "x"}}
    publish(letter(chat, "task-1"), letter(chat, "task-1"))
    assert stored(ops) == ["x"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"\x80\x04\x95\x00\x00", "is not UTF-8", id="pickle"),
        pytest.param(b"[[{]]", "is not valid JSON (line 1, column 4)", id="no-json"),
        pytest.param({"type": "x"}, "tenant: is required", id="without-tenant"),
        pytest.param({"type": "x", "tenant": "ghost"}, "events[0].tenant: is not a tenant of this", id="no-tenant"),
        pytest.param({"type": "x", "tenant": "acme", "a\x00b": 1}, "a\\x00b: is not a known field", id="nul-in-a-name"),
        pytest.param(
            {"events": [{"type": "x", "tenant": "acme"}], "a\ud800": 1}, "a\\ud800: is not a known", id="half-a-pair"
        ),
        pytest.param({"type": "x", "tenant": "acme", "data": {"a": "\x00"}}, "data.a: has a NUL", id="nul"),
    ],
)
def test_what_is_no_event_is_kept_with_its_reason_and_the_others_go_on(
    ops: Any, ssl: dict[str, Any], body: Any, error: str
) -> None:
    publish(letter(ssl), letter(body), letter({**ssl, "data": {"host": "blog"}}))
    assert stored(ops) == ["shop", "blog"]
    ((source, said),) = rejected(ops)
    assert source == "celery"
    assert said.startswith(error)


def test_a_list_with_one_wrong_event_is_rejected_as_a_whole(ops: Any, ssl: dict[str, Any]) -> None:
    publish(letter([ssl, {**ssl, "severity": "urgent"}]))
    assert stored(ops) == []
    assert [error.split(":")[0] for _, error in rejected(ops)] == ["events[1].severity"]


def test_a_message_of_the_bus_is_known_as_such(ops: Any) -> None:
    publish(letter({"type": ""}, wrapped=False), source="bus")
    assert [source for source, _ in rejected(ops)] == ["bus"]


@pytest.mark.parametrize("id_", ["a\x00b", "\ud800", "x" * 100_000], ids=["nul", "half-a-pair", "long"])
def test_an_odd_message_id_stops_nobody(ops: Any, ssl: dict[str, Any], id_: str) -> None:
    publish(letter(ssl, id_), letter({**ssl, "data": {"host": "blog"}}))
    publish(letter({**ssl, "data": {"host": "docs"}}, id_))
    assert stored(ops) == ["shop", "blog"]


@pytest.fixture
def spoilt(ops: Any) -> Any:
    """A database that refuses the host `bad`, as it would something that the door overlooked."""
    ops.execute("ALTER TABLE events ADD CONSTRAINT spoilt CHECK (data->>'host' <> 'bad')")
    yield ops
    ops.execute("ALTER TABLE events DROP CONSTRAINT spoilt")


def test_a_message_that_the_database_refuses_is_set_apart_and_the_others_are_published(
    spoilt: Any, ssl: dict[str, Any]
) -> None:
    hosts = ["a", "b", "bad", "c", "d"]
    publish(*(letter({**ssl, "data": {"host": host}}) for host in hosts))
    assert stored(spoilt) == ["a", "b", "c", "d"]
    assert rejected(spoilt) == [("celery", "cannot be stored: IntegrityError")]


@pytest.mark.mission("A-26", "D-4")
def test_while_the_database_is_away_nothing_is_set_apart_and_the_messages_come_again(
    ops: Any, ssl: dict[str, Any]
) -> None:
    class AwayError(Exception):
        pass

    def away(*_: Any) -> None:
        raise OperationalError("INSERT", {}, AwayError())

    again = letter(ssl)
    listening.listen(engine(), "before_cursor_execute", away)
    try:
        with pytest.raises(OperationalError):
            publish(again)
    finally:
        listening.remove(engine(), "before_cursor_execute", away)
    assert rejected(ops) == []
    publish(again)
    assert stored(ops) == ["shop"]


def accept(ops: Any, *events: dict[str, Any]) -> list[str]:
    from config.catalogue import shipped
    from pipeline.envelope import parse_many
    from pipeline.publish import accept_only

    with engine().begin() as connection:
        parsed = parse_many(list(events), tenant="acme", catalogue=shipped().event_types)
        return [answer.id for answer in accept_only(connection, parsed)]


@pytest.mark.mission("D-4")
def test_a_bell_for_accepted_events_routes_them_and_rings_on(ops: Any, ssl: dict[str, Any]) -> None:
    from tasks.bells import ringer
    from tasks.publish import ingest

    ids = accept(ops, ssl)
    ingest(ids)
    ringer().flush()
    assert len(ops.deliveries("email")) == 1
    assert len(ops.broker.bells("deliver.email")) == 1


def test_an_event_that_cannot_be_routed_is_marked_and_the_others_go_on(ops: Any, ssl: dict[str, Any]) -> None:
    from tasks.publish import route_waiting

    ids = accept(ops, *({**ssl, "data": {"host": host}} for host in ("a", "bad", "b", "c")))
    check = "CHECK (address <> 'u1@example.org' OR event_id <> '{}')"
    ops.execute(f"ALTER TABLE deliveries ADD CONSTRAINT spoilt {check.format(ids[1])}")
    try:
        assert set(route_waiting(ops.child, ids)) == {"email"}
    finally:
        ops.execute("ALTER TABLE deliveries DROP CONSTRAINT spoilt")
    rows = ops.execute("SELECT data->>'host' AS host, status FROM events ORDER BY id")
    assert [tuple(row) for row in rows] == [("a", "routed"), ("bad", "unrouted"), ("b", "routed"), ("c", "routed")]
    assert ops.execute("SELECT reason FROM events WHERE status = 'unrouted'")[0].reason == "not_routed"
    assert len(ops.deliveries("email")) == 3
