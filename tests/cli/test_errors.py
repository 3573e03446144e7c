"""How commands fail: one sentence, a code that is not zero, a traceback only for who asks."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from config.settings import settings
from models.engine import engine
from workers.cli.app import COMMANDS
from workers.stack.errors import StackError
from workers.stack.places import Places

NEEDS_AN_INSTALLATION = [
    ("send", "odd.one"),
    ("status",),
    ("deliveries",),
    ("dead-letters",),
    ("replay", "--all"),
    ("ack", "x"),
    ("explain", "x"),
    ("previews",),
    ("keys", "list"),
    ("keys", "create", "--tenant", "a", "--role", "admin"),
    ("keys", "revoke", "x"),
    ("token", "--tenant", "a", "--user", "u"),
]


@pytest.mark.parametrize("arguments", NEEDS_AN_INSTALLATION, ids=" ".join)
def test_without_an_installation_a_command_says_how_to_start_one(terminal: Any, arguments: tuple[str, ...]) -> None:
    said = terminal(*arguments)
    assert said.code == 1
    assert "start it with `bellwire up`" in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("arguments", NEEDS_AN_INSTALLATION, ids=" ".join)
def test_with_the_database_away_a_command_says_so(
    bellwire: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    engine().dispose()
    engine.cache_clear()
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", "postgresql://u:hidden@127.0.0.1:1/bellwire")
    settings.cache_clear()
    said = bellwire(*arguments)
    assert said.code == 1
    assert said.err.startswith("PostgreSQL at postgresql://u:***@127.0.0.1:1/bellwire cannot")
    assert "cannot be reached" in said.err
    assert "hidden" not in said.err
    assert said.err.count("\n") == 1


def test_a_database_without_tables_leads_to_migrate(
    bellwire: Any, monkeypatch: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    engine().dispose()
    engine.cache_clear()
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", empty_database_url)
    settings.cache_clear()
    said = bellwire("status")
    assert (said.code, said.err.strip()) == (1, "The database has no tables yet; `bellwire migrate` makes them.")


def test_debug_shows_where(terminal: Any) -> None:
    with pytest.raises(StackError):
        terminal("status", debug=True)


@pytest.mark.parametrize(
    "arguments", [("stauts",), ("status", "--tenants"), ("explain",), ("deliveries", "--limit", "0")]
)
def test_arguments_that_cannot_be_understood_are_code_2(terminal: Any, arguments: tuple[str, ...]) -> None:
    said = terminal(*arguments)
    assert said.code == 2
    assert said.err.strip()
    assert "Traceback" not in said.err


def test_a_missing_option_shows_what_the_command_needs(terminal: Any) -> None:
    said = terminal("token")
    assert said.code == 2
    assert said.err.splitlines() == [
        "Missing option '--tenant'.",
        "Usage: bellwire token --tenant TENANT --user USER [OPTIONS]",
    ]


def test_the_sockets_of_a_killed_stack_are_no_installation(terminal: Any) -> None:
    places = Places.of(settings().home)
    places.make()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(places.sockets / ".s.PGSQL.5432"))
    said = terminal("status")
    assert said.code == 1
    assert "start it with `bellwire up`" in said.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(terminal: Any, command: str) -> None:
    said = terminal(command, "--help")
    assert said.code == 0
    assert "Usage" in said.out
