"""Alembic's way into the database: one connection, one transaction, one migration at a time over all machines."""

from __future__ import annotations

from alembic import context

from config.settings import settings
from models.engine import connect_for_migrations
from models.metadata import metadata
from models.migrate import MIGRATION_LOCK, TAKE_TURNS


def run() -> None:
    url = context.config.attributes.get("database_url")
    if url is None:
        configured = settings().database_url
        url = configured.get_secret_value() if configured else None
    if url is None:
        raise SystemExit("BELLWIRE_DATABASE_URL is not set; `bellwire up` migrates its own database")
    with connect_for_migrations(url) as connection, connection.begin():
        connection.execute(TAKE_TURNS, {"key": MIGRATION_LOCK})
        context.configure(connection=connection, target_metadata=metadata)
        context.run_migrations()


run()
