"""A real uvicorn on a database of the test's own, and keys and tokens to call it with."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
from sqlalchemy import Connection, create_engine

from domain.vocabulary import CHANNELS
from models.engine import normalised
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route
from pipeline.setup import NewKey, create_key, ensure_tenant
from tests.support.prepared import Started, start
from tests.support.waiting import wait_until
from workers.stack.listening import address, listen

JWT_SECRET = "the secret that signs users' tokens in these tests, long enough for any algorithm"
SECRET_KEY = "the key that seals secrets in these tests"
AUDIENCE = "bellwire"


@dataclass
class Api:
    """A running API.

    Attributes:
        process: uvicorn, to be killed or frozen.
        log: what it wrote so far is in this file.
    """

    url: str
    database_url: str
    process: Started
    log: Any
    keys: dict[tuple[str, str], NewKey] = field(default_factory=dict)

    def client(self, role: str | None = "admin", tenant: str = "default", **headers: str) -> httpx.Client:
        """A client that comes with a key of that role; without any identity for None."""
        identity = {} if role is None else {"Authorization": f"Bearer {self.key(role, tenant)}"}
        return client_of(self.url, {**identity, **headers})

    def user(self, user_id: str, tenant: str = "default", **claims: Any) -> httpx.Client:
        """A client with a user's token."""
        return client_of(self.url, {"Authorization": f"Bearer {token(user_id, tenant, **claims)}"})

    def key(self, role: str, tenant: str = "default") -> str:
        """The plain text of a key, made at first use."""
        if (tenant, role) not in self.keys:
            self.keys[tenant, role] = self.new_key(role, tenant)
        return self.keys[tenant, role].key

    def new_key(self, role: str, tenant: str = "default") -> NewKey:
        """A key that nobody else uses."""

        def make(connection: Connection) -> NewKey:
            ensure_tenant(connection, tenant)
            return create_key(connection, tenant=tenant, role=role, actor="cli")

        return self.in_transaction(make)

    def in_transaction(self, work: Callable[[Connection], Any]) -> Any:
        """Do something in a transaction of the test's own."""
        engine = create_engine(normalised(self.database_url))
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()

    def route(self, *events: dict[str, Any], tenant: str = "default") -> list[str]:
        """Publish and route events as a worker does; their ids."""

        def work(connection: Connection) -> list[str]:
            ensure_tenant(connection, tenant)
            tenants = Directory().look_up(connection, {tenant})
            parsed = parse_many(list(events), tenant=tenant, catalogue=tenants[tenant].event_types)
            answers, _ = accept_and_route(connection, tenants, parsed, dict.fromkeys(CHANNELS, True))
            return [answer.id for answer in answers]

        ids: list[str] = self.in_transaction(work)
        return ids

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database answers."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []


def token(user_id: Any, tenant: Any = "default", *, secret: str = JWT_SECRET, **claims: Any) -> str:
    """A user's token; claims that are None are left out."""
    content = {"sub": user_id, "tenant": tenant, "aud": AUDIENCE, "exp": time.time() + 600, "customers": [], **claims}
    kept = {name: value for name, value in content.items() if value is not None}
    return jwt.encode(kept, secret, algorithm="HS256")


def client_of(url: str, headers: Mapping[str, str]) -> httpx.Client:
    """A client on loopback. Without `verify=False` each would spend 23 ms on reading certificates that none needs."""
    return httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False, verify=False)


@contextmanager
def running(database_url: str, tmp_path: Any, app: str = "api.app:app", **settings: str) -> Iterator[Api]:
    """An API on a database, with further settings by their names in the environment."""
    listener = listen("127.0.0.1", 0)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
    environment |= {
        "BELLWIRE_DATABASE_URL": database_url,
        "BELLWIRE_JWT_SECRET": JWT_SECRET,
        "BELLWIRE_SECRET_KEY": SECRET_KEY,
        "BELLWIRE_JWT_AUDIENCE": AUDIENCE,
        **settings,
    }
    log = tmp_path / f"api-{uuid4().hex[:8]}.log"
    with log.open("wb") as opened:
        process = start(app, environment, listener.fileno(), opened.fileno())
    url = address(listener)
    listener.close()
    try:
        _await_start(url, process, log)
        yield Api(url, database_url, process, log)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(20)


def _await_start(url: str, process: Started, log: Any) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/health/live", timeout=2, trust_env=False, verify=False).status_code == 200
        except httpx.HTTPError:
            return False

    wait_until(answers, lambda: f"the API\n{log.read_text()}", 30)
