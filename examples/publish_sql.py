"""Publish an event inside your own PostgreSQL transaction: it exists if and only if you commit.

eval "$(.venv/bin/bellwire env)" && .venv/bin/python examples/publish_sql.py
"""

from __future__ import annotations

import os
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

TENANT = "demo"
PUBLISH = "SELECT bellwire_publish(%s, %s)"

# A table of your own; it may be in any schema of the database that Bellwire uses.
YOUR_TABLE = "CREATE TEMPORARY TABLE orders (id text PRIMARY KEY, host text NOT NULL)"


def place_order(connection: psycopg.Connection, host: str) -> str:
    """Your change and the event in one transaction: both happen, or neither."""
    order = str(uuid4())
    event = {"type": "ssl_expiry", "data": {"host": host, "days_left": 7, "order_id": order}}
    connection.execute("INSERT INTO orders VALUES (%s, %s)", (order, host))
    connection.execute(PUBLISH, (TENANT, Jsonb(event)))
    return order


if __name__ == "__main__":
    with psycopg.connect(os.environ["BELLWIRE_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(YOUR_TABLE)
        with connection.transaction():
            placed = place_order(connection, "sql.example.org")
        with connection.transaction(force_rollback=True):
            place_order(connection, "never.example.org")  # rolled back, and nobody hears of it
    print("published", placed)
