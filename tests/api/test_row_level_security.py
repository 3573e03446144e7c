"""The second wall: whatever a statement of the API forgets, it sees and changes only rows of the tenant it acts for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Table, text

from config.settings import settings
from models.engine import engine
from models.metadata import metadata
from models.scope import dispose, scoped_engine, transaction_of
from models.wall import ROLE, SETTING, condition, holes, rights
from tests.support.each_table import insert

ROOT = Path(__file__).parents[2]
OURS, THEIRS = "ours", 'their\'s \\ "own"'

# Where the API looks across tenants, and why it must.
UNSCOPED = {
    ("api/access.py", "identify"): "whose key it is, is what is asked; by its SHA-256 alone",
    ("api/metrics.py", "_read"): "figures of the whole installation, without any tenant's name",
    ("api/operators.py", "ring_again"): "bells name no tenant; the answer counts the caller's own",
}
# What it imports from the database's own room beside transactions that name their tenants.
PLAIN = {
    ("api/live_follow.py", "DATABASE_AWAY"): "names of errors",
    ("api/probes.py", "new_engine"): "asks whether the database answers, and how many accounts are rejected",
}
# Tasks that workers do too, and that open transactions across tenants.
OF_TASKS = {
    "tasks.receipts": "a provider names a message and no tenant; proved by the provider's signature",
    "tasks.telegram": "a button names a notification, signed by us; the chat it was sent to is checked",
}

WALLED = [table for table in metadata.sorted_tables if condition(table) is not None]
OTHERS = [table for table in metadata.sorted_tables if condition(table) is None]


def named(table: Table) -> str:
    return table.name


@pytest.fixture(scope="module")
def rows(module_database_url: str) -> str:
    """A database in which two tenants have a row of every table."""
    with psycopg.connect(module_database_url) as connection:
        for tenant in (OURS, THEIRS):
            for table in WALLED:
                insert(connection, table, tenant)
    return module_database_url


@pytest.fixture
def ours(rows: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the API has it, in a transaction for one tenant, that is rolled back."""
    with psycopg.connect(rows) as connection:
        connection.execute(f"SET ROLE {ROLE}")
        connection.execute("SELECT set_config(%s, %s, true)", (SETTING, f"{{{OURS}}}"))
        yield connection
        connection.rollback()


@pytest.fixture
def process(rows: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This process, set to the database as the API's are."""
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", rows)
    forget_engines()
    yield rows
    dispose()
    forget_engines()


def forget_engines() -> None:
    for cached in (settings, engine, scoped_engine):
        cached.cache_clear()


def query(words: str, table: Table) -> sql.Composed:
    return sql.SQL(words).format(sql.Identifier(table.name), sql.Identifier(list(table.columns)[-1].name))  # type: ignore[arg-type]


@pytest.mark.mission("D-42")
@pytest.mark.parametrize("table", metadata.sorted_tables, ids=named)
def test_a_table_that_says_whose_its_rows_are_stands_behind_the_wall(table: Table, rows: str) -> None:
    """A new table needs nothing but a column `tenant`; one that has none and is a tenant's all the same is in SEEN."""
    with psycopg.connect(rows) as connection:
        connection.execute(f"SET ROLE {ROLE}")
        found = connection.execute(
            "SELECT row_security_active(%(name)s), array_agg(one) FILTER (WHERE has_table_privilege(%(name)s, one)) "
            "FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) one",
            {"name": table.name},
        ).fetchone()
    assert found is not None
    behind, allowed = found
    assert frozenset(allowed or ()) == rights(table)
    assert behind or not allowed
    assert behind or "tenant" not in table.columns


@pytest.mark.mission("D-42")
@pytest.mark.parametrize("table", WALLED, ids=named)
def test_a_query_without_any_filter_shows_nothing_of_another_tenant(
    table: Table, ours: psycopg.Connection[Any]
) -> None:
    if "SELECT" not in rights(table):
        pytest.skip("the API may not read it at all, as the first test holds")
    found = ours.execute(query("SELECT * FROM {0}", table)).fetchall()
    assert len(found) == 1
    assert THEIRS not in str(found)
    ours.execute("SELECT set_config(%s, '{}', true)", (SETTING,))
    assert ours.execute(query("SELECT * FROM {0}", table)).fetchall() == []


@pytest.mark.mission("D-42")
@pytest.mark.parametrize("table", WALLED, ids=named)
def test_a_change_without_any_filter_reaches_nothing_of_another_tenant(
    table: Table, ours: psycopg.Connection[Any]
) -> None:
    for verb, words in {"UPDATE": "UPDATE {0} SET {1} = {1}", "DELETE": "DELETE FROM {0}"}.items():
        with ours.transaction(force_rollback=True):
            if verb in rights(table):
                assert ours.execute(query(words, table)).rowcount == 1
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege), ours.transaction():
                    ours.execute(query(words, table))


@pytest.mark.mission("D-42")
@pytest.mark.parametrize("table", WALLED, ids=named)
def test_no_row_can_be_added_for_another_tenant(table: Table, ours: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        insert(ours, table, THEIRS)


def test_a_transaction_sees_all_tenants_that_it_names_and_a_connection_forgets_them(process: str) -> None:
    asked = text("SELECT tenant, pg_backend_pid() AS backend FROM users ORDER BY tenant")
    with transaction_of(OURS, THEIRS) as connection:
        both = connection.execute(asked).all()
    assert [row.tenant for row in both] == sorted([OURS, THEIRS])
    with pytest.raises(KeyError), transaction_of(THEIRS) as connection:
        raise KeyError
    with transaction_of(OURS) as connection:
        one = connection.execute(asked).one()
    assert (one.tenant, one.backend) == (OURS, both[0].backend)
    with scoped_engine().begin() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == one.backend
        assert connection.execute(asked).all() == []
        assert holes(connection) == []


def functions_that_call(file: Path, name: str) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name
    }


def imported(file: Path) -> set[tuple[str, str]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        (str(one.module), alias.name)
        for one in ast.walk(tree)
        if isinstance(one, ast.ImportFrom)
        for alias in one.names
    }


def test_every_look_across_tenants_is_named_with_its_reason() -> None:
    files = {file.relative_to(ROOT).as_posix(): file for file in (ROOT / "api").rglob("*.py")}
    found = {(name, call) for name, file in files.items() for call in functions_that_call(file, "unscoped_transaction")}
    assert found == set(UNSCOPED)
    plain = {(name, what) for name, file in files.items() for room, what in imported(file) if room == "models.engine"}
    assert plain == set(PLAIN)
    rooms = {room for file in files.values() for room, _ in imported(file) if room.startswith("tasks.")}
    across = {
        room for room in rooms if ("models.engine", "transaction") in imported(ROOT / f"{room.replace('.', '/')}.py")
    }
    assert across == set(OF_TASKS)
