"""Group commit: the events of all requests that wait while one transaction is under way go into the next one.

At a low rate nothing waits; at a high rate a hundred requests share one commit.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from api.errors import Problem, database_away, refused_by_database
from api.limits import EventLimits
from config.settings import settings
from models.scope import transaction_of
from pipeline.intake import Refusal, Submission, Taken, take_in
from tasks.bells import ring_ingest

log = structlog.get_logger(__name__)

MOST_EVENTS: Final = 1_000  # in one transaction; a request is never split
MOST_BYTES: Final = 4 * 1024 * 1024
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024  # of bodies; more, and the database does not keep up
PATIENCE: Final = 30.0  # seconds until a request stops waiting for its commit

# Two transactions waited for each other, and this one was chosen to give way: the same again will do.
GIVE_WAY: Final = ("40001", "40P01")
TRIES: Final = 3

Outcome = Taken | Refusal | Problem


@dataclass(slots=True, eq=False)
class _Waiting:
    submission: Submission
    size: int
    publisher: str
    answer: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Intake:
    """One thread that stores what all requests of this process submit."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Waiting] = deque()
        self._bytes = 0
        self._more = threading.Condition()
        self._stopping = False
        url = settings().redis_url
        self._limits = EventLimits(settings().events_per_minute, url.get_secret_value() if url else None)
        self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
        self._thread.start()

    async def submit(self, submission: Submission, size: int, publisher: str) -> Taken | Refusal:
        """Store the events of a request and return once they are committed.

        Args:
            size: bytes of the request's body.
            publisher: who has a limit of his own on what he may publish.

        Raises:
            Problem: 503 when the database is away or does not keep up, 400 for what it cannot store, 429 for what is
                too much in a minute.
        """
        waiting = _Waiting(submission, size, publisher)
        with self._more:
            if self._bytes > MOST_WAITING_BYTES:
                raise database_away()
            self._bytes += size
            self._queue.append(waiting)
            self._more.notify()
        try:
            async with asyncio.timeout(PATIENCE):
                outcome = await waiting.answer
        except TimeoutError:
            raise database_away() from None
        if isinstance(outcome, Problem):
            raise outcome
        return outcome

    @property
    def waiting(self) -> int:
        """Requests that wait for the next transaction."""
        return len(self._queue)

    def stop(self, timeout: float) -> None:
        """Store what is waiting, then end."""
        with self._more:
            self._stopping = True
            self._more.notify()
        self._thread.join(timeout)

    def _work(self) -> None:
        while batch := self._next():
            outcomes = self._outcomes(batch)
            self._loop.call_soon_threadsafe(_deliver, batch, outcomes)

    def _outcomes(self, batch: Sequence[_Waiting]) -> list[Outcome]:
        refused = self._limits.refused([(one.publisher, len(one.submission.events)) for one in batch])
        admitted = [one.submission for one, problem in zip(batch, refused, strict=True) if problem is None]
        stored = iter(_store(admitted) if admitted else ())
        return [problem or next(stored) for problem in refused]

    def _next(self) -> list[_Waiting]:
        """What waits, as far as it fits into one transaction. Empty at the end."""
        with self._more:
            self._more.wait_for(lambda: self._queue or self._stopping)
            batch: list[_Waiting] = []
            events = size = 0
            while self._queue:
                events += len(self._queue[0].submission.events)
                size += self._queue[0].size
                if batch and (events > MOST_EVENTS or size > MOST_BYTES):
                    break
                batch.append(self._queue.popleft())
            self._bytes -= sum(one.size for one in batch)
            return batch


def _deliver(batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    for one, outcome in zip(batch, outcomes, strict=True):
        if not one.answer.done():
            one.answer.set_result(outcome)


def _store(submissions: Sequence[Submission]) -> Sequence[Outcome]:
    """One transaction for all; should the database refuse a value of one of them, one for each."""
    try:
        taken = _commit(submissions)
    except (DataError, IntegrityError) as error:
        if len(submissions) == 1:
            return [refused_by_database(error)]
        return [outcome for one in submissions for outcome in _store([one])]
    except DBAPIError as error:
        return [refused_by_database(error)] * len(submissions)
    except NoConnectionError:
        return [database_away()] * len(submissions)
    except Exception:
        log.exception("intake_failed", requests=len(submissions))
        bug = Problem(500, "bellwire.internal_error", "Something went wrong here; it has been logged.")
        return [bug] * len(submissions)
    _ring(taken)
    return taken


def _commit(submissions: Sequence[Submission]) -> list[Taken | Refusal]:
    tenants = {event.tenant for one in submissions for event in one.events}
    for attempt in range(1, TRIES + 1):
        try:
            with transaction_of(*tenants) as connection:
                return take_in(connection, submissions)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in GIVE_WAY or attempt == TRIES:
                raise
    raise AssertionError("the last attempt returns or raises")


def _ring(taken: Sequence[Taken | Refusal]) -> None:
    """Say that events wait for routing. Never waits for the broker; what it does not hear, the sweep finds."""
    fresh = [answer for one in taken if isinstance(one, Taken) and one.fresh for answer in one.answers]
    new = [answer.id for answer in fresh if answer.status == "accepted"]
    if new:
        ring_ingest(new)
    if fresh:
        log.info("events_accepted", events=len(fresh), event_ids=[answer.id for answer in fresh[:20]])
