"""What digests cost beside telling their items one by one: `python -m bench --only digest`.

In one process and without a network: gathering, claiming, rendering and settling, the same on either side.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Engine, event, text

from bench.people import TENANT
from bench.process import BenchmarkError
from bench.servers import running_servers
from config.catalogue import shipped
from domain import verdict
from models.engine import new_engine
from models.migrate import upgrade
from pipeline.claim import claim
from pipeline.deliver import message
from pipeline.digest import gather
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route
from pipeline.settle import Result, settle
from pipeline.setup import ensure_tenant

BATCH: Final = 200
BUILT: Final = {"email": True}
PEOPLE: Final = """
INSERT INTO users (tenant, id, email, time_zone, quiet_hours)
SELECT '{tenant}', 'u' || n, 'u' || n || '@example.org', 'Europe/Berlin', NULL FROM generate_series(1, {people}) AS n;
INSERT INTO user_roles (tenant, role, user_id) SELECT '{tenant}', 'operations', 'u' || n
FROM generate_series(1, {people}) AS n
"""
DAILY: Final = """
UPDATE tenants SET version = version + 1, digest =
'{"cron": null, "time_zone": null, "cadences": [{"group": "obligations", "event": null, "cadence": "daily",
  "cadences": {}}]}'
"""
AT_ONCE: Final = "UPDATE tenants SET version = version + 1, digest = NULL"
DUE: Final = "UPDATE holds SET release_at = now() - interval '1 second'"
AGAIN: Final = "TRUNCATE events, notifications, deliveries, holds, issues, attempts, statistics, deliverability"


@dataclass
class Cost:
    """Seconds, messages, and statements by round of gathering."""

    seconds: float = 0.0
    messages: int = 0
    statements: tuple[int, ...] = ()


def digest_costs(people: int, items: int, say: Callable[[str], object]) -> dict[str, Any]:
    """Both sides on servers of their own.

    Raises:
        BenchmarkError: somebody was not told, or told twice.
    """
    os.environ.setdefault("BELLWIRE_SECRET_KEY", "x" * 40)  # the links in mails are signed
    with running_servers() as servers:
        servers.execute("postgres", "CREATE DATABASE digest")
        url = servers.database_url("digest")
        upgrade(url)
        engine = new_engine(url)
        with engine.begin() as connection:
            ensure_tenant(connection, TENANT)
            for statement in PEOPLE.format(tenant=TENANT, people=people).split(";"):
                connection.execute(text(statement))
        say(f"{people} people with {items} items each, as digests")
        _publish(engine, DAILY, items)
        digests = _as_digests(engine)
        _check(digests.messages, people)
        say("the same one by one")
        _publish(engine, AT_ONCE, items)
        single = _sent(engine, Cost())
        _check(single.messages, people * items)
        engine.dispose()
    return {
        "people": people,
        "items": items,
        "digest_seconds": round(digests.seconds, 2),
        "single_seconds": round(single.seconds, 2),
        "ratio": round(single.seconds / digests.seconds, 2),
        "statements_by_round": sorted(set(digests.statements)),
        "rounds": len(digests.statements),
    }


def _check(told: int, expected: int) -> None:
    if told != expected:
        raise BenchmarkError(f"{told} messages instead of {expected}")


def _publish(engine: Engine, cadence: str, items: int) -> None:
    bodies = [{"type": "ssl_expiry", "severity": "low", "data": {"host": f"h{number}"}} for number in range(items)]
    with engine.begin() as connection:
        connection.execute(text(AGAIN))
        connection.execute(text(cadence))
    directory = Directory()
    for one in parse_many(bodies, tenant=TENANT, catalogue=shipped().event_types):
        with engine.begin() as connection:
            tenants = directory.look_up(connection, [TENANT])
            accept_and_route(connection, tenants, [one], BUILT)
    with engine.begin() as connection:
        connection.execute(text(DUE))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) deliveries, holds, events, notifications"))


def _as_digests(engine: Engine) -> Cost:
    cost, rounds, more = Cost(), [], True
    began = time.perf_counter()
    while more:
        said: list[str] = []
        with engine.begin() as connection:
            event.listen(connection, "before_cursor_execute", lambda *about, said=said: said.append(about[2]))
            more = gather(connection).more
        rounds.append(len(said))
    cost.seconds = time.perf_counter() - began
    cost.statements = tuple(rounds)
    return _sent(engine, cost)


def _sent(engine: Engine, cost: Cost) -> Cost:
    """Claim, render and settle all that is due."""
    began = time.perf_counter()
    while True:
        with engine.begin() as connection:
            taken = claim(connection, "email", BATCH, 60.0, time.monotonic())
        if not taken.rows:
            break
        for row in taken.rows:
            message(row, "email")
        now = datetime.now(UTC)
        results = [Result(row.id, verdict.sent(0), provider="bench", started_at=now) for row in taken.rows]
        with engine.begin() as connection:
            settle(connection, taken.token, results, "email")
        cost.messages += len(taken.rows)
    cost.seconds += time.perf_counter() - began
    return cost


def show(results: Mapping[str, Any], console: Any) -> None:
    """Print the figures."""
    told = f"{results['people']:,} people with {results['items']} items each"
    console.print(f"Digests: {told}: {results['digest_seconds']:g} s; one by one {results['single_seconds']:g} s,")
    statements = " or ".join(map(str, results["statements_by_round"]))
    console.print(
        f"{results['ratio']:g} times as long. Gathered in {results['rounds']} rounds of {statements} statements."
    )
