"""The PostgreSQL and the Valkey that all candidates share: the product's own, in a folder that goes away."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.process import Child, python
from workers.stack.places import Places


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers, where they listen, and where the children's logs go."""

    places: Places
    logs: Path

    def database_url(self, database: str) -> str:
        """The address of a database, as libpq and the product read it."""
        return self.places.database_url_of(database)

    def broker_url(self, keyspace: int) -> str:
        """For kombu; each candidate has a keyspace of its own."""
        return f"redis+socket://{self.places.valkey_socket}?virtual_host={keyspace}"

    def redis_url(self, keyspace: int) -> str:
        """For redis-py."""
        return f"unix://{self.places.valkey_socket}?db={keyspace}"

    def processes(self) -> dict[str, list[int]]:
        """Process ids by the name under which the table shows them."""
        return {name: [int((self.places.run / f"{name}.pid").read_text())] for name in ("postgres", "valkey")}

    def execute(self, database: str, *statements: str) -> None:
        """Run `statements`, each in a transaction of its own."""
        with psycopg.connect(self.database_url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Both servers, durable and set as the product sets them; stopped and removed when the block ends."""
    with tempfile.TemporaryDirectory(prefix="bellwire-bench-") as logs:
        home = Path(tempfile.mkdtemp(prefix="bellwire-bench-home-"))
        places = Places.of(home)
        command = python("-m", "workers.stack.servers", home)
        try:
            with Child("servers", command, log=Path(logs) / "servers.log", pipes=True) as child:
                child.hear(seconds=60)
                yield Servers(places, Path(logs))
        finally:
            shutil.rmtree(home, ignore_errors=True)
            shutil.rmtree(places.sockets, ignore_errors=True)
