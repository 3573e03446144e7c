"""A PostgreSQL and a Valkey that one file of tests may kill, freeze and start again without harming others."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import redis

from models.migrate import upgrade
from tests.support.copies import copy
from tests.support.installation import Installation
from tests.support.process import PYTHON, Process
from tests.support.waiting import wait_until
from workers.stack import postgres, valkey
from workers.stack.places import Places

TEMPLATE = "migrated"
KEYSPACES = 16  # that Valkey has

# Who looks into the history of a delivery: every status that it ever had, in order.
HISTORY = """
CREATE TABLE history (number bigint GENERATED ALWAYS AS IDENTITY, delivery_id uuid, before text, after text);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO history (delivery_id, before, after)
    VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status);
    RETURN NEW;
END
$$;
CREATE TRIGGER remember_all AFTER INSERT OR UPDATE OF status ON deliveries FOR EACH ROW EXECUTE FUNCTION remember();
"""


class Servers:
    """Both servers of one home."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="bellwire-own-"))
        self._logs = Path(tempfile.mkdtemp(prefix="bellwire-own-logs-"))
        self._numbers = count(1)
        self._keyspaces = count()
        self.places = Places.of(self._home)

    def __enter__(self) -> Self:
        self.start_valkey()
        self.start_postgres()
        self.execute("postgres", f"CREATE DATABASE {TEMPLATE}")
        upgrade(self.database_url(TEMPLATE))
        self.execute(TEMPLATE, HISTORY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.valkey.end()
        self.postgres.thaw()
        self.stop_postgres()
        for folder in (self._home, self._logs, self.places.sockets):
            shutil.rmtree(folder, ignore_errors=True)

    def start_postgres(self) -> None:
        """Start it and wait until it takes connections; after a crash it recovers first."""
        self.postgres = self._start("postgres", signal.SIGQUIT)
        wait_until(self._postgres_answers, lambda: "PostgreSQL\n" + self.postgres.last_words(), 40)

    def start_valkey(self) -> None:
        """Start it, empty."""
        self.valkey = self._start("valkey", signal.SIGKILL)
        wait_until(lambda: valkey.is_ready(self.places), lambda: "Valkey\n" + self.valkey.last_words())

    def stop_postgres(self) -> None:
        """An immediate shutdown: transactions under way are lost, what was committed is not."""
        self.postgres.send(signal.SIGQUIT)
        wait_until(lambda: not self.postgres.lives(), "PostgreSQL to stop")

    def new_database(self) -> str:
        """The URL of a migrated, empty database."""
        name = f"own_{next(self._numbers)}"
        copy(self.database_url("postgres"), TEMPLATE, name)
        return self.database_url(name)

    def install(self, **settings: str) -> Installation:
        """An installation with a database of its own, and empty keyspaces that no other one reads."""
        number = next(self._keyspaces) % (KEYSPACES // 2) * 2
        socket = self.places.valkey_socket
        made = Installation(
            self.new_database(),
            f"redis+socket://{socket}?virtual_host={number}",
            f"unix://{socket}?db={number + 1}",
            **settings,
        )
        for keyspace in (number, number + 1):
            with redis.Redis(unix_socket_path=str(socket), db=keyspace) as client:
                client.flushdb()
        return made

    def database_url(self, name: str) -> str:
        """The URL of a database."""
        return self.places.database_url_of(name)

    def execute(self, database: str, statement: str) -> None:
        """Run one statement, or several without parameters."""
        with psycopg.connect(self.database_url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def empty_valkey(self) -> None:
        """Forget every bell, breaker and limit."""
        with redis.Redis(unix_socket_path=str(self.places.valkey_socket)) as client:
            client.flushall()

    def _start(self, name: str, last_signal: signal.Signals) -> Process:
        return Process(
            name,
            (PYTHON, "-m", "tests.support.serve", name, str(self._home)),
            log=self._logs / f"{name}.log",
            environment=os.environ,
            last_signal=last_signal,
        )

    def _postgres_answers(self) -> bool:
        assert self.postgres.lives(), self.postgres.last_words()
        if not postgres.is_ready(self.places):
            return False
        try:
            psycopg.connect(self.database_url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
