"""Looks for a word in a whole database: every column of every row of every table, in plain and as bytes."""

from __future__ import annotations

from sqlalchemy import Connection, text

TABLES = text("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY 1")


def tables_with(connection: Connection, word: str) -> list[str]:
    """The tables with a row in which the word stands."""
    forms = {"plain": f"%{word}%", "bytes": f"%{word.encode().hex()}%"}
    found = "SELECT EXISTS (SELECT FROM {} t WHERE t::text LIKE :plain OR t::text LIKE :bytes)"
    names = connection.execute(TABLES).scalars().all()
    return [name for name in names if connection.execute(text(found.format(name)), forms).scalar_one()]
