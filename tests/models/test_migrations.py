"""The schema that the migrations make is the schema that the models describe."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from models.engine import connect_for_migrations
from models.metadata import metadata
from models.migrate import is_newest, upgrade

MIGRATION_LOCK = 0x42454C4C  # as in models/migrations/env.py: machines of two releases must agree on it


@pytest.mark.mission("D-42", "D-44")
def test_the_migrations_make_exactly_what_the_models_describe(module_database_url: str) -> None:
    with connect_for_migrations(module_database_url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        assert compare_metadata(context, metadata) == []


def test_indexes_have_the_conditions_and_settings_of_the_models(module_database_url: str) -> None:
    """What the comparison above does not look at: partial indexes and fill factors."""
    partial = {
        str(index.name): str(index.dialect_options["postgresql"]["where"])
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    }
    filled = {
        name: str(table.dialect_options["postgresql"]["with"]["fillfactor"])
        for name, table in metadata.tables.items()
        if table.dialect_options["postgresql"]["with"]
    }
    with connect_for_migrations(module_database_url) as connection:
        made = connection.execute(
            text(
                "SELECT indexrelid::regclass::text, pg_get_expr(indpred, indrelid) FROM pg_index WHERE indpred NOTNULL"
            )
        )
        found = {name: condition.replace("(", "").replace(")", "").replace("::text", "") for name, condition in made}
        assert {name: found[name] for name in partial} == partial
        options = connection.execute(text("SELECT relname, reloptions FROM pg_class WHERE reloptions NOTNULL")).all()
        assert {name: value for name, given in options for value in _fill_factor(given)} == filled


@pytest.mark.mission("D-44")
def test_a_machine_that_migrates_makes_the_others_wait(empty_database_url: str) -> None:
    with connect_for_migrations(empty_database_url) as other, ThreadPoolExecutor(1) as machine:
        other.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        migrating = machine.submit(upgrade, empty_database_url)
        deadline = monotonic() + 20
        while not other.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
            assert monotonic() < deadline, "nobody waits for the lock"
            assert not migrating.done()
            sleep(0.01)
        other.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        migrating.result(20)
    assert is_newest(empty_database_url)


def test_a_database_without_the_schema_is_not_newest(empty_database_url: str) -> None:
    assert not is_newest(empty_database_url)


def test_migrating_again_changes_nothing(module_database_url: str) -> None:
    upgrade(module_database_url)
    assert is_newest(module_database_url)


def _fill_factor(options: list[str]) -> list[str]:
    return [value for name, _, value in (option.partition("=") for option in options) if name == "fillfactor"]
