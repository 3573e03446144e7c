"""Takes many `bellwire.publish` messages as one batch, so that one event a message costs little more than many.

Celery hands a pool process one message at a time. This strategy collects messages while a batch is under way and
hands over all that came meanwhile: at a low rate nothing waits, at a high rate batches grow by themselves.
A message is confirmed when its events are committed, and not before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import uuid4

import structlog
from celery import Task
from celery.utils.log import get_logger

from domain.errors import InvalidInputError
from models.engine import DATABASE_AWAY
from pipeline.envelope import MOST_BODY_BYTES, loads
from tasks.redis_transport import confirm

log = structlog.get_logger(__name__)
logger = get_logger(__name__)

MOST_LETTERS = 500
MOST_BYTES = 256 * 1024  # of a batch: about a thousand events; a single larger message goes alone
# Seconds between two batches while messages keep coming. Each costs some milliseconds whatever it carries, so at a high
# rate this trades 10 ms of latency for half of the CPU; a message after a pause is handed over at once.
PACE = 0.010
RETRY_AFTER = 0.5  # seconds; the database was away
MOST_RETRY_AFTER = 5.0
MOST_TRIES = 5  # of one message that fails alone, with the database there
AWAY = "the database is away"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it came: its id, constant when it is delivered again, and its bytes.

    `wrapped`: the body is Celery's ``[args, kwargs, embed]``, and the first argument is what was published.
    """

    id: str
    body: bytes
    wrapped: bool = True

    def payload(self) -> Any:
        """What was published. Raises InvalidInputError when it is no JSON or has no argument."""
        if len(self.body) > MOST_BODY_BYTES:
            raise InvalidInputError("", f"is larger than {MOST_BODY_BYTES} bytes", too_large=True)
        body = loads(self.body)
        if not self.wrapped:
            return body
        try:
            arguments = body[0]
            (published,) = arguments
        except (TypeError, ValueError, LookupError):
            raise InvalidInputError("args", "must be one event or one list of events") from None
        return published


def publish_batch(letters: Sequence[tuple[str, bytes]], give_up: bool) -> None:
    """What a pool process does with a batch; with `give_up` it is kept for a person, unread."""
    from tasks.publish import keep_letters, publish_letters

    given = [Letter(id_, body) for id_, body in letters]
    try:
        if give_up:
            keep_letters(given)
        else:
            publish_letters(given)
    except DATABASE_AWAY as error:
        raise RuntimeError(AWAY) from error.orig
    except Exception as error:
        # Any other class might not survive the way to the main process, and would end it there.
        log.exception("batch_not_published", letters=len(given))
        raise RuntimeError(type(error).__name__) from None


class Batches:
    """The batches of one consumer, in the worker's main process. Everything runs on its event loop."""

    def __init__(self, consumer: Any, task_name: str, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._consumer = consumer
        self._name = task_name
        self._waiting: list[tuple[Letter, Any]] = []
        self._under_way = 0
        self._failures = 0
        self._alone = 0  # letters that go one by one, after a batch that failed for a reason of its own
        self._not_before = 0.0
        self._has_timer = False
        # Half of the pool at most, so that deliveries are made while events pour in.
        self._most_under_way = max(1, (consumer.pool.num_processes or 1) // 2)

    def take(self, message: Any, *_: Any, **__: Any) -> None:
        """A message came: send it on at once if no batch is under way, else with the next."""
        # Without an id of its own a message is not recognised when it comes twice; a delivery tag is no id, because
        # RabbitMQ counts from 1 on every channel.
        id_ = message.headers.get("id")
        self._waiting.append((Letter(id_ if isinstance(id_, str) else str(uuid4()), _bytes(message.body)), message))
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and self._under_way < self._most_under_way:
            early = self._not_before - self._clock()
            if early > 0:
                self._later(early)
                return
            self._not_before = self._clock() + PACE
            batch = self._cut()
            self._under_way += 1
            started = _tell_flower(self._consumer.event_dispatcher, self._name, batch)
            self._consumer.pool.apply_async(
                publish_batch,
                ([(letter.id, letter.body) for letter, _ in batch], len(batch) == 1 and self._failures >= MOST_TRIES),
                callback=lambda _, batch=batch, started=started: self._done(batch, started),
                error_callback=lambda error, batch=batch: self._failed(batch, error),
            )

    def _later(self, seconds: float) -> None:
        if not self._has_timer:
            self._has_timer = True
            self._consumer.timer.call_after(seconds, self._timer_rang)

    def _timer_rang(self) -> None:
        self._has_timer = False
        self._hand_over()

    def _cut(self) -> list[tuple[Letter, Any]]:
        size = taken = 0
        for letter, _ in self._waiting[: 1 if self._alone else MOST_LETTERS]:
            size += len(letter.body)
            if taken and size > MOST_BYTES:
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    def _done(self, batch: list[tuple[Letter, Any]], started: Callable[[], None]) -> None:
        self._under_way -= 1
        self._failures = 0
        self._alone = max(0, self._alone - len(batch))
        confirm((message for _, message in batch), self._consumer.connection_errors)
        started()
        self._hand_over()

    def _failed(self, batch: list[tuple[Letter, Any]], error: Any) -> None:
        """Nothing of it was stored, or nobody knows: again, first; what was stored is recognised by its ids.

        With the database away there is nothing but to wait. For any other reason they go one by one, and the one that
        fails again and again is kept for a person, so that it holds up no other.
        """
        self._under_way -= 1
        self._waiting = batch + self._waiting
        problem = str(getattr(error, "exception", error))
        if problem != AWAY:
            self._alone = max(self._alone, len(batch))
        self._failures = 1 if problem == AWAY else self._failures + 1
        wait = min(RETRY_AFTER * 2 ** (self._failures - 1), MOST_RETRY_AFTER)
        self._not_before = self._clock() + wait
        logger.warning("publish batch of %d messages again in %.1f s: %s", len(batch), wait, problem[:200])
        self._hand_over()


def strategy(task: Task, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """Celery asks for this once a connection; see `Task.Strategy`."""
    return Batches(consumer, task.name).take


def _bytes(body: Any) -> bytes:
    """A body as it may be handed on. One that is no text is no event either; it will be refused and kept."""
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body, default=repr)).encode("utf-8", "replace")


def _tell_flower(events: Any, name: str, batch: list[tuple[Letter, Any]]) -> Callable[[], None]:
    """Show a batch in Flower as one task, under the id of its first message."""
    if not (events and events.enabled):
        return lambda: None
    id_ = batch[0][0].id
    arguments = json.dumps([letter.id for letter, _ in batch[:20]])
    events.send("task-received", uuid=id_, name=name, args=arguments, kwargs="{}", retries=0, eta=None, expires=None)
    events.send("task-started", uuid=id_)
    return lambda: events.send("task-succeeded", uuid=id_, result=f"{len(batch)} messages", runtime=0.0)
