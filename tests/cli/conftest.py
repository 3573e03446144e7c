"""The command line in this process, on a database, a broker and a Redis of the tests' own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import text

from config.settings import settings
from domain import verdict
from models.engine import engine, transaction
from pipeline.claim import claim
from pipeline.directory import Directory
from pipeline.publish import route_accepted
from pipeline.sealing import _seal
from pipeline.settle import Result, settle
from pipeline.setup import ensure_tenant
from pipeline.users import put_user
from tests.support.emptied import empty
from workers.cli.app import run

TENANT = "acme"
SSL = ("ssl_failure", "--tenant", TENANT, "--data", '{"host": "shop.example.org"}')


@dataclass
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


class Terminal:
    """Runs commands as a person would type them."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, debug: bool = False) -> Said:
        self._capsys.readouterr()
        code = run(arguments, debug=debug)
        out, err = self._capsys.readouterr()
        return Said(code, out, err)

    def send(self, *more: str) -> str:
        """Publish the usual event; its id."""
        return str(self("send", *SSL, *more, "--json").json["id"])


def _forget() -> None:
    if engine.cache_info().currsize:
        engine().dispose()
    for cached in (engine, settings, _seal):
        cached.cache_clear()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A home on which nothing runs, and no settings."""
    for name in [name for name in os.environ if name.startswith("BELLWIRE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BELLWIRE_HOME", str(tmp_path / "home"))
    _forget()
    yield tmp_path
    _forget()


@pytest.fixture
def terminal(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal on a machine without an installation."""
    return Terminal(capsys)


@pytest.fixture
def installation(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, module_database_url: str, broker_url: str, redis_url: str
) -> None:
    """A migrated database with the tenant acme, and nobody at work."""
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", module_database_url)
    monkeypatch.setenv("BELLWIRE_BROKER_URL", broker_url)
    monkeypatch.setenv("BELLWIRE_REDIS_URL", redis_url)
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", "k" * 40)
    monkeypatch.setenv("BELLWIRE_JWT_SECRET", "j" * 40)
    _forget()
    with transaction() as connection:
        empty(connection)
        ensure_tenant(connection, TENANT)
        for user_id, chat in (("ada", 71), ("bo", 72)):
            body = {"email": f"{user_id}@example.org", "telegram_chat_id": chat, "roles": ["operations"]}
            put_user(connection, tenant=TENANT, user_id=user_id, body=body, actor="cli")


@pytest.fixture
def bellwire(installation: None, terminal: Terminal) -> Terminal:
    """A terminal on a machine with an installation."""
    return terminal


@pytest.fixture
def work(installation: None) -> Any:
    """Does what workers do: routes what was accepted, and settles what is due."""
    return Work()


class Work:
    def route(self) -> None:
        with transaction() as connection:
            ids = connection.execute(text("SELECT id::text FROM events WHERE status = 'accepted'")).scalars().all()
            route_accepted(
                connection, Directory(), ids, dict.fromkeys(("email", "telegram", "webhook", "in_app"), True)
            )

    def refuse(self, channel: str) -> list[str]:
        """Everything due on a channel becomes a dead letter; the deliveries' ids."""
        return self._settle(channel, verdict.refused(0), "550 no such mailbox")

    def fail(self, channel: str) -> list[str]:
        """Everything due on a channel fails and is to be tried again; the deliveries' ids."""
        return self._settle(channel, verdict.failed(0, (60,), 0.5, None), "451 try again later")

    def keep(self, channel: str, said: dict[str, str]) -> None:
        """Everything due on a channel goes to the preview mailbox, with what was said in it."""
        with transaction() as connection:
            taken = claim(connection, channel, 200, 30.0, monotonic())
            settle(connection, taken.token, [self._kept(row, channel, said) for row in taken.rows])

    def _kept(self, row: Any, channel: str, said: dict[str, str]) -> Result:
        preview = {"delivery_id": row.id, "tenant": TENANT, "channel": channel, "address": row.address, **said}
        decided = verdict.sent(0, preview=True)
        return Result(row.id, decided, "preview", datetime.now(UTC), 7, "kept", preview=preview)

    def _settle(self, channel: str, decided: verdict.Verdict, detail: str) -> list[str]:
        with transaction() as connection:
            taken = claim(connection, channel, 200, 30.0, monotonic())
            results = [Result(row.id, decided, channel, datetime.now(UTC), 7, detail) for row in taken.rows]
            settle(connection, taken.token, results)
        return sorted(row.id for row in taken.rows)


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The width that tables have where nobody looks, whoever starts the tests; parallel runs set 80 columns."""
    monkeypatch.delenv("COLUMNS", raising=False)
