"""The slots of a bulkhead that all workers share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from pipeline.bulkhead import Slots, give_back_slots, make_slots, take_slots


@pytest.fixture
def slots(world: Any) -> Any:
    """Five slots for email."""
    with world.begin() as connection:
        make_slots(connection, "email", 5)
    return world


def take(world: Any, most: int = 5, lease: float = 30.0) -> Slots:
    with world.begin() as connection:
        return take_slots(connection, "email", most, lease)


def give_back(world: Any, held: Slots, count: int) -> Slots:
    with world.begin() as connection:
        return give_back_slots(connection, "email", held, count)


@pytest.mark.mission("A-25")
def test_all_workers_together_hold_no_more_than_the_slots_there_are(slots: Any) -> None:
    ready = Barrier(6)

    def work(_: int) -> tuple[int, ...]:
        ready.wait(10)
        return take(slots).numbers

    with ThreadPoolExecutor(6) as workers:
        numbers = [number for held in workers.map(work, range(6)) for number in held]
    assert sorted(numbers) == [1, 2, 3, 4, 5]


@pytest.mark.mission("A-25")
def test_a_slot_that_was_given_back_can_be_taken(slots: Any) -> None:
    held = take(slots)
    kept = give_back(slots, held, 2)
    assert len(kept.numbers) == 3
    assert set(take(slots).numbers) == set(held.numbers) - set(kept.numbers)


def test_giving_all_back_leaves_none(slots: Any) -> None:
    assert give_back(slots, take(slots), 5).numbers == ()
    assert len(take(slots).numbers) == 5


@pytest.mark.mission("A-25")
def test_the_slots_of_a_worker_that_died_fall_free_with_its_lease(slots: Any) -> None:
    take(slots)
    assert take(slots).numbers == ()
    slots.execute("UPDATE bulkhead_slots SET held_until = now() - interval '1 second'")
    assert len(take(slots).numbers) == 5


def test_who_lost_his_slots_gives_back_nobody_elses(slots: Any) -> None:
    lost = take(slots)
    slots.execute("UPDATE bulkhead_slots SET held_until = now() - interval '1 second'")
    take(slots)
    give_back(slots, lost, 5)
    assert take(slots).numbers == ()


def test_fewer_slots_than_before_leave_the_others_unused(slots: Any) -> None:
    assert sorted(take(slots, most=2).numbers) == [1, 2]


def test_slots_are_made_once(slots: Any) -> None:
    with slots.begin() as connection:
        make_slots(connection, "email", 5)
    assert len(slots.execute("SELECT FROM bulkhead_slots")) == 5


def test_every_channel_has_slots_of_its_own(slots: Any) -> None:
    with slots.begin() as connection:
        make_slots(connection, "telegram", 1)
    take(slots)
    with slots.begin() as connection:
        assert take_slots(connection, "telegram", 1, 30.0).numbers == (1,)
