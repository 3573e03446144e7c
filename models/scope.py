"""Transactions of the API: each names whose rows it may see, and without a name it sees none (models/wall.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, event

from config.settings import SettingsError, settings
from models.engine import engine, new_engine, transaction
from models.wall import FORBIDDEN, MISSING_ROLE, ROLE, SETTING

NAME_TENANTS: Final = f"SELECT set_config('{SETTING}', %(tenants)s, true)"


def new_scoped_engine(*, pool_size: int = 5) -> Engine:
    """An engine whose connections take on the API's role.

    Where the role is missing they go on without it, unless they have a login of their own, which then is refused.
    """
    own, shared = settings().api_database_url, settings().database_url
    url = own or shared
    if url is None:
        raise SettingsError("BELLWIRE_DATABASE_URL: is not set; `bellwire up` starts a database of its own")
    made = new_engine(url.get_secret_value(), pool_size=pool_size)

    # At every checkout and not only at the first: the role may be made while the process runs.
    @event.listens_for(made, "checkout")
    def take_role(connection: psycopg.Connection[Any], record: Any, _: Any) -> None:
        if "scoped" not in record.info and _take_role(connection, strict=own is not None):
            record.info["scoped"] = True

    return made


@cache
def scoped_engine() -> Engine:
    """The engine of this process for what is done in the name of tenants, made at first use."""
    return new_scoped_engine()


@contextmanager
def transaction_of(*tenants: str) -> Iterator[Connection]:
    """A transaction that sees and changes only rows of these tenants: commits at the end, rolls back when it raises."""
    with scoped_engine().begin() as connection:
        name_tenants(connection, tenants)
        yield connection


@contextmanager
def unscoped_transaction() -> Iterator[Connection]:
    """A transaction that sees all tenants' rows, for what nobody can know the tenant of yet.

    Every use in `api/` is named, with its reason, in tests/api/test_row_level_security.py.
    """
    with transaction() as connection:
        yield connection


def name_tenants(connection: Connection, tenants: Iterable[str]) -> None:
    """Say whose rows the rest of the transaction may see."""
    connection.exec_driver_sql(NAME_TENANTS, {"tenants": _array(tenants)})


def dispose() -> None:
    """Close the connections of this process."""
    for made in (scoped_engine, engine):
        if made.cache_info().currsize:
            made().dispose()


def _take_role(connection: psycopg.Connection[Any], *, strict: bool) -> bool:
    """Take on the role for as long as the connection lives. False when that is not possible."""
    try:
        connection.execute(f"SET ROLE {ROLE}")
        connection.commit()
    except psycopg.Error as error:
        connection.rollback()
        if strict or error.sqlstate not in (MISSING_ROLE, FORBIDDEN):
            raise
        return False  # not logged at every checkout: /health/ready warns of it
    return True


def _array(tenants: Iterable[str]) -> str:
    """As PostgreSQL writes an array: {"acme","other"}."""
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in tenants)
    return "{" + ",".join(f'"{one}"' for one in quoted) + "}"
