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

from celery import Task
from celery.utils.log import get_logger

from domain.errors import InvalidInputError
from pipeline.envelope import MOST_BODY_BYTES, loads

logger = get_logger(__name__)

MOST_LETTERS = 500
MOST_BYTES = 256 * 1024  # of a batch: about a thousand events; a single larger message goes alone
# Seconds between two batches while messages keep coming. Each costs some milliseconds whatever it carries, so at a high
# rate this trades 10 ms of latency for half of the CPU; a message after a pause is handed over at once.
PACE = 0.010
RETRY_AFTER = 0.5  # seconds; the database was away
MOST_RETRY_AFTER = 5.0


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


def publish_batch(letters: Sequence[tuple[str, bytes]]) -> None:
    """What a pool process does with a batch."""
    from tasks.publish import publish_letters

    publish_letters([Letter(id_, body) for id_, body in letters])


class Batches:
    """The batches of one consumer, in the worker's main process. Everything runs on its event loop."""

    def __init__(self, consumer: Any, task_name: str) -> None:
        self._consumer = consumer
        self._name = task_name
        self._waiting: list[tuple[Letter, Any]] = []
        self._under_way = 0
        self._failures = 0
        self._paused = False
        self._next_at = 0.0
        # Half of the pool at most, so that deliveries are made while events pour in.
        self._most_under_way = max(1, (consumer.pool.num_processes or 1) // 2)

    def take(self, message: Any, *_: Any, **__: Any) -> None:
        """A message came: send it on at once if no batch is under way, else with the next."""
        body = message.body
        letter = Letter(
            str(message.headers.get("id") or message.delivery_tag), body.encode() if isinstance(body, str) else body
        )
        self._waiting.append((letter, message))
        self._hand_over()

    def _hand_over(self) -> None:
        while self._waiting and self._under_way < self._most_under_way and not self._paused:
            early = self._next_at - monotonic()
            if early > 0 and len(self._waiting) < MOST_LETTERS:
                self._paused = True
                self._consumer.timer.call_after(early, self._again)
                return
            self._next_at = monotonic() + PACE
            batch = self._cut()
            self._under_way += 1
            started = _tell_flower(self._consumer.event_dispatcher, self._name, batch)
            self._consumer.pool.apply_async(
                publish_batch,
                ([(letter.id, letter.body) for letter, _ in batch],),
                callback=lambda _, batch=batch, started=started: self._done(batch, started),
                error_callback=lambda error, batch=batch: self._failed(batch, error),
            )

    def _cut(self) -> list[tuple[Letter, Any]]:
        size = taken = 0
        for letter, _ in self._waiting[:MOST_LETTERS]:
            size += len(letter.body)
            if taken and size > MOST_BYTES:
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    def _done(self, batch: list[tuple[Letter, Any]], started: Callable[[], None]) -> None:
        self._under_way -= 1
        self._failures = 0
        for _, message in batch:
            message.ack_log_error(logger, self._consumer.connection_errors)
        started()
        self._hand_over()

    def _failed(self, batch: list[tuple[Letter, Any]], error: Any) -> None:
        """Nothing of it was stored, or nobody knows: again, first; what was stored is recognised by its ids."""
        self._under_way -= 1
        self._failures += 1
        self._paused = True
        self._waiting = batch + self._waiting
        wait = min(RETRY_AFTER * 2 ** (self._failures - 1), MOST_RETRY_AFTER)
        logger.warning("publish batch of %d messages again in %.1f s: %s", len(batch), wait, _kind(error))
        self._consumer.timer.call_after(wait, self._again)

    def _again(self) -> None:
        self._paused = False
        self._hand_over()


def strategy(task: Task, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """Celery asks for this once a connection; see `Task.Strategy`."""
    return Batches(consumer, task.name).take


def _kind(error: Any) -> str:
    return type(getattr(error, "exception", error)).__name__


def _tell_flower(events: Any, name: str, batch: list[tuple[Letter, Any]]) -> Callable[[], None]:
    """Show a batch in Flower as one task, under the id of its first message."""
    if not (events and events.enabled):
        return lambda: None
    id_ = batch[0][0].id
    arguments = json.dumps([letter.id for letter, _ in batch[:20]])
    events.send("task-received", uuid=id_, name=name, args=arguments, kwargs="{}", retries=0, eta=None, expires=None)
    events.send("task-started", uuid=id_)
    return lambda: events.send("task-succeeded", uuid=id_, result=f"{len(batch)} messages", runtime=0.0)
