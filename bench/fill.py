"""Fills Bellwire's own tables with finished work: copies of one finished delivery and all that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg

from bench.process import BenchmarkError

# The ids that belong together, older than anything that follows, as a year of work would be.
IDS: Final = """
CREATE TEMP TABLE copies AS
SELECT uuidv7(n * interval '1 second' - interval '400 days') AS event_id,
       uuidv7(n * interval '1 second' - interval '400 days') AS delivery_id,
       sha256(n::text::bytea) AS fingerprint, now() + n * interval '1 second' - interval '400 days' AS at
FROM generate_series(1, {count}) AS n
"""
SAMPLES: Final = {
    "sample_deliveries": "SELECT * FROM deliveries WHERE status = 'sent' LIMIT 1",
    "sample_events": "SELECT e.* FROM events e JOIN sample_deliveries d ON d.event_id = e.id",
    "sample_issues": "SELECT i.* FROM issues i JOIN sample_events e USING (tenant, fingerprint)",
    "sample_attempts": "SELECT a.* FROM attempts a JOIN sample_deliveries d ON d.id = a.delivery_id",
}
# What differs from copy to copy, by table and column; everything else is as the product wrote it.
DIFFERENT: Final[dict[str, dict[str, str]]] = {
    "issues": {"fingerprint": "c.fingerprint", "event_id": "c.event_id", "window_until": "c.at"},
    "events": {"id": "c.event_id", "fingerprint": "c.fingerprint", "occurred_at": "c.at", "accepted_at": "c.at"},
    "deliveries": {"id": "c.delivery_id", "event_id": "c.event_id", "created_at": "c.at", "sent_at": "c.at"},
    "attempts": {"delivery_id": "c.delivery_id", "started_at": "c.at"},
}
WORK: Final = ("attempts", "deliveries", "notifications", "events", "issues", "statistics")


def fill(database_url: str, count: int) -> None:
    """Store `count` finished deliveries, each with its event, issue and attempt. One finished delivery must exist.

    Raises:
        BenchmarkError: fewer rows came to be.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(IDS.format(count=count).encode())
        for name, query in SAMPLES.items():
            connection.execute(f"CREATE TEMP TABLE {name} AS {query}".encode())
        for table, different in DIFFERENT.items():
            made = connection.execute(_copy(table, _columns(connection, table), different).encode()).rowcount
            if made != count:
                raise BenchmarkError(f"{made} rows instead of {count} were made in {table}")
        connection.execute("VACUUM (ANALYZE, FREEZE)")
        connection.execute("CHECKPOINT")


def _columns(connection: psycopg.Connection[tuple[str, ...]], table: str) -> list[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
    return [name for (name,) in connection.execute(query, (table,))]


def _copy(table: str, columns: list[str], different: Mapping[str, str]) -> str:
    values = ", ".join(different.get(column, f"s.{column}") for column in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM copies c, sample_{table} s"
