"""What the live side asks the database, in a few threads of its own, so that a thousand clients who come back at once
leave the others for everybody else."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, TypeVar

import structlog
from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from api.answers import json_bytes
from api.hub import Hub, Listener, Person
from api.live_frames import unread_count
from models.scope import transaction_of
from pipeline.inbox import Frame
from pipeline.inbox_reading import MOST_LOOKED_AT, UNREAD, VISIBLE, Reader, mark_delivered, since, unread

log = structlog.get_logger(__name__)
T = TypeVar("T")

THREADS: Final = 4
PAGE: Final = 100
MOST_PEOPLE: Final = 200  # in one transaction
PAUSE: Final = 1.0  # seconds in which what was written is gathered

# In one statement: what comes in between is in neither, and is shown as it arrives.
START: Final = text(f"""
SELECT coalesce((SELECT i.last FROM inboxes i WHERE i.tenant = :tenant AND i.user_id = :user_id), 0) AS last,
       (SELECT count(*) FILTER (WHERE {VISIBLE}) FROM ({UNREAD}) n) AS unread
""")
LATEST_OF: Final = text("""
SELECT i.tenant, i.user_id, i.last FROM jsonb_array_elements(cast(:people AS jsonb)) p
JOIN inboxes i ON i.tenant = p->>0 AND i.user_id = p->>1
""")


class Reading:
    """The database as connections see it, and what is written back: that they were shown something."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._limiter = CapacityLimiter(THREADS)
        self._written: defaultdict[Person, list[str]] = defaultdict(list)
        self._counting: dict[Person, None] = {}
        self._count_changed = asyncio.Event()

    async def start(self, listener: Listener) -> tuple[int, int]:
        """The latest number of the inbox, and how many notifications are unread."""

        reader = Reader(listener.tenant, listener.user_id, listener.customers)
        values = reader.values(looked_at=MOST_LOOKED_AT)
        row = await self._read({listener.tenant}, lambda connection: connection.execute(START, values).one())
        return row.last, row.unread

    async def since(self, listener: Listener, after: int) -> list[Frame]:
        """The next page of notifications after a number; a page that is not full is the last."""

        def read(connection: Connection) -> list[Frame]:
            return since(
                connection,
                tenant=listener.tenant,
                user_id=listener.user_id,
                after=after,
                most=PAGE,
                customers=listener.customers,
            )

        return await self._read({listener.tenant}, read)

    async def latest_of(self, people: Collection[Person]) -> dict[Person, int]:
        """The latest number of each inbox."""
        everyone = list(people)
        found: dict[Person, int] = {}
        for start in range(0, len(everyone), MOST_PEOPLE):
            some = everyone[start : start + MOST_PEOPLE]
            found.update(await self._read(_tenants(some), partial(_latest_of, some)))
        return found

    def written(self, person: Person, notification_id: str) -> None:
        """A notification was written to a connection: its delivery has arrived."""
        self._written[person].append(notification_id)

    def count(self, person: Person) -> None:
        """Have the unread count of a user shown. It is read from the database: messages overtake each other."""
        self._counting[person] = None
        self._count_changed.set()

    async def run_counts(self) -> None:
        """Show counts that changed, for ever. Many changes of one user at once are one."""
        while True:
            await self._count_changed.wait()
            self._count_changed.clear()
            while some := list(islice(self._counting, MOST_PEOPLE)):
                for person in some:
                    del self._counting[person]
                await self._show_counts(some)

    async def run_written(self) -> None:
        """Store what has arrived, once a second, for ever."""
        while True:
            await asyncio.sleep(PAUSE)
            await self.flush()

    async def flush(self) -> None:
        """Store what has arrived. What cannot be stored now is stored when it is fetched."""
        written, self._written = self._written, defaultdict(list)
        people = list(written.items())
        for start in range(0, len(people), MOST_PEOPLE):
            some = people[start : start + MOST_PEOPLE]
            await self._try(_tenants(person for person, _ in some), partial(_mark, some))

    async def _show_counts(self, some: Sequence[Person]) -> None:
        listeners = {connection.listener for person in some for connection in self._hub.of(person)}

        def read(connection: Connection) -> dict[Listener, int]:
            return {listener: _unread(connection, listener) for listener in listeners}

        counts: Mapping[Listener, int] = await self._try(_tenants(some), read) or {}
        for listener, number in counts.items():
            for connection in self._hub.of(listener.person):
                if connection.listener == listener:
                    connection.show(unread_count(number))

    async def _read(self, tenants: Collection[str], work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with transaction_of(*tenants) as connection:
                return work(connection)

        return await to_thread.run_sync(run, limiter=self._limiter)

    async def _try(self, tenants: Collection[str], work: Callable[[Connection], T]) -> T | None:
        """The same, for what comes again by itself: None when the database is away."""
        try:
            return await self._read(tenants, work)
        except SQLAlchemyError as error:
            log.warning("live_database_away", problem=type(error).__name__)
            return None


def _tenants(people: Iterable[Person]) -> set[str]:
    return {tenant for tenant, _ in people}


def _unread(connection: Connection, listener: Listener) -> int:
    return unread(connection, tenant=listener.tenant, user_id=listener.user_id, customers=listener.customers)


def _latest_of(people: Sequence[Person], connection: Connection) -> dict[Person, int]:
    rows = connection.execute(LATEST_OF, {"people": json_bytes(people).decode()})
    return {(row.tenant, row.user_id): row.last for row in rows}


def _mark(written: Sequence[tuple[Person, Sequence[str]]], connection: Connection) -> None:
    for (tenant, user_id), ids in written:
        mark_delivered(connection, tenant=tenant, user_id=user_id, ids=ids)
