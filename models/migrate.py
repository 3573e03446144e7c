"""Brings a database to the newest schema."""

from __future__ import annotations

import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import DatabaseNotAtHead
from sqlalchemy import text

from models.engine import connect_for_migrations
from models.wall import put_up

# Any constant will do as long as it is ours: it keeps two machines from migrating at the same time.
MIGRATION_LOCK = 0x42454C4C
TAKE_TURNS = text("SELECT pg_advisory_xact_lock(:key)")


def upgrade(database_url: str) -> str | None:
    """Run every migration that `database_url` has not seen. Safe to call from several machines at once.

    Returns:
        Why the API's connections have no second wall, None when they have (`models.wall`).
    """
    command.upgrade(_config(database_url), "head")
    with connect_for_migrations(database_url) as connection, connection.begin():
        connection.execute(TAKE_TURNS, {"key": MIGRATION_LOCK})
        return put_up(connection)


def is_newest(database_url: str) -> bool:
    """Whether `database_url` has seen every migration."""
    try:
        command.current(_config(database_url), check_heads=True)
    except DatabaseNotAtHead:
        return False
    return True


def _config(database_url: str) -> Config:
    # What Alembic prints for people at a terminal goes nowhere: ours say it in their own words.
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["database_url"] = database_url
    return config
