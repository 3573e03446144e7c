"""The queues, exchanges and the beat schedule of ``config/queue.yaml`` as typed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from config.fields import Fields, check_list, check_text, check_word
from config.settings import Settings
from domain.errors import InvalidInputError
from domain.vocabulary import CHANNELS

SHIPPED: Final = Path(__file__).with_name("queue.yaml")

_CHANNEL: Final = "{channel}"
_EXCHANGE_TYPES: Final = ("topic", "direct", "fanout")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """A queue, the names of the tasks that it carries, and the group of workers that serves it."""

    name: str
    tasks: tuple[str, ...]
    group: str


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """An exchange for others, and our own durable queue on it. `binding` is the pattern of routing keys it takes."""

    name: str
    type: str
    queue: str
    binding: str


@dataclass(frozen=True, slots=True)
class BeatConfig:
    """What beat rings. `every` is in seconds."""

    name: str
    task: str
    queue: str
    every: float


@dataclass(frozen=True, slots=True)
class _Document:
    queues: tuple[QueueConfig, ...]
    exchanges: Mapping[str, ExchangeConfig]
    beat: Mapping[str, tuple[str, object]]


def queues(channels: Iterable[str] = CHANNELS) -> tuple[QueueConfig, ...]:
    """Every queue in the order of the file, with one for each of `channels` where the file says ``{channel}``."""
    names = tuple(channels)
    return tuple(queue for template in _shipped().queues for queue in _for_channels(template, names))


def task_queues(channels: Iterable[str] = CHANNELS) -> dict[str, str]:
    """The queue of each task, by the task's name."""
    return {task: queue.name for queue in queues(channels) for task in queue.tasks}


def deliver_queue(channel: str) -> str:
    """The queue on which `channel` is rung: ``deliver.email``."""
    return task_queues((channel,))[deliver_task(channel)]


def deliver_task(channel: str) -> str:
    """The name of the task that empties `channel`: ``bellwire.deliver.email``."""
    return f"bellwire.deliver.{channel}"


def worker_groups(channels: Iterable[str] = CHANNELS) -> dict[str, tuple[str, ...]]:
    """The queues of each group of workers, by the group's name."""
    groups: dict[str, tuple[str, ...]] = {}
    for queue in queues(channels):
        groups[queue.group] = (*groups.get(queue.group, ()), queue.name)
    return groups


def events_exchange() -> ExchangeConfig:
    """Where plain JSON events come in."""
    return _shipped().exchanges["events"]


def dead_letter_exchange() -> ExchangeConfig:
    """Where dead letters are told to whoever watches."""
    return _shipped().exchanges["dead_letter"]


def beat_schedule(settings: Settings) -> tuple[BeatConfig, ...]:
    """What beat rings and how often."""
    owner = task_queues()
    entries = _shipped().beat.items()
    return tuple(BeatConfig(name, task, owner[task], _seconds(every, settings)) for name, (task, every) in entries)


def parse_queues(document: object) -> _Document:
    """The whole document, checked.

    Raises:
        InvalidInputError: naming the field: ``queues.ingest.tasks[1]``.
    """
    fields = Fields(document, "", ("exchanges", "queues", "beat"))
    configured = tuple(_queue(name, body) for name, body in _entries(fields, "queues"))
    exchanges = {name: _exchange(name, body) for name, body in _entries(fields, "exchanges")}
    for needed in ("events", "dead_letter"):
        if needed not in exchanges:
            raise InvalidInputError(f"exchanges.{needed}", "is missing")
    tasks = {task for queue in configured for task in queue.tasks}
    beat = {name: _ring(name, body, tasks) for name, body in _entries(fields, "beat")}
    return _Document(configured, exchanges, beat)


@cache
def _shipped() -> _Document:
    return parse_queues(yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))


def _entries(fields: Fields, name: str) -> list[tuple[str, Any]]:
    body = fields.required(name)
    if not isinstance(body, Mapping):
        raise InvalidInputError(name, "must be an object with named fields")
    return [(check_text(key, name), entry) for key, entry in body.items()]


def _queue(name: str, body: object) -> QueueConfig:
    fields = Fields(body, f"queues.{name}", ("group", "tasks"))
    listed = check_list(fields.required("tasks"), fields.place("tasks"))
    tasks = tuple(check_text(task, at) for at, task in listed)
    for at, task in check_list(tasks, fields.place("tasks")):
        if (_CHANNEL in str(task)) != (_CHANNEL in name):
            raise InvalidInputError(at, f"must name {_CHANNEL} just as its queue does")
    return QueueConfig(name, tasks, check_text(fields.required("group"), fields.place("group")))


def _exchange(name: str, body: object) -> ExchangeConfig:
    fields = Fields(body, f"exchanges.{name}", ("name", "type", "queue", "binding"))
    return ExchangeConfig(
        name=check_text(fields.required("name"), fields.place("name")),
        type=check_word(fields.required("type"), fields.place("type"), _EXCHANGE_TYPES),
        queue=check_text(fields.required("queue"), fields.place("queue")),
        binding=check_text(fields.required("binding"), fields.place("binding")),
    )


def _ring(name: str, body: object, tasks: set[str]) -> tuple[str, object]:
    fields = Fields(body, f"beat.{name}", ("task", "every"))
    task = check_word(fields.required("task"), fields.place("task"), sorted(tasks))
    every = fields.required("every")
    number = isinstance(every, int | float) and not isinstance(every, bool) and every > 0
    if not number and every not in Settings.model_fields:
        raise InvalidInputError(fields.place("every"), "must be a number of seconds or the name of a setting")
    return task, every


def _seconds(every: object, settings: Settings) -> float:
    return float(getattr(settings, every) if isinstance(every, str) else every)  # type: ignore[arg-type]


def _for_channels(queue: QueueConfig, channels: tuple[str, ...]) -> Iterable[QueueConfig]:
    if _CHANNEL not in queue.name:
        return (queue,)
    return (
        QueueConfig(
            name=queue.name.replace(_CHANNEL, channel),
            tasks=tuple(task.replace(_CHANNEL, channel) for task in queue.tasks),
            group=queue.group,
        )
        for channel in channels
    )
