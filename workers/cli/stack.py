"""How commands reach the installation: its settings, its database, and one sentence when it cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from config.logging import configure
from config.settings import Settings
from models.engine import engine, transaction
from pipeline.acknowledge import Acknowledged
from workers.stack.environment import attach
from workers.stack.errors import StackError

ACTOR: Final = "cli"

NOT_MIGRATED: Final = "42P01"  # undefined table


def reach() -> Settings:
    """Point this process to the installation and return its settings. Libraries keep quiet unless something is wrong.

    Raises:
        StackError: none runs here and none is configured.
    """
    configure("ERROR")
    return attach()


@contextmanager
def database() -> Iterator[Connection]:
    """A transaction on the installation's database.

    Raises:
        StackError: it cannot be reached, or has no tables yet.
    """
    reach()
    try:
        with transaction() as connection:
            yield connection
    except OperationalError as error:
        where = engine().url.set(drivername="postgresql").render_as_string(hide_password=True)
        raise StackError(f"PostgreSQL at {where} cannot be reached: {_first_line(error)}") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == NOT_MIGRATED:
            raise StackError("The database has no tables yet; `bellwire migrate` makes them.") from error
        raise StackError(f"PostgreSQL refused: {_first_line(error)}") from error


# Celery's application reads the broker's address when it is imported, so it is imported when that is known.
def ring_events(ids: Sequence[str]) -> None:
    """Say that these events wait for routing."""
    from tasks.bells import ring_ingest

    ring_ingest(ids)


def ring_channels(due: Mapping[str, Sequence[str]]) -> None:
    """Say that these deliveries are due, by channel."""
    from tasks.bells import ring_deliveries

    for channel, ids in due.items():
        ring_deliveries(channel, ids)


def show_taken(tenant: str, taken: Acknowledged) -> None:
    """Show who took an issue to those who have it open."""
    from tasks.live import show_acknowledged

    show_acknowledged(tenant, taken)


def let_bells_leave() -> None:
    """Wait for the last bells, a few seconds at the most: without them the sweep finds the work."""
    from tasks.bells import ringer

    ringer().flush()


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".") + "."
