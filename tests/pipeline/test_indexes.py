"""No statement of the path costs more because a table is large: what is finished is never looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from config.catalogue import shipped
from domain import verdict
from domain.vocabulary import Reason
from models.engine import BATCH_OPTIONS, new_engine
from pipeline.acknowledge import acknowledge
from pipeline.bulkhead import give_back_slots, make_slots, take_slots
from pipeline.claim import claim
from pipeline.dead_letter import mark_announced, unannounced
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.fold import fold
from pipeline.ledger import read_event
from pipeline.publish import accept_and_route, accept_only, route_accepted
from pipeline.rejections import unseen
from pipeline.replay import replay
from pipeline.scheduled import show_due
from pipeline.settle import Result, settle
from pipeline.setup import ensure_tenant
from pipeline.sweep import forget_seen, look, take_round
from pipeline.users import put_user
from pipeline.withdraw import withdraw_issue

FINISHED = 5_000
MOST_TOUCHED = 200  # rows of one table by one statement: some batches of ten, and far from what is finished
BATCH = 10
BUILT = dict.fromkeys(("email", "telegram", "webhook", "in_app"), True)
LARGE = {"deliveries", "events", "notifications", "attempts", "issues", "letters", "idempotency_keys", "users"}
LARGE |= {"dead_letters", "user_roles"}

# Finished work as it lies about after some weeks: each event told one user on two channels.
FILL = """
INSERT INTO users (tenant, id, email) SELECT 'acme', 'old' || n, 'old' || n || '@example.org' FROM {numbers};
INSERT INTO user_roles (tenant, role, user_id) SELECT 'acme', 'role' || n, 'old' || n FROM {numbers};
INSERT INTO issues (tenant, fingerprint, event_id, status, severity, window_until)
    SELECT 'acme', sha256(n::text::bytea), gen_random_uuid(), 'firing', 1, now() - interval '1 day' FROM {numbers};
INSERT INTO events (id, tenant, type, status, condition, severity, fingerprint, data, occurred_at, accepted_at)
    SELECT gen_random_uuid(), 'acme', 'ssl_expiry', 'routed', 'firing', 'high', sha256(n::text::bytea), '{{}}',
           now() - interval '30 days', now() - interval '30 days' FROM {numbers};
INSERT INTO notifications (id, tenant, event_id, user_id, recipient, audience, event, group_name, title, content,
                           priority, severity, status)
    SELECT gen_random_uuid(), 'acme', id, 'old1', 'old1', 'admin', type, 'g', 't', 'c', 'high', 'high', 'delivered'
    FROM events;
INSERT INTO deliveries (id, tenant, event_id, notification_id, channel, address, template, priority, status, attempts,
                        sent_at)
    SELECT gen_random_uuid(), 'acme', event_id, id, channel, 'a', 'default', 2, 'sent', 1, now()
    FROM notifications, unnest(ARRAY['email', 'in_app']) AS channel;
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail)
    SELECT id, 1, 'smtp', now(), 1, 'sent', '' FROM deliveries WHERE channel = 'email';
INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail, announced_at)
    SELECT gen_random_uuid(), 'acme', 'email', 'ssl_expiry', 'refused', '', now() FROM {numbers};
INSERT INTO letters (source, id) SELECT 'celery', n::text FROM {numbers};
INSERT INTO idempotency_keys (tenant, endpoint, key, body_hash, status, response)
    SELECT 'acme', '/v1/events', n::text, '', 202, '{{}}' FROM {numbers};
"""

EXPLAIN = "-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 -c auto_explain.log_analyze=on"
EXPLAIN += " -c auto_explain.log_format=json -c auto_explain.log_level=notice -c auto_explain.log_timing=off"


@pytest.fixture(scope="module")
def old(module_database_url: str) -> Iterator[Engine]:
    """A database full of finished work, whose connections tell how each statement was carried out."""
    plain = new_engine(module_database_url)
    with plain.begin() as connection:
        settle_in(connection)
        fill(connection)
    with plain.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    plain.dispose()
    made = new_engine(module_database_url, options=f"{BATCH_OPTIONS} {EXPLAIN}")
    yield made
    made.dispose()


def settle_in(connection: Connection) -> None:
    """A tenant with three users, whom the shipped routes tell of certificates by email and Telegram."""
    ensure_tenant(connection, "acme")
    for number in range(3):
        body = {"email": f"u{number}@example.org", "telegram_chat_id": f"7{number}", "roles": ["operations"]}
        put_user(connection, tenant="acme", user_id=f"u{number}", body=body, actor="cli")
    make_slots(connection, "email", 5)


def fill(connection: Connection) -> None:
    for statement in FILL.format(numbers=f"generate_series(1, {FINISHED}) AS n").split(";"):
        if statement.strip():
            connection.execute(text(statement))


@pytest.fixture(params=["force_custom_plan", "force_generic_plan"], ids=["custom-plans", "generic-plans"])
def touched(request: Any, old: Engine) -> Iterator[Callable[..., dict[str, int]]]:
    """Does something in a transaction that is rolled back: the most rows of each large table one statement touched.

    A statement that scans a whole table has touched all of it, whether it was large or not.
    """
    plans: list[dict[str, Any]] = []
    with old.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.add_notice_handler(lambda said: plans.append(json.loads(said.message_primary.partition("plan:")[2])))
        connection.execute(text(f"SET LOCAL plan_cache_mode = {request.param}"))
        state = SimpleNamespace(directory=Directory())

        def touched(work: Callable[[Connection, Any], Any]) -> dict[str, int]:
            plans.clear()
            state.answer = work(connection, state)
            return _touched(plans)

        touched.state = state  # type: ignore[attr-defined]
        touched.connection = connection  # type: ignore[attr-defined]
        yield touched
        connection.rollback()
        connection.invalidate()


def _touched(plans: list[dict[str, Any]]) -> dict[str, int]:
    assert plans, "no statement was explained"
    found: dict[str, int] = {}
    for plan in plans:
        for table, rows in _scans(plan["Plan"]):
            found[table] = max(found.get(table, 0), rows)
    return found


def _scans(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The tables that a plan reads with the rows that it looked at."""
    if "Scan" in plan["Node Type"] and plan.get("Relation Name") in LARGE:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        rows = FINISHED if plan["Node Type"] == "Seq Scan" else (plan["Actual Rows"] + removed) * plan["Actual Loops"]
        yield plan["Relation Name"], int(rows)
    for inner in plan.get("Plans", ()):
        yield from _scans(inner)


def parsed(status: str = "firing") -> Any:
    bodies = [{"type": "ssl_expiry", "status": status, "data": {"host": f"h{number}"}} for number in range(BATCH)]
    return parse_many(bodies, tenant="acme", catalogue=shipped().event_types)


def publish(connection: Connection, state: Any) -> list[str]:
    tenants = state.directory.look_up(connection, ["acme"])
    return [answer.id for answer in accept_and_route(connection, tenants, parsed(), BUILT)[0]]


def ingest(connection: Connection, state: Any) -> None:
    ids = [answer.id for answer in accept_only(connection, parsed())]
    route_accepted(connection, state.directory, ids, BUILT)


def resolve(connection: Connection, state: Any) -> None:
    publish(connection, state)
    publish(connection, state)
    tenants = state.directory.look_up(connection, ["acme"])
    accept_and_route(connection, tenants, parsed("resolved"), BUILT)


def take(connection: Connection, _: Any = None) -> Any:
    taken = claim(connection, "email", 200, 30.0, monotonic())
    assert len(taken.rows) == 3 * BATCH
    return taken


def take_lost(connection: Connection, _: Any) -> None:
    claim(connection, "email", 200, -1.0, monotonic())
    take(connection)


def finish(connection: Connection, _: Any) -> None:
    taken = take(connection)
    verdicts = (verdict.sent(0), verdict.refused(0), verdict.failed(0, (60,), 0.0, None))
    results = [Result(row.id, verdicts[place % 3], "smtp", datetime.now(UTC)) for place, row in enumerate(taken.rows)]
    assert len(settle(connection, taken.token, results)) == 3 * BATCH


def sweep(connection: Connection, _: Any) -> None:
    take_round(connection, "sweep", 0.0)
    assert look(connection, ["email", "telegram", "webhook"], 0.0).due == {"email": 3 * BATCH, "telegram": 3 * BATCH}
    show_due(connection, datetime.now(UTC))
    forget_seen(connection)


def withdraw(connection: Connection, state: Any) -> None:
    assert withdraw_issue(connection, "acme", state.answer, Reason.RESOLVED) == 6 * BATCH


def announce(connection: Connection, state: Any) -> None:
    finish(connection, state)
    letters = unannounced(connection)
    assert len(letters) == BATCH
    mark_announced(connection, letters)


def send_again(connection: Connection, state: Any) -> None:
    finish(connection, state)
    ids = [letter["delivery_id"] for letter in unannounced(connection)]
    assert len(replay(connection, tenant="acme", ids=ids, actor="cli")["replayed"]) == BATCH


def take_it(connection: Connection, state: Any) -> None:
    told = read_event(connection, tenant="acme", event_id=state.answer[0])
    assert told is not None
    notification = told["notifications"][0]["id"]
    by = {"by_user_id": "u0", "everyone": True, "note": None, "actor": "cli"}
    assert acknowledge(connection, tenant="acme", notification_id=notification, **by)


def slots(connection: Connection, _: Any) -> None:
    held = take_slots(connection, "email", 5, 30.0)
    give_back_slots(connection, "email", held, 5)


def fold_some(connection: Connection, _: Any) -> None:
    hold = "UPDATE deliveries SET status = 'held', reason = 'too_many' WHERE channel = 'email' AND due_at <= now()"
    connection.execute(text(f"{hold} AND priority = ANY('{{0,1,2,3}}')"))
    taken = claim(connection, "email", BATCH, 30.0, monotonic())
    rows: Any = [SimpleNamespace(**{**row._mapping, "earlier_reason": "too_many"}) for row in taken.rows]
    _, more = fold(connection, taken.token, rows)
    assert sum(one.count for one in more.values()) >= BATCH - 3
    sent = [Result(carrier, verdict.sent(0), "smtp", datetime.now(UTC)) for carrier in more]
    settle(connection, taken.token, sent, "email")


STAGES: dict[str, Callable[[Connection, Any], Any]] = {
    "publish": publish,
    "ingest": ingest,
    "resolve": resolve,
    "claim": take,
    "claim-after-a-crash": take_lost,
    "settle": finish,
    "fold": fold_some,
    "sweep": sweep,
    "withdraw": withdraw,
    "announce": announce,
    "replay": send_again,
    "acknowledge": take_it,
    "bulkhead": slots,
    "messages-seen-before": lambda connection, _: unseen(connection, "celery", ["1", "new"]),
}


@pytest.mark.mission("D-33")
@pytest.mark.parametrize("stage", STAGES)
def test_beside_a_large_amount_of_finished_work_only_what_is_needed_is_touched(touched: Any, stage: str) -> None:
    if stage not in ("publish", "ingest", "resolve"):
        touched.state.answer = publish(touched.connection, touched.state)
    found = touched(STAGES[stage])
    assert {table: rows for table, rows in found.items() if rows > MOST_TOUCHED} == {}


@pytest.mark.mission("D-33")
@pytest.mark.parametrize(("times", "known"), [(20, True), (1, False)], ids=["counted", "since-the-last-count"])
def test_a_backlog_costs_a_claim_no_more_than_what_it_takes(touched: Any, times: int, known: bool) -> None:
    """The planner must not take the backlog for the batch, whether or not its statistics know of it."""
    touched.connection.execute(
        text(
            "INSERT INTO deliveries (id, tenant, event_id, notification_id, channel, address, template, priority, "
            "status, due_at) SELECT gen_random_uuid(), tenant, event_id, id, 'email', 'a', 'default', 2, 'queued', "
            "now() FROM notifications, generate_series(1, :times)"
        ),
        {"times": times},
    )
    if known:
        touched.connection.execute(text("ANALYZE deliveries"))
    # A table of 5,000 rows is as well read once; have the planner believe that there are two hundred times as many.
    believed = text("UPDATE pg_class SET reltuples = reltuples * 200 WHERE relname = ANY(:names)")
    touched.connection.execute(believed, {"names": ["events", "notifications", "users"]})
    found = touched(lambda connection, _: claim(connection, "email", BATCH, 30.0, monotonic()))
    assert len(touched.state.answer.rows) == BATCH
    assert {table: rows for table, rows in found.items() if rows > MOST_TOUCHED} == {}


@pytest.mark.mission("D-33")
def test_what_is_due_in_an_hour_costs_a_claim_nothing(touched: Any) -> None:
    publish(touched.connection, touched.state)
    touched.connection.execute(
        text(
            "INSERT INTO deliveries (id, tenant, event_id, channel, address, template, priority, status, due_at) "
            "SELECT gen_random_uuid(), tenant, id, 'email', 'a', 'default', 2, 'failed', now() + interval '1 hour' "
            "FROM events LIMIT 5000"
        )
    )
    assert touched(take)["deliveries"] <= MOST_TOUCHED


@pytest.mark.mission("D-33")
def test_a_plan_that_was_made_while_the_tables_were_small_is_good_when_they_are_large(database_url: str) -> None:
    """A worker keeps its plans for as long as its connection lives, and may have made them in an empty database."""
    plans: list[dict[str, Any]] = []
    engine = new_engine(database_url, options=f"{BATCH_OPTIONS} {EXPLAIN} -c plan_cache_mode=force_generic_plan")
    with engine.begin() as connection:
        settle_in(connection)
        for table in LARGE:
            connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))

    def run(connection: Connection) -> dict[str, dict[str, int]]:
        found = {}
        for stage, work in STAGES.items():
            with connection.begin() as transaction:
                state = SimpleNamespace(directory=Directory())
                if stage not in ("publish", "ingest", "resolve"):
                    state.answer = publish(connection, state)
                plans.clear()
                work(connection, state)
                found[stage] = {table: rows for table, rows in _touched(plans).items() if rows > MOST_TOUCHED}
                transaction.rollback()
        return {stage: tables for stage, tables in found.items() if tables}

    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.prepare_threshold = 0  # at once, instead of after five times
        driver.add_notice_handler(lambda said: plans.append(json.loads(said.message_primary.partition("plan:")[2])))
        run(connection)
        plain = new_engine(database_url)
        with plain.begin() as other:
            fill(other)
        plain.dispose()
        assert run(connection) == {}
    engine.dispose()


def test_a_scan_would_be_seen(touched: Any) -> None:
    """The measure itself: a statement without an index touches what it reads."""
    asked = text("SELECT count(*) FROM deliveries WHERE address = 'nobody'")
    assert touched(lambda connection, _: connection.execute(asked))["deliveries"] >= FINISHED
