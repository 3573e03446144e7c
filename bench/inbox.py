"""What an inbox costs its reader when a hundred times as much is stored: for others, and in that inbox itself.

Over HTTP through an API process for each database, in turn, so that a slow minute of the machine touches both sides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPConnection
from statistics import median
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from sqlalchemy import Connection, Engine, text

from bench.bellwire import Bellwire
from bench.candidates import Bench, Receiver
from bench.meter import Meter
from bench.people import TENANT
from bench.process import BenchmarkError, Child
from bench.servers import running_servers
from models.engine import new_engine
from pipeline.inbox_reading import COUNT, COUNT_UNREAD, PAGE, Reader, unread

SMALL: Final = 10_000
LARGE: Final = 1_000_000
EACH: Final = 50  # notifications of everybody whose inbox does not grow
MOST_RATIO: Final = 2.0
WARM_UP: Final = 10
# Whose inbox stays as it is while others' come to be, and who is told everything.
TYPICAL, GREEDY = "typical-0", "greedy"
LIST = "/v1/notifications"

# As routing stores it, and a third has been read; in the order in which things happen, so that nobody's lie together.
FILL: Final = """
INSERT INTO notifications (id, tenant, event_id, user_id, sequence, recipient, audience, event, group_name, title,
                           content, link_url, link_text, priority, severity, status, created_at, read_at)
SELECT uuidv7(interval '1 second' * (n - {count})), '{tenant}', uuidv7(), who, number, who, 'customer', 'task_assigned',
       'task', 'A task for you', 'Please have a look at task ' || n || ' before Friday.', 'https://example.org/' || n,
       'Open', 'normal', 'low', 'delivered', now() + interval '1 second' * (n - {count}),
       CASE WHEN number % 3 = 0 THEN now() END
FROM (SELECT n, 'typical-' || n % ({count} / {each}) AS who, 1 + n / ({count} / {each}) AS number
      FROM generate_series(0, {count} - 1) AS n
      UNION ALL SELECT n, '{greedy}', n + 1 FROM generate_series(0, {count} - 1) AS n ORDER BY 1) told;
INSERT INTO inboxes (tenant, user_id, last)
SELECT tenant, user_id, max(sequence) FROM notifications GROUP BY tenant, user_id;
"""

# By the name of the ratio: what is asked, by whom.
ASKED: Final = {
    "list_stored": ("the list, others' stored", f"{LIST}?limit=50", TYPICAL),
    "list_own": ("the list, one's own", f"{LIST}?limit=50", GREEDY),
    "unread_list_stored": ("what is unread, others' stored", f"{LIST}?status=unread", TYPICAL),
    "unread_list_own": ("what is unread, one's own", f"{LIST}?status=unread", GREEDY),
}
COUNTED: Final = {
    "unread_stored": ("the unread count, others' stored", TYPICAL),
    "unread_own": ("the unread count, one's own", GREEDY),
}


class SmallInboxes(Bellwire):
    """An API alone, on a database with so many notifications of others and as many of one."""

    name = "inbox_small"
    keyspace = 10
    count = SMALL

    def processes(self) -> list[Child]:
        """The API."""
        self.set_up()
        return [self._api()]

    def ready(self) -> None:
        """Fill the database, and open the connections that are measured."""
        filled = FILL.format(count=self.count, each=EACH, tenant=TENANT, greedy=GREEDY).split(";")
        statements = [one for one in filled if one.strip()]
        self.bench.servers.execute(self.name, *statements, "VACUUM (ANALYZE)", "CHECKPOINT")
        address = urlsplit(self.environment["BENCH_API_URL"])
        assert address.hostname
        self.http = HTTPConnection(address.hostname, address.port or 80, timeout=60)
        self.engine = new_engine(self.environment["BELLWIRE_DATABASE_URL"])
        self.bench.stack.callback(self.engine.dispose)
        self.bench.stack.callback(self.http.close)

    def get(self, path: str, user: str) -> float:
        """Seconds of one request with a user's token. Raises BenchmarkError: it was not answered as it should be."""
        claims = {"sub": user, "tenant": TENANT, "aud": "bellwire", "exp": time.time() + 60, "customers": []}
        bearer = jwt.encode(claims, self.environment["BELLWIRE_JWT_SECRET"], algorithm="HS256")
        began = time.perf_counter()
        self.http.request("GET", path, headers={"Authorization": f"Bearer {bearer}"})
        answer = self.http.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200 or b'"notifications":[{' not in body.replace(b" ", b""):
            raise BenchmarkError(f"{path} was answered with {answer.status} and {len(body)} bytes")
        return seconds


class LargeInboxes(SmallInboxes):
    """The same with a hundred times as many."""

    name = "inbox_large"
    keyspace = 12
    count = LARGE


def inbox(*, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Milliseconds of each question in both databases, their ratios, and the plans in the large one."""
    with ExitStack() as stack:
        servers = stack.enter_context(running_servers())
        receiver = Receiver(servers)
        stack.enter_context(receiver.child)
        bench = Bench(servers, receiver, stack)
        say(f"storing {2 * SMALL:,} notifications")
        small = SmallInboxes(bench)
        say(f"storing {2 * LARGE:,} notifications")
        large = LargeInboxes(bench)
        meter = Meter(
            {"postgres": servers.processes()["postgres"], "api": [one.children[0].pid for one in (small, large)]}
        )
        say("reading inboxes")
        asked = {name: _asked(rounds, small, large, path, user) for name, (_, path, user) in ASKED.items()}
        asked |= {name: _counted(rounds, small, large, user) for name, (_, user) in COUNTED.items()}
        usage = meter.usage()
        titles = {name: one[0] for name, one in {**ASKED, **COUNTED}.items()}
        return {
            "small": SMALL,
            "large": LARGE,
            "most_ratio": MOST_RATIO,
            "cores_used_by_others": round(usage.others / usage.seconds, 2),
            "questions": {name: {"title": titles[name], **_compared(*times)} for name, times in asked.items()},
            "plans": dict(_plans(large.engine)),
        }


Times = tuple[list[float], list[float]]


def _asked(rounds: int, small: SmallInboxes, large: SmallInboxes, path: str, user: str) -> Times:
    return _in_turn(rounds, lambda: small.get(path, user), lambda: large.get(path, user))


def _counted(rounds: int, small: SmallInboxes, large: SmallInboxes, user: str) -> Times:
    with small.engine.connect() as few, large.engine.connect() as many:
        return _in_turn(rounds, lambda: _count(few, user), lambda: _count(many, user))


def _count(connection: Connection, user: str) -> float:
    began = time.perf_counter()
    unread(connection, tenant=TENANT, user_id=user, customers=())
    return time.perf_counter() - began


def _in_turn(rounds: int, small: Callable[[], float], large: Callable[[], float]) -> Times:
    for _ in range(WARM_UP):
        small()
        large()
    measured = [(small(), large()) for _ in range(rounds)]
    return [one for one, _ in measured], [other for _, other in measured]


def _compared(small: list[float], large: list[float]) -> dict[str, Any]:
    """The ratio is that of the medians: of single requests, each of a millisecond, the machine decides."""
    ratio = round(median(large) / median(small), 2)
    return {
        "small_ms": round(median(small) * 1000, 2),
        "large_ms": round(median(large) * 1000, 2),
        "ratio": ratio,
        "met": ratio <= MOST_RATIO,
    }


def _plans(engine: Engine) -> Iterator[tuple[str, list[str]]]:
    """How the largest inbox is counted and read, by the statements that the product uses."""
    values = Reader(TENANT, GREEDY, ()).values(customer_id=None, looked_at=10_000)
    page = {**values, "before": LARGE + 1, "floor": LARGE - 10_000, "offset": 0, "most": 51, "read": None}
    statements: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
        "the counts of a list": (COUNT, values),
        "the page": (PAGE, page),
        "the unread count": (COUNT_UNREAD, values),
    }
    with engine.connect() as connection:
        for title, (statement, given) in statements.items():
            explained = text(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) {statement.text}")
            yield title, [line for (line,) in connection.execute(explained, given) if _tells(line)]


def _tells(line: str) -> bool:
    """What reads a table or an index, and how much of it."""
    return " using " in line or "Scan on" in line or "Heap Fetches" in line


def show(results: Mapping[str, Any], console: Any) -> None:
    """Print the tables."""
    from rich.table import Table

    table = Table(title="Reading an inbox, ms (median)", title_justify="left")
    for heading in ("what", f"{results['small']:,}", f"{results['large']:,}", "ratio", "bar", ""):
        table.add_column(heading, justify="left" if heading in {"what", ""} else "right")
    for one in results["questions"].values():
        verdict = "[green]met[/green]" if one["met"] else "[red]not met[/red]"
        times = (f"{one['small_ms']:.2f}", f"{one['large_ms']:.2f}", f"{one['ratio']:.2f}")
        table.add_row(one["title"], *times, f"≤ {results['most_ratio']:g}", verdict)
    console.print(table)
    console.print(f"[dim]others: {results['cores_used_by_others']:.2f} cores[/dim]")
    for title, lines in results["plans"].items():
        console.print(f"Plan of {title}, in the largest inbox:")
        for line in lines:
            console.print(line, highlight=False, markup=False)
