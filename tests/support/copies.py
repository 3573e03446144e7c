"""Copies of a database: much quicker than running the migrations again."""

from __future__ import annotations

import psycopg

TRIES = 12  # PostgreSQL itself waits 5 s in each


def copy(server: str, template: str, name: str) -> None:
    """Make the database `name` a copy of `template`; `server`: the URL of any other one.

    Somebody who just left the template (a migration, autovacuum) counts as there until his process has ended, which
    takes its time on a busy machine.
    """
    for left in reversed(range(TRIES)):
        try:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[call-overload]
        except psycopg.errors.ObjectInUse:
            if not left:
                raise
        else:
            return
