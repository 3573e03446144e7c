"""A tenant in a real database, whose events are accepted, routed and settled by the pipeline itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from config.settings import settings
from domain import verdict
from domain.verdict import Verdict
from models.engine import new_engine
from pipeline.claim import claim
from pipeline.directory import Directory
from pipeline.envelope import parse_many
from pipeline.ledger import list_deliveries, read_event
from pipeline.publish import accept_and_route
from pipeline.sealing import _seal
from pipeline.settle import Result, settle
from pipeline.setup import ensure_tenant
from pipeline.users import put_user
from tests.support.emptied import empty

TENANT = "acme"
BUILT = dict.fromkeys(("email", "telegram", "webhook", "in_app"), True)


@dataclass
class World:
    """One tenant and the shortest ways to make something happen in it."""

    engine: Engine
    tenant: str = TENANT
    directory: Directory = field(default_factory=Directory)

    def begin(self) -> AbstractContextManager[Connection]:
        """A transaction that commits at the end of the block."""
        return self.engine.begin()

    def user(self, user_id: str, tenant: str | None = None, **body: Any) -> None:
        with self.begin() as connection:
            put_user(connection, tenant=tenant or self.tenant, user_id=user_id, body=body, actor="cli")

    def publish(self, *events: dict[str, Any]) -> list[str]:
        """Accept and route; the ids in the order given."""
        with self.begin() as connection:
            tenants = self.directory.look_up(connection, {self.tenant})
            types = tenants[self.tenant].event_types
            parsed = parse_many(list(events), tenant=self.tenant, catalogue=types)
            answers, _ = accept_and_route(connection, tenants, parsed, BUILT)
        return [answer.id for answer in answers]

    def settle(self, channel: str, outcome: Verdict, detail: str = "") -> list[str]:
        """Claim everything that is due on a channel and settle all of it in the same way; the delivery ids."""
        with self.begin() as connection:
            taken = claim(connection, channel, 200, 30.0, monotonic())
        results = [
            Result(row.id, outcome, provider=channel, started_at=datetime.now(UTC), duration_ms=7, detail=detail)
            for row in taken.rows
        ]
        with self.begin() as connection:
            settle(connection, taken.token, results)
        return [row.id for row in taken.rows]

    def refuse(self, channel: str, detail: str = "HTTP 410") -> list[str]:
        """Everything due on a channel becomes a dead letter."""
        return self.settle(channel, verdict.refused(0), detail)

    def send(self, channel: str) -> list[str]:
        return self.settle(channel, verdict.sent(0))

    def event(self, event_id: str) -> dict[str, Any]:
        with self.begin() as connection:
            found = read_event(connection, tenant=self.tenant, event_id=event_id)
        assert found is not None
        return found

    def deliveries(self, **filters: Any) -> list[dict[str, Any]]:
        with self.begin() as connection:
            return list_deliveries(connection, tenant=self.tenant, filters=filters, limit=200)[0]

    def notification(self, event_id: str, recipient: str) -> dict[str, Any]:
        """What a recipient was told of an event, as the ledger shows it."""
        return next(one for one in self.event(event_id)["notifications"] if one["recipient"] == recipient)

    def execute(self, statement: str, **values: Any) -> Sequence[Any]:
        """Something no verb does, such as letting time pass; the rows if it returns any."""
        with self.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else ()

    def audit(self) -> list[Any]:
        """Actor, action and subject, the oldest first."""
        rows = self.execute(
            "SELECT tenant, actor, action, subject, before, after, remote_address FROM audit ORDER BY id"
        )
        return list(rows)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    """Settings that know nothing of the machine; read anew for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("BELLWIRE_WEBHOOK_ALLOW_NETWORKS", "")
    for cached in (settings, _seal):
        cached.cache_clear()
    yield
    for cached in (settings, _seal):
        cached.cache_clear()


@pytest.fixture(scope="module")
def engine(module_database_url: str) -> Iterator[Engine]:
    made = new_engine(module_database_url)
    yield made
    made.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    """A tenant without users in a database without anything else."""
    with engine.begin() as connection:
        empty(connection)
        ensure_tenant(connection, TENANT)
        ensure_tenant(connection, "other")
    return World(engine)
