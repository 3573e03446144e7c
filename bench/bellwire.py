"""Candidate (c): Bellwire's whole path, its workers started by the command that the product starts them with."""

from __future__ import annotations

import secrets
import socket
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psycopg

from bench.candidates import RUN_SECONDS, Candidate, Load
from bench.fill import WORK, fill
from bench.process import BenchmarkError, Child, wait_until
from config.settings import Settings
from workers.stack import services

MILLION = 1_000_000

# What is to be done has a due time, and only that: the partial index over it answers at once, whatever is stored.
UNSETTLED = "SELECT EXISTS (SELECT FROM deliveries WHERE due_at IS NOT NULL)"
CHECKED = """
SELECT count(*), count(*) FILTER (WHERE d.status = 'sent' AND d.attempts = 1),
       (SELECT count(*) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
        WHERE d.created_at >= %(since)s AND a.outcome = 'sent')
FROM deliveries d WHERE d.created_at >= %(since)s
"""


class Bellwire(Candidate):
    """Workers and API in a database of their own."""

    name = "bellwire"
    keyspace = 4
    with_api = True

    def settings(self) -> dict[str, str]:
        """A migrated database of its own, with a tenant and a webhook."""
        self.bench.servers.execute("postgres", f"CREATE DATABASE {self.name}")
        return {
            "BELLWIRE_DATABASE_URL": self.bench.servers.database_url(self.name),
            "BELLWIRE_BROKER_URL": self.bench.servers.broker_url(self.keyspace),
            "BELLWIRE_REDIS_URL": self.bench.servers.redis_url(self.keyspace + 1),
            "BELLWIRE_SECRET_KEY": secrets.token_urlsafe(48),
            "BELLWIRE_JWT_SECRET": secrets.token_urlsafe(48),
            "BELLWIRE_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
            "BELLWIRE_EVENTS_PER_MINUTE": "1000000000",  # counted as ever, and never too much
            "BELLWIRE_HOME": str(self.bench.servers.logs / self.name),
        }

    def processes(self) -> list[Child]:
        """The worker of every queue and, if events are to come over HTTP, the API; both ready."""
        self.set_up()
        worker = self._celery_worker(*services.worker().command[1:])
        return [worker, self._api()] if self.with_api else [worker]

    def set_up(self) -> None:
        """Migrate, and make whoever is told."""
        setup = self._child("setup", "-m", "bench.prepare", self.bench.receiver.url, pipes=True)
        self.environment["BENCH_API_KEY"] = setup.hear(seconds=60)["key"]

    def _api(self) -> Child:
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            self.environment["BENCH_API_URL"] = url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            command = services.api(Settings.model_construct(), listener).command[1:]
            child = self._child("api", *command, inherited=(listener.fileno(),))
            child.wait_ready(lambda: _healthy(url), seconds=60)
        return child

    def prepare(self, load: Load) -> None:
        """Make the other end ready, and note the database's time."""
        self.reset(load)
        with self._connect() as connection:
            self._since = connection.execute("SELECT clock_timestamp()").fetchone()

    def reset(self, load: Load) -> None:
        """Tell the receiver."""
        self.bench.receiver.reset(load)

    def wait(self, load: Load) -> dict[str, Any]:
        """Wait for the receiver; its counts."""
        return self.bench.receiver.wait(load.count)

    def finish(self, load: Load) -> dict[str, Any]:
        """Wait until everything has arrived, then until nothing is left to do."""
        counts = self.wait(load)
        with self._connect() as connection:
            wait_until(
                lambda: connection.execute(UNSETTLED).fetchone() == (False,),
                seconds=RUN_SECONDS,
                what="the last delivery to be settled",
                pause=0.005,
            )
        return counts

    def check(self, load: Load, ending: dict[str, Any]) -> None:
        """Every event has one delivery, `sent`, with one attempt, and came once.

        Raises:
            BenchmarkError: the figures do not agree, so the speed means nothing.
        """
        assert self._since is not None
        with self._connect() as connection:
            stored = connection.execute(CHECKED, {"since": self._since[0]}).fetchone()
        if stored != (load.count,) * 3 or ending["requests"] != load.count:
            raise BenchmarkError(
                f"{load.count} events were published; deliveries, those sent at the first attempt, attempts: {stored}; "
                f"the receiver counted {ending['requests']} requests with {ending['distinct']} ids"
            )

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.bench.servers.database_url(self.name), autocommit=True)


def _healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health/live", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


class EmptyBellwire(Bellwire):
    """The same with a database that is emptied before every run."""

    name = "bellwire_empty"
    keyspace = 6
    with_api = False

    def prepare(self, load: Load) -> None:
        """Begin with nothing stored."""
        self.bench.servers.execute(self.name, f"TRUNCATE {', '.join(WORK)}")
        super().prepare(load)


class FullBellwire(Bellwire):
    """The same with a million finished deliveries in the database."""

    name = "bellwire_million"
    keyspace = 8
    with_api = False

    def ready(self) -> None:
        """Fill the database."""
        self.run(Load("bellwire", 1))
        fill(self.bench.servers.database_url(self.name), MILLION)
