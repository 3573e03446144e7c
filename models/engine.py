"""One engine a process, and the only places where a transaction begins or ends.

Who opens the transaction commits, and only tasks, the API and the command line open one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import NullPool

from config.settings import SettingsError, settings

# Our statements join a short list of ids with big tables. A plan made while a table was small would scan all of it
# for as long as the plan is cached; with scans priced out the index is taken at every size.
#
# A process that is frozen or cut off inside a transaction must not keep its row locks from the others: after ten
# seconds the server ends it, and it finds out by itself that the server is gone.
PATIENCE = (
    "-c statement_timeout=30000 -c lock_timeout=15000 -c idle_in_transaction_session_timeout=10000"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
BATCH_OPTIONS = f"-c enable_seqscan=off -c jit=off {PATIENCE}"
KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15000}

# What the driver raises when the server is away, ends us or only reads, as opposed to when a statement is wrong.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)


def normalised(database_url: str) -> str:
    """The URL with the psycopg 3 driver named, whatever form of `postgresql://` was given."""
    url = make_url(database_url)
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise SettingsError("BELLWIRE_DATABASE_URL: must begin with postgresql://")
    return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def new_engine(database_url: str, *, options: str = BATCH_OPTIONS, pool_size: int = 5) -> Engine:
    """An engine that notices a restarted server before it is used and gives up connecting after 5 seconds."""
    return create_engine(
        normalised(database_url),
        pool_size=pool_size,
        max_overflow=10,
        pool_pre_ping=True,
        pool_recycle=1800,
        # psycopg alone decides what is prepared: five executions of the same text and it is.
        connect_args={"options": options, "connect_timeout": 5, "application_name": "bellwire", **KEEPALIVES},
        # Batches are JSON documents made by hand, so SQLAlchemy's own caching of text() is all that is needed.
        hide_parameters=True,
    )


@cache
def engine() -> Engine:
    """The engine of this process, made at first use. A pool child must call `dispose_inherited` first."""
    url = settings().database_url
    if url is None:
        raise SettingsError("BELLWIRE_DATABASE_URL: is not set; `bellwire up` starts a database of its own")
    return new_engine(url.get_secret_value())


def dispose_inherited() -> None:
    """Forget connections that belong to the parent process, without closing them under its feet."""
    if engine.cache_info().currsize:
        engine().dispose(close=False)


@contextmanager
def transaction() -> Iterator[Connection]:
    """A transaction: commits at the end of the block, rolls back when it raises."""
    with engine().begin() as connection:
        yield connection


@contextmanager
def connect_for_migrations(database_url: str) -> Iterator[Connection]:
    """A connection without the options of the hot path, closed afterwards."""
    own = create_engine(normalised(database_url), poolclass=NullPool)
    with own.connect() as connection:
        yield connection
