"""`bellwire env`."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from config.settings import settings


def lines(out: str) -> dict[str, str]:
    words = [shlex.split(line) for line in out.splitlines()]
    assert all(export == "export" for export, _ in words)
    return dict(assignment.split("=", 1) for _, assignment in words)


def test_the_addresses_are_printed_for_the_shell_without_secrets(bellwire: Any) -> None:
    given = settings()
    assert given.broker_url is not None
    printed = lines(bellwire("env").out)
    assert printed.keys() == {"BELLWIRE_DATABASE_URL", "BELLWIRE_BROKER_URL", "BELLWIRE_REDIS_URL"}
    assert printed["BELLWIRE_BROKER_URL"] == given.broker_url.get_secret_value()
    assert bellwire("env", "--json").json == printed


def test_secrets_are_printed_when_they_are_asked_for(bellwire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_BROKER_URL", "amqp://guest:hidden@127.0.0.1/")
    settings.cache_clear()
    said = bellwire("env")
    assert "hidden" not in said.out + said.err
    assert "BELLWIRE_BROKER_URL carries a password" in said.err
    printed = lines(bellwire("env", "--secrets").out)
    assert printed["BELLWIRE_BROKER_URL"] == "amqp://guest:hidden@127.0.0.1/"
    assert (printed["BELLWIRE_SECRET_KEY"], printed["BELLWIRE_JWT_SECRET"]) == ("k" * 40, "j" * 40)
