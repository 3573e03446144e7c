"""The second wall where it cannot be built, and where it was taken down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from config.settings import settings
from models.engine import connect_for_migrations, engine
from models.migrate import upgrade
from models.scope import dispose, scoped_engine, transaction_of
from models.wall import ROLE, holes, put_up


@pytest.fixture
def modest(postgres: Callable[[str], str]) -> Iterator[str]:
    """A database whose owner may make no roles, on a server where the role belongs to somebody else."""
    with psycopg.connect(postgres("postgres"), autocommit=True) as server:
        server.execute("CREATE ROLE modest LOGIN")
        server.execute("CREATE DATABASE modest OWNER modest")
        yield postgres("modest").replace("bellwire@", "modest@", 1)
        server.execute("DROP DATABASE modest WITH (FORCE)")
        server.execute("DROP ROLE modest")


@pytest.fixture
def forgotten() -> Iterator[None]:
    """This process without engines and settings, before and after."""
    for cached in (settings, engine, scoped_engine):
        cached.cache_clear()
    yield
    dispose()
    for cached in (settings, engine, scoped_engine):
        cached.cache_clear()


def test_whoever_may_not_make_the_role_is_told_and_goes_on_without(
    migrated_template: str, modest: str, forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert upgrade(modest) == f"the role {ROLE} is missing or not ours, and we must not make it (42501)"
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", modest)
    with transaction_of("acme") as connection:
        connection.execute(text("INSERT INTO tenants (id) VALUES ('acme')"))
        assert "users" in holes(connection)


def test_an_administrator_can_make_up_for_it_while_the_api_runs(
    migrated_template: str,
    modest: str,
    forgotten: None,
    postgres: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upgrade(modest)
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", modest)
    with transaction_of("acme") as connection:
        assert holes(connection)
    with psycopg.connect(postgres("postgres"), autocommit=True) as server:
        server.execute(f"GRANT {ROLE} TO modest")
    assert upgrade(modest) is None
    with transaction_of("acme") as connection:
        assert holes(connection) == []


def test_a_login_for_the_api_alone_must_have_the_role(
    database_url: str, modest: str, forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", database_url)
    monkeypatch.setenv("BELLWIRE_API_DATABASE_URL", database_url.replace("bellwire@", "modest@", 1))
    with pytest.raises(ProgrammingError, match="permission denied to set role"), transaction_of("acme"):
        pass
    with psycopg.connect(database_url) as server:
        server.execute(f"GRANT {ROLE} TO modest")
    with transaction_of("acme") as connection:
        assert connection.execute(text("SELECT session_user, current_user")).one() == ("modest", ROLE)
        assert holes(connection) == []


def test_what_was_taken_down_is_put_up_again_and_what_stands_is_left_alone(database_url: str) -> None:
    with connect_for_migrations(database_url) as connection, connection.begin():
        before = connection.execute(text("SELECT oid FROM pg_policy ORDER BY oid")).scalars().all()
        assert put_up(connection) is None
        assert connection.execute(text("SELECT oid FROM pg_policy ORDER BY oid")).scalars().all() == before
        connection.execute(text("ALTER TABLE users DISABLE ROW LEVEL SECURITY"))
        connection.execute(text("DROP POLICY bellwire_tenants ON events"))
        connection.execute(text(f"GRANT UPDATE ON audit TO {ROLE}"))
        assert put_up(connection) is None
        connection.execute(text(f"SET LOCAL ROLE {ROLE}"))
        assert holes(connection) == []
        assert not connection.execute(text("SELECT has_table_privilege('audit', 'UPDATE')")).scalar_one()
