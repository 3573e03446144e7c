"""Asks the servers that we need whether they answer, with an end to every question, even when a server is frozen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import redis
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from api.probe import Probe
from config.connections import redis_client
from config.queue import events_exchange, queues
from config.settings import settings
from models.engine import new_engine
from models.scope import new_scoped_engine
from models.wall import holes
from pipeline.rejected_accounts import rejected_accounts
from tasks.bells import fast_connection

PATIENCE: Final = 1.2  # seconds for all of them together

NOT_MIGRATED: Final = "42P01"  # undefined table


class Servers:
    """The database, the broker and Redis as this process sees them."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._scoped: Engine | None = None
        self._redis: redis.Redis | None = None
        self.rejected: Counter[str] = Counter()  # accounts that a provider did not accept when it was last looked
        self.holes: list[str] = []  # tables that had no second wall when it was last looked
        self._probes = {
            "database": Probe("probe-database", self._ask_database),
            "broker": Probe("probe-broker", self._ask_broker),
            "redis": Probe("probe-redis", self._ask_redis),
        }
        self._depths = Probe("probe-depths", _depths)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._probes)

    async def down(self) -> dict[str, str]:
        """What does not work, each with what is wrong in words."""
        said = await asyncio.gather(*(self._problem(probe) for probe in self._probes.values()))
        return {name: problem for name, problem in zip(self._probes, said, strict=True) if problem}

    async def queue_depths(self, patience: float) -> Mapping[str, int]:
        """Messages that wait in the broker, by queue; empty when it does not say within `patience` seconds."""
        try:
            depths: Mapping[str, int] = await self._depths.answer(patience)
        except Exception:
            return {}
        return depths

    @staticmethod
    async def _problem(probe: Probe) -> str | None:
        try:
            problem = await probe.answer(PATIENCE)
        except TimeoutError:
            return "does not answer"
        except Exception as error:
            return f"cannot be reached ({type(error).__name__})"
        return None if problem is None else str(problem)

    def _ask_database(self) -> str | None:
        url = settings().database_url
        if url is None:
            return "has no address: BELLWIRE_DATABASE_URL is not set"
        if self._engine is None:
            self._engine = new_engine(url.get_secret_value(), pool_size=1)
        if self._scoped is None:
            self._scoped = new_scoped_engine(pool_size=1)
        try:
            with self._engine.connect() as connection:
                rejected = Counter(one["provider"] for one in rejected_accounts(connection))
            with self._scoped.connect() as connection:
                self.holes = holes(connection)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == NOT_MIGRATED:
                return "has no tables yet; `bellwire migrate` makes them"
            raise
        self.rejected = rejected
        return None

    def _ask_broker(self) -> str | None:
        with _broker() as connection, connection.channel():
            return None

    def _ask_redis(self) -> str | None:
        url = settings().redis_url
        if url is None:
            return "has no address: BELLWIRE_REDIS_URL is not set"
        if self._redis is None:
            self._redis = redis_client(url.get_secret_value(), "live")
        self._redis.ping()
        return None


@contextmanager
def _broker() -> Iterator[Any]:
    """A connection, or the error of the first try; left alone, the library would sleep and try again."""
    with fast_connection() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        yield connection


def _depths() -> dict[str, int]:
    depths = {}
    with _broker() as connection:
        for name in (*(queue.name for queue in queues()), events_exchange().queue):
            # A question about a queue that does not exist ends an AMQP channel.
            with connection.channel() as channel:
                try:
                    depths[name] = channel.queue_declare(name, passive=True).message_count
                except connection.channel_errors:
                    depths[name] = 0  # on Redis an empty queue is none
    return depths
