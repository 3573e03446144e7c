"""Where a transaction begins and ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from config.settings import SettingsError, settings
from models.engine import dispose_inherited, engine, new_engine, normalised, transaction


@pytest.fixture
def chosen(module_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The database of this process, as its environment says."""
    monkeypatch.setenv("BELLWIRE_DATABASE_URL", module_database_url)
    settings.cache_clear()
    engine.cache_clear()
    yield module_database_url
    engine().dispose()
    engine.cache_clear()
    settings.cache_clear()


def tenants(url: str) -> list[str]:
    own = new_engine(url)
    with own.connect() as connection:
        found = list(connection.execute(text("SELECT id FROM tenants ORDER BY id")).scalars())
    own.dispose()
    return found


def add(tenant: str) -> None:
    with transaction() as connection:
        connection.execute(text("INSERT INTO tenants (id) VALUES (:id)"), {"id": tenant})


def test_a_block_that_ends_commits(chosen: str) -> None:
    add("kept")
    assert "kept" in tenants(chosen)


def test_a_block_that_raises_leaves_nothing(chosen: str) -> None:
    with pytest.raises(KeyError), transaction() as connection:
        connection.execute(text("INSERT INTO tenants (id) VALUES ('lost')"))
        raise KeyError
    assert "lost" not in tenants(chosen)


def test_a_connection_that_the_server_ended_is_replaced(chosen: str) -> None:
    with transaction() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    own = new_engine(chosen)
    with own.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
    own.dispose()
    add("after")
    assert "after" in tenants(chosen)


def test_a_forked_process_leaves_its_parents_connections_open(chosen: str) -> None:
    add("before-fork")
    inherited = engine().raw_connection()
    inherited.close()
    dispose_inherited()
    assert inherited.driver_connection is None
    add("after-fork")
    assert "after-fork" in tenants(chosen)


@pytest.mark.mission("D-33")
def test_statements_of_the_path_never_scan_a_table_and_end_in_time(chosen: str) -> None:
    with transaction() as connection:
        found = {
            name: connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("enable_seqscan", "jit", "statement_timeout", "lock_timeout")
        }
    assert found == {"enable_seqscan": "off", "jit": "off", "statement_timeout": "30s", "lock_timeout": "15s"}


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql:///d?host=/run/pg", "postgresql+psycopg:///d?host=%2Frun%2Fpg"),
        ("postgres://h/d", "postgresql+psycopg://h/d"),
    ],
)
def test_every_form_of_url_names_our_driver(given: str, used: str) -> None:
    assert normalised(given) == used


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://"])
def test_another_database_is_refused_in_words(url: str) -> None:
    with pytest.raises(SettingsError, match="BELLWIRE_DATABASE_URL"):
        normalised(url)


def test_without_a_database_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BELLWIRE_DATABASE_URL", raising=False)
    settings.cache_clear()
    engine.cache_clear()
    with pytest.raises(SettingsError, match="BELLWIRE_DATABASE_URL: is not set"):
        engine()
    settings.cache_clear()
