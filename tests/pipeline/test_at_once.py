"""All verbs at once, on a handful of issues: nobody waits in a circle, and the ledger adds up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from random import Random
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Engine, text

from config.catalogue import shipped
from domain import verdict
from models.engine import new_engine
from pipeline.acknowledge import acknowledge
from pipeline.cancel import cancel_event
from pipeline.claim import claim
from pipeline.dead_letter import mark_announced, unannounced
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route, accept_only, route_accepted
from pipeline.replay import replay
from pipeline.scheduled import show_due
from pipeline.settle import Result, settle
from pipeline.sweep import forget_seen, look, take_round

BUILT = dict.fromkeys(("email", "telegram", "webhook", "in_app"), True)
WORKERS, ROUNDS, HOSTS, SEED = 8, 80, 10, 20261120
FINISHED = "('sent', 'cancelled', 'dead_letter', 'expired', 'suppressed', 'delivered')"
ODD_OUTCOMES = (verdict.sent(0), verdict.sent(0), verdict.failed(0, (0,), 0.0, None), verdict.refused(0))


class Worker:
    """One of many, with a directory and a chance of its own."""

    def __init__(self, engine: Engine, number: int) -> None:
        self.engine, self.directory, self.chance = engine, Directory(), Random(SEED + number)

    def work(self) -> None:
        verbs: list[Callable[[], None]] = [self.publish, self.accept, self.route, self.send, self.send, self.take_it]
        verbs += [self.take_back, self.sweep, self.send_again, self.announce, self.end_a_window]
        for _ in range(ROUNDS):
            self.chance.choice(verbs)()

    def events(self) -> Any:
        bodies = [
            {
                "type": "ssl_expiry",
                "status": self.chance.choice(["firing", "firing", "firing", "resolved"]),
                "severity": self.chance.choice(["low", "medium", "high", "critical"]),
                "data": {"host": f"h{self.chance.randrange(HOSTS)}"},
            }
            for _ in range(self.chance.randrange(1, 30))
        ]
        return parse_many(bodies, tenant="acme", catalogue=shipped().event_types)

    def any_id(self, table: str, condition: str) -> Any:
        with self.engine.begin() as connection:
            asked = f"SELECT id::text FROM {table} WHERE {condition} ORDER BY random() LIMIT 1"
            return connection.execute(text(asked)).scalar()

    def publish(self) -> None:
        events = self.events()
        with self.engine.begin() as connection:
            accept_and_route(connection, self.directory.look_up(connection, ["acme"]), events, BUILT)

    def accept(self) -> None:
        events = self.events()
        with self.engine.begin() as connection:
            accept_only(connection, events)

    def route(self) -> None:
        with self.engine.begin() as connection:
            ids = look(connection, ["email"], -1.0).forgotten
        self.chance.shuffle(ids)
        with self.engine.begin() as connection:
            route_accepted(connection, self.directory, ids, BUILT)

    def send(self) -> None:
        """Claim and settle in two halves and in any order; now and then the worker dies instead."""
        lease = self.chance.choice([30.0, 30.0, 0.0])
        with self.engine.begin() as connection:
            channel = self.chance.choice(["email", "telegram"])
            taken = claim(connection, channel, self.chance.randrange(1, 60), lease, monotonic())
        if self.chance.random() < 0.1:
            return
        rows = list(taken.rows)
        self.chance.shuffle(rows)
        for half in (rows[::2], rows[1::2]):
            results = [Result(row.id, self.chance.choice(ODD_OUTCOMES), "smtp", datetime.now(UTC)) for row in half]
            with self.engine.begin() as connection:
                settle(connection, taken.token, results)

    def take_it(self) -> None:
        found = self.any_id("notifications", "ack_at IS NULL")
        everyone = self.chance.choice([True, False])
        if found:
            by = {"by_user_id": "u9", "everyone": everyone, "note": None, "actor": "cli"}
            with self.engine.begin() as connection:
                acknowledge(connection, tenant="acme", notification_id=found, **by)

    def take_back(self) -> None:
        found = self.any_id("events", "status = 'routed'")
        if found:
            with self.engine.begin() as connection:
                cancel_event(connection, tenant="acme", event_id=found, actor="cli")

    def sweep(self) -> None:
        with self.engine.begin() as connection:
            take_round(connection, "sweep", 0.0)
            look(connection, ["email", "telegram"], 0.0)
            show_due(connection, datetime.now(UTC))
            forget_seen(connection)

    def send_again(self) -> None:
        with self.engine.begin() as connection:
            replay(connection, tenant="acme", filters={}, actor="cli")

    def announce(self) -> None:
        with self.engine.begin() as connection:
            mark_announced(connection, unannounced(connection))

    def end_a_window(self) -> None:
        one = "SELECT fingerprint FROM issues ORDER BY random() LIMIT 1"
        with self.engine.begin() as connection:
            connection.execute(text(f"UPDATE issues SET window_until = now() WHERE fingerprint IN ({one})"))


@pytest.mark.mission("D-4", "A-26", "A-27", "B-9", "E-41")
def test_everything_at_once_never_waits_in_a_circle_and_the_ledger_adds_up(world: Any) -> None:
    for number in range(3):
        body = {"email": f"u{number}@example.org", "telegram_chat_id": f"7{number}", "roles": ["operations"]}
        world.user(f"u{number}", **body)
    engine = new_engine(world.engine.url.render_as_string(hide_password=False), pool_size=WORKERS)
    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(lambda number: Worker(engine, number).work(), range(WORKERS)))
    engine.dispose()
    wrong = {what: rows for what, broken in INVARIANTS.items() if (rows := world.execute(broken))}
    assert wrong == {}
    assert len(world.execute("SELECT FROM deliveries WHERE status = 'sent'")) > 100


INVARIANTS = {
    "every attempt is recorded once": """
        SELECT d.id FROM deliveries d
        WHERE d.attempts <> (SELECT count(*) FROM attempts a WHERE a.delivery_id = d.id)""",
    "nothing is sent twice without a lost attempt": """
        SELECT delivery_id FROM attempts WHERE outcome = 'sent' GROUP BY 1 HAVING count(*) > 1""",
    "what is finished is not due, and all else is": f"""
        SELECT id, status FROM deliveries WHERE (due_at IS NULL) <> (status IN {FINISHED})""",
    "dead letters are those deliveries that are": """
        SELECT d.id FROM deliveries d
        WHERE (d.status = 'dead_letter') <> EXISTS (SELECT FROM dead_letters l WHERE l.delivery_id = d.id)""",
    "duplicates are counted where they were folded": """
        WITH folded AS (SELECT duplicate_of AS id, count(*) AS count FROM events GROUP BY 1)
        SELECT e.id FROM events e LEFT JOIN folded f USING (id) WHERE e.repeats <> coalesce(f.count, 0)""",
    "nothing is folded into a duplicate": """
        SELECT e.id FROM events e JOIN events f ON f.id = e.duplicate_of WHERE f.status = 'duplicate'""",
    "what was told is delivered once it was sent": """
        SELECT n.id FROM notifications n JOIN deliveries d ON d.notification_id = n.id
        WHERE d.status = 'sent' AND n.status = 'created'""",
    "only what was routed tells anybody": """
        SELECT n.id FROM notifications n JOIN events e ON e.id = n.event_id
        WHERE e.status NOT IN ('routed', 'resolved', 'cancelled')""",
}
