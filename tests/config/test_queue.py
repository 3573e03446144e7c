"""The queues: which there are, what they carry, who works on them, what beat rings."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from config.queue import (
    SHIPPED,
    beat_schedule,
    dead_letter_exchange,
    deliver_queue,
    deliver_task,
    events_exchange,
    parse_queues,
    queues,
    task_queues,
    worker_groups,
)
from config.settings import Settings
from domain.errors import InvalidInputError
from domain.vocabulary import CHANNELS


@pytest.mark.mission("D-44")
def test_every_channel_has_a_queue_of_its_own_beside_ingest_and_sweep() -> None:
    assert [queue.name for queue in queues()] == ["ingest", *(f"deliver.{channel}" for channel in CHANNELS), "sweep"]


def test_events_are_published_to_the_queue_that_the_contract_names() -> None:
    assert task_queues()["bellwire.publish"] == "ingest"


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_is_rung_on_its_own_queue(channel: str) -> None:
    assert (deliver_task(channel), deliver_queue(channel)) == (f"bellwire.deliver.{channel}", f"deliver.{channel}")
    assert task_queues()[deliver_task(channel)] == deliver_queue(channel)


def test_only_the_channels_asked_for_get_a_queue() -> None:
    assert [queue.name for queue in queues(["email"])] == ["ingest", "deliver.email", "sweep"]


def test_no_task_is_on_two_queues() -> None:
    tasks = [task for queue in queues() for task in queue.tasks]
    assert len(tasks) == len(set(tasks))


def test_the_groups_of_workers_serve_every_queue_once() -> None:
    groups = worker_groups(["email", "webhook"])
    assert groups == {"ingest": ("ingest",), "deliver": ("deliver.email", "deliver.webhook"), "sweep": ("sweep",)}


@pytest.mark.mission("B-12")
def test_dead_letters_are_told_on_the_exchange_that_the_contract_names() -> None:
    exchange = dead_letter_exchange()
    assert (exchange.name, exchange.queue) == ("bellwire.dead_letter", "bellwire.dead_letter")


def test_events_come_in_on_a_topic_exchange_whatever_their_type() -> None:
    exchange = events_exchange()
    assert (exchange.name, exchange.type, exchange.binding) == ("bellwire.events", "topic", "#")


@pytest.mark.parametrize("seconds", [0.5, 5.0, 60.0])
def test_beat_rings_the_sweep_as_often_as_the_setting_says(seconds: float) -> None:
    rings = {ring.name: (ring.task, ring.queue, ring.every) for ring in beat_schedule(Settings(sweep_interval=seconds))}
    assert rings == {
        "sweep": ("bellwire.sweep", "sweep", seconds),
        "digest": ("bellwire.digest", "sweep", 60),
    }


def test_beat_may_ring_every_so_many_seconds() -> None:
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    document["beat"]["sweep"]["every"] = 30
    assert parse_queues(document).beat["sweep"] == ("bellwire.sweep", 30)


@pytest.mark.parametrize(
    ("way", "value", "field"),
    [
        (["queues", "ingest", "tasks"], "bellwire.publish", "queues.ingest.tasks"),
        (["queues", "ingest", "tasks"], ["bellwire.{channel}"], "queues.ingest.tasks[0]"),
        (["queues", "deliver.{channel}", "tasks"], ["bellwire.deliver"], "queues.deliver.{channel}.tasks[0]"),
        (["queues", "sweep", "group"], None, "queues.sweep.group"),
        (["queues", "sweep", "colour"], "red", "queues.sweep.colour"),
        (["exchanges", "events", "type"], "headers", "exchanges.events.type"),
        (["exchanges", "dead_letter"], None, "exchanges.dead_letter"),
        (["beat", "sweep", "task"], "bellwire.swoop", "beat.sweep.task"),
        (["beat", "sweep", "every"], "now_and_then", "beat.sweep.every"),
        (["beat", "sweep", "every"], 0, "beat.sweep.every"),
        (["queues"], [], "queues"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_field(way: list[str], value: Any, field: str) -> None:
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    place = document
    for name in way[:-1]:
        place = place[name]
    place[way[-1]] = value
    with pytest.raises(InvalidInputError) as refused:
        parse_queues(document)
    assert refused.value.field == field
