"""A row of each table for a tenant, made up from the columns, so that no table can be forgotten."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import psycopg
from psycopg import sql
from sqlalchemy import Column, Table, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SPACE = UUID("0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01")
MOMENT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def row(table: Table, tenant: str) -> dict[str, Any]:
    """Values for every column that must have one."""
    needed = [one for one in table.columns if not one.nullable and one.server_default is None and one.identity is None]
    named = [one for one in table.columns if one.name in ("tenant", "delivery_id")]
    return {one.name: _value(table, one, tenant) for one in {*needed, *named}}


def insert(connection: psycopg.Connection[Any], table: Table, tenant: str) -> None:
    """Add the tenant's row of a table."""
    values = row(table, tenant)
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Placeholder() * len(values)),
    )
    connection.execute(statement, list(values.values()))


def _value(table: Table, column: Column[Any], tenant: str) -> Any:
    """The same for the same tenant and name, so that rows name each other."""
    kind = column.type
    if isinstance(kind, Uuid):
        return _identity(table, column, tenant)
    if isinstance(kind, ARRAY):
        return []
    if isinstance(kind, JSONB):
        return json.dumps({"whose": tenant})
    python = kind.python_type
    made = {int: 1, bool: False, bytes: hashlib.sha256(tenant.encode()).digest(), datetime: MOMENT}
    return made.get(python, tenant)


def _identity(table: Table, column: Column[Any], tenant: str) -> UUID:
    parent = next((key.column.table.name for key in column.foreign_keys), None)
    of_delivery = column.name == "delivery_id" or table.name == "deliveries"
    return uuid5(SPACE, f"{tenant} {parent or ('deliveries' if of_delivery else table.name)}")
