"""A worker's inside without the worker: the parts of one process, with real servers around it."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
import redis
import structlog
from sqlalchemy import text

from config.settings import settings
from models.engine import engine
from pipeline.directory import Directory
from pipeline.looks import Looks
from pipeline.sealing import _seal, opened
from pipeline.setup import ensure_tenant
from pipeline.users import put_user
from pipeline.webhooks import put_webhook
from tests.support.emptied import empty
from workers.receivers.together import Receivers

SSL = {"tenant": "acme", "type": "ssl_expiry", "severity": "high", "data": {"host": "shop"}}


@dataclass
class Broker:
    """What lies in the queues; nobody works on them."""

    client: redis.Redis

    def messages(self, queue: str) -> list[Any]:
        """The bodies of the messages on a queue, the oldest first."""
        items = [json.loads(item) for item in self.client.lrange(queue, 0, -1)]  # type: ignore[union-attr]
        return [json.loads(b64decode(item["body"])) for item in reversed(items)]

    def bells(self, queue: str) -> list[list[Any]]:
        """The arguments of the tasks on a queue, the oldest first."""
        return [body[0] for body in self.messages(queue)]


@dataclass
class Process:
    """The parts of one worker process, a tenant, and receivers for what it sends."""

    receivers: Receivers
    broker: Broker
    child: Any
    hooks: list[str] = field(default_factory=list)

    def hook(self, path: str) -> str:
        """Register a webhook of the tenant; its id."""
        body = {"url": f"{self.receivers.webhook.url}{path}"}
        with engine().begin() as connection:
            made = put_webhook(connection, tenant="acme", user_id=None, name=path.strip("/"), body=body, actor="cli")
        assert made["secret"]
        return str(self.execute("SELECT id FROM webhooks WHERE name = :name", name=path.strip("/"))[0].id)

    def user(self, user_id: str, **body: Any) -> None:
        with engine().begin() as connection:
            put_user(connection, tenant="acme", user_id=user_id, body=body, actor="cli")

    def publish(self, *events: Mapping[str, Any]) -> None:
        """Each as a message of its own, all in one batch."""
        from tasks.batching import Letter
        from tasks.publish import publish_letters

        publish_letters([Letter(str(uuid4()), json.dumps([[event], {}, {}]).encode()) for event in events])

    def ring(self, channel: str = "webhook", timeout: float = 15.0) -> bool:
        """Send what is due, as when the channel's bell rings."""
        return bool(self.child.sender.ring(channel, timeout))

    def deliveries(self, channel: str = "webhook") -> list[Any]:
        return list(
            self.execute(
                "SELECT d.*, e.data FROM deliveries d JOIN events e ON e.id = d.event_id "
                "WHERE channel = :channel ORDER BY d.id",
                channel=channel,
            )
        )

    def outcomes(self) -> list[str]:
        return [row.outcome for row in self.execute("SELECT outcome FROM attempts ORDER BY started_at, number")]

    def execute(self, statement: str, **values: Any) -> Sequence[Any]:
        with engine().begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else ()


def _forget() -> None:
    """What this process remembers of its settings."""
    from tasks import live, presence

    for cached in (settings, engine, _seal, opened, live._client, presence._client):
        cached.cache_clear()


@pytest.fixture(scope="module")
def parts(
    module_database_url: str,
    servers: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Process]:
    """One process for the tests of a file, which may have a function `settings_for` with further variables."""
    with pytest.MonkeyPatch.context() as environment, Receivers() as receivers:
        environment.chdir(tmp_path_factory.mktemp("worker"))
        chosen = {
            "DATABASE_URL": module_database_url,
            "BROKER_URL": servers["broker"],
            "REDIS_URL": servers["redis"],
            "SECRET_KEY": "k" * 40,
            "SWEEP_INTERVAL": "60",  # the tests sweep
            "LEASE_SECONDS": "30",
            "DEAD_LETTER_QUEUE_LENGTH": "3",
        }
        for name, value in chosen.items():
            environment.setenv(f"BELLWIRE_{name}", value)
        further = getattr(request.module, "settings_for", lambda _: {})(receivers)
        for name, value in {**receivers.environment(), **further}.items():
            environment.setenv(name, value)
        settings.cache_clear()
        # The application reads its settings when it is imported, and again here if another file imported it before.
        from tasks import child as module
        from tasks.app import app, configure

        _forget()
        structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
        configure(app, settings())
        path, _, query = servers["broker"].removeprefix("redis+socket://").partition("?")
        client = redis.Redis(unix_socket_path=path, db=int(query.rpartition("=")[2] or 0))
        made = module.child()
        yield Process(receivers, Broker(client), made)
        made.stop()
        module._child = None
        engine().dispose()
        structlog.reset_defaults()
    _forget()


@pytest.fixture
def process(parts: Process, valkey: str) -> Process:
    """The process with an empty database, empty queues and receivers that say yes."""
    from tasks.bells import ringer

    ringer().flush()
    with engine().begin() as connection:
        empty(connection, but="bulkhead_slots")  # nobody removes them
        connection.execute(text("UPDATE bulkhead_slots SET token = NULL, held_until = NULL"))
        ensure_tenant(connection, "acme")
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
    parts.child.directory, parts.child.sender.looks = Directory(), Looks()  # versions start again with the tables
    parts.child.sender.start_counting()
    given = parts.receivers
    for receiver in (given.webhook, given.mail, given.telegram, given.lab, given.apns):
        receiver.received.clear()
        receiver._scripts.clear()
    return parts


@pytest.fixture
def ssl() -> dict[str, Any]:
    """An event as it comes over the broker."""
    return SSL
