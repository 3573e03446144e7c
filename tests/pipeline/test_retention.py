"""What goes when its days are over, and what stays however old it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from pipeline.inbox_reading import since
from pipeline.retention import FIRST, FORGET, PICK, Forgotten, forget_events, forget_the_rest

DAYS = 90
LATER = timedelta(days=DAYS + 1)
HANGING = ("events", "deliveries", "attempts", "notifications", "issues", "holds", "dead_letters", "acknowledgements")
EVENT = {"type": "ssl_expiry", "severity": "low", "recipients": ["u1"]}


def forget(world: Any, after: timedelta = LATER, **more: Any) -> Forgotten:
    with world.begin() as connection:
        return forget_events(connection, datetime.now(UTC) + after, DAYS, **more)


def publish(world: Any, host: str = "a", **more: Any) -> str:
    (made,) = world.publish({**EVENT, "data": {"host": host}, **more})
    return str(made)


def close_windows(world: Any) -> None:
    world.execute("UPDATE issues SET window_until = now()")


def left(world: Any) -> list[str]:
    return [str(row.id) for row in world.execute("SELECT id FROM events ORDER BY id")]


@pytest.fixture
def u1(world: Any) -> Any:
    world.user("u1", email="u1@example.org")
    return world


def test_a_finished_event_goes_with_all_that_hangs_on_it(u1: Any) -> None:
    publish(u1)
    (delivery,) = u1.send("email")
    u1.execute(
        "INSERT INTO previews (delivery_id, tenant, channel, address, text)"
        " VALUES (cast(:id AS uuid), 'acme', 'email', 'u1@example.org', 'words')",
        id=delivery,
    )
    close_windows(u1)
    assert forget(u1) == Forgotten(1, None)
    rows = {table: u1.execute(f"SELECT count(*) AS n FROM {table}")[0].n for table in (*HANGING, "previews")}
    assert set(rows.values()) == {0}, rows


def test_what_is_live_open_young_or_still_folded_into_stays(u1: Any) -> None:
    queued = publish(u1, "queued")
    assert forget(u1).events == 0
    u1.refuse("email")
    dead = queued
    held = publish(u1, "held", send_at=(datetime.now(UTC) + timedelta(days=400)).isoformat())
    sent = publish(u1, "sent")
    u1.send("email")
    assert forget(u1).events == 0  # its window is open
    close_windows(u1)
    accepted = publish(u1, "accepted")
    u1.execute("UPDATE events SET status = 'accepted' WHERE id = cast(:id AS uuid)", id=accepted)
    u1.send("email")
    close_windows(u1)
    assert forget(u1, timedelta(days=DAYS - 1)).events == 0  # too young
    assert forget(u1).events == 1
    assert left(u1) == sorted({dead, held, accepted} - {sent})


def test_what_has_to_stay_keeps_nothing_else_from_going(u1: Any) -> None:
    stays = publish(u1, "stays")
    u1.refuse("email")
    for host in ("b", "c"):
        publish(u1, host)
    u1.send("email")
    close_windows(u1)
    after: str | None = FIRST
    gone = []
    while after is not None:
        found = _next(u1, after)
        gone.append(found.events)
        after = found.after
    assert gone == [0, 1, 1, 0]
    assert left(u1) == [stays]


def _next(world: Any, after: str) -> Forgotten:
    with world.begin() as connection:
        return forget_events(connection, datetime.now(UTC) + LATER, DAYS, after, most=1)


def test_nobody_is_waited_for(u1: Any) -> None:
    publish(u1)
    u1.send("email")
    close_windows(u1)
    with u1.begin() as other:
        other.execute(text("SELECT FROM events FOR UPDATE"))
        assert forget(u1).events == 0
    with u1.begin() as other:
        other.execute(text("SELECT FROM issues FOR UPDATE"))
        assert forget(u1).events == 1


def test_an_inbox_goes_on_counting_where_it_was(u1: Any) -> None:
    for host in ("a", "b", "c"):
        publish(u1, host)
    u1.send("email")
    close_windows(u1)
    u1.execute(
        "UPDATE issues SET window_until = now() + interval '1 day'"
        " WHERE event_id = (SELECT id FROM events ORDER BY id DESC LIMIT 1)"
    )
    assert forget(u1).events == 2
    publish(u1, "d")
    with u1.begin() as connection:
        frames = since(connection, tenant="acme", user_id="u1", after=1, most=10)
    assert [frame.sequence for frame in frames] == [3, 4]


def test_counts_rejections_and_receipts_of_nothing_go_when_their_time_is_over(world: Any) -> None:
    world.execute(
        "INSERT INTO statistics (hour, tenant, channel, status, reason, shard, count)"
        " SELECT now() - days * interval '1 day', 'acme', 'email', 'sent', '', 0, 1 FROM unnest(ARRAY[399, 401]) days"
    )
    world.execute(
        "INSERT INTO rejections (id, source, error, payload) SELECT uuidv7(d * interval '1 day'), 'bus', '', ''"
        " FROM unnest(ARRAY[-91, -89]) d"
    )
    world.execute(
        "INSERT INTO receipts (provider, key, kind, detail, occurred_at, received_at)"
        " SELECT 'resend', d::text, 'opened', '', now(), now() - d * interval '1 day' FROM unnest(ARRAY[91, 89]) d"
    )
    with world.begin() as connection:
        forget_the_rest(connection, datetime.now(UTC), DAYS)
    counted = {
        table: world.execute(f"SELECT count(*) AS n FROM {table}")[0].n
        for table in ("statistics", "rejections", "receipts")
    }
    assert set(counted.values()) == {1}, counted


FILL = """
INSERT INTO events (id, tenant, type, status, condition, severity, fingerprint, data, occurred_at)
    SELECT uuidv7(-n * interval '1 hour'), 'acme', 'x', 'routed', 'firing', 'low', sha256(n::text::bytea), '{}', now()
    FROM generate_series(1, 5000) n;
INSERT INTO issues (tenant, fingerprint, event_id, status, severity, window_until)
    SELECT tenant, fingerprint, id, 'firing', 1, now() FROM events;
INSERT INTO notifications (id, tenant, event_id, user_id, recipient, audience, event, group_name, title, content,
                           priority, severity)
    SELECT uuidv7(), tenant, id, 'u', 'u', 'admin', 'x', 'g', '', '', 'low', 'low' FROM events;
INSERT INTO deliveries (id, tenant, event_id, notification_id, channel, address, template, priority, status)
    SELECT uuidv7(), tenant, event_id, id, 'email', 'a', 'default', 2, 'sent' FROM notifications;
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail)
    SELECT id, 1, 'smtp', now(), 1, 'sent', '' FROM deliveries;
INSERT INTO receipts (provider, key, kind, detail, occurred_at, delivery_id)
    SELECT 'resend', id::text, 'delivered', '', now(), id FROM deliveries
"""


def scanned(connection: Connection, statement: Any, values: dict[str, Any]) -> list[str]:
    """The tables that a statement would read from end to end."""
    found: list[str] = []

    def look(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan":
            found.append(node["Relation Name"])
        for inner in node.get("Plans", ()):
            look(inner)

    (plan,) = connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement.text}"), values).scalar_one()
    look(plan["Plan"])
    return found


def test_no_large_table_is_read_from_end_to_end(world: Any) -> None:
    with world.engine.connect() as connection:
        for statement in FILL.split(";"):
            connection.execute(text(statement))
        connection.execute(text("ANALYZE events, issues, notifications, deliveries, attempts, receipts"))
        picking = {"after": FIRST, "before": "ffffffff-ffff-7fff-bfff-ffffffffffff", "most": 50}
        ids = connection.execute(PICK, picking).one().over
        assert len(ids) == 50
        small = {"previews", "dead_letters", "event_secrets", "acknowledgements"}  # empty here
        assert set(scanned(connection, PICK, picking)) <= small
        assert set(scanned(connection, FORGET, {"ids": ids})) <= small
        connection.rollback()
