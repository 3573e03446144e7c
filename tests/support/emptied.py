"""A database of the test's own as if it were new: of the audit, too, which nobody else can empty."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection

from models.metadata import metadata


def empty(connection: Connection, but: str = "") -> None:
    """Remove every row of every table except `but`. Triggers stay silent, which only a superuser may ask for."""
    connection.exec_driver_sql(_removing(but))


@cache
def _removing(but: str) -> str:
    """All in one message: one by one they would cost most tests more than what they are about."""
    tables = [table.name for table in reversed(metadata.sorted_tables) if table.name != but]
    return "; ".join(
        (
            "SET LOCAL session_replication_role = replica",
            *(f"DELETE FROM {table}" for table in tables),
            "SET LOCAL session_replication_role = origin",
        )
    )
