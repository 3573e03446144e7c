"""`kill -9` of workers at every moment of a delivery: what they held is taken over, nothing is done twice unseen."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.stalled import StalledPort
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

pytestmark = [pytest.mark.faults, pytest.mark.mission("A-26")]

SLOW = Reply(wait=8.0)  # seconds: longer than it takes to kill somebody, shorter than a webhook's deadline
SETTLING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%settled AS%%'"
ACCEPTING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%decided AS%%'"


def test_a_worker_that_dies_before_the_send_leaves_nothing_sent_and_another_sends(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("killed.before", range(chance.randint(3, 9)))
    with StalledPort() as nobody:
        site.set_up(webhooks={"all": {"url": nobody.url}})
        first = site.start_worker("first")
        site.publish(published)
        site.wait_until_processing(len(published))
        time.sleep(chance.uniform(0.0, 1.0))
        first.kill_all()
    site.lead("all", receiver.url)
    site.start_worker("second")
    site.wait_until_settled(len(published), 30)
    deliveries = check_invariants(site, receiver, published)
    assert [delivery["outcomes"] for delivery in deliveries] == [["lost", "sent"]] * len(published)
    assert set(receiver.times_accepted().values()) == {1}


def test_a_worker_that_dies_between_bytes_and_answer_is_recorded_as_lost_and_another_sends_again(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("killed.between", range(chance.randint(3, 9)))
    receiver.script("/slow", SLOW, Reply(), each=True)
    site.set_up(webhooks={"slow": {"url": f"{receiver.url}/slow"}})
    first = site.start_worker("first")
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    time.sleep(chance.uniform(0.0, 1.0))
    first.kill_all()
    site.start_worker("second")
    site.wait_until_settled(len(published), 30)
    deliveries = check_invariants(site, receiver, published)
    assert [delivery["outcomes"] for delivery in deliveries] == [["lost", "sent"]] * len(published)
    assert set(receiver.times_accepted().values()) == {2}


def test_a_worker_that_dies_between_answer_and_settle_has_settled_nothing(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("killed.settling", range(chance.randint(1, 9)))
    receiver.script("/soon", Reply(wait=2.0), Reply(), each=True)
    site.set_up(webhooks={"soon": {"url": f"{receiver.url}/soon"}})
    first = site.start_worker("first")
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    with deliveries_locked(site) as locked:
        assert locked == {"processing"}
        wait_until(lambda: site.value(SETTLING), "the worker to settle")
        first.kill_all()
    site.start_worker("second")
    site.wait_until_settled(len(published), 30)
    deliveries = check_invariants(site, receiver, published)
    assert [delivery["outcomes"] for delivery in deliveries] == [["lost", "sent"]] * len(published)


def test_a_pool_child_that_dies_alone_is_replaced_and_what_it_held_is_sent_again(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("killed.child", range(chance.randint(3, 9)))
    receiver.script("/slow", SLOW, Reply(), each=True)
    site.set_up(webhooks={"slow": {"url": f"{receiver.url}/slow"}})
    worker = site.start_worker(processes=1)
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    (child,) = worker.children()
    child.kill()
    site.wait_until_settled(len(published), 30)
    deliveries = check_invariants(site, receiver, published)
    assert [delivery["outcomes"] for delivery in deliveries] == [["lost", "sent"]] * len(published)
    assert [one.pid for one in worker.children()] != [child.pid]


def test_a_main_process_that_dies_takes_its_pool_children_along(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("killed.main", range(chance.randint(3, 9)))
    receiver.script("/slow", SLOW, Reply(), each=True)
    site.set_up(webhooks={"slow": {"url": f"{receiver.url}/slow"}})
    first = site.start_worker("first")
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    children = first.children()
    first.kill()
    wait_until(lambda: not any(child.is_running() for child in children), "the children to be gone", 2)
    site.start_worker("second")
    site.wait_until_settled(len(published), 30)
    check_invariants(site, receiver, published)


def test_a_worker_that_is_asked_to_end_first_finishes_what_it_holds(site: Installation, receiver: HttpReceiver) -> None:
    published = numbered("ended", range(5))
    receiver.script("/slow", Reply(wait=6.0))
    site.set_up(webhooks={"slow": {"url": f"{receiver.url}/slow"}})
    worker = site.start_worker()
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    worker.end()
    assert worker.code == 0
    site.wait_until_settled(len(published), 0)
    check_invariants(site, receiver, published, duplicates=False)


def test_a_pool_child_that_dies_while_it_stores_events_loses_and_doubles_none(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("killed.storing", range(chance.randint(20, 60)))
    site.set_up(webhooks={"all": {"url": receiver.url}})
    worker = site.start_worker(processes=1)
    with psycopg.connect(site.database_url) as blocking:
        blocking.execute("LOCK TABLE issues IN EXCLUSIVE MODE")
        for event in published:
            site.publish(event)
        wait_until(lambda: site.value(ACCEPTING), "the child to store events")
        (child,) = worker.children()
        child.kill()
        blocking.rollback()
    site.wait_until_settled(len(published), 40)
    check_invariants(site, receiver, published, duplicates=False)


@contextmanager
def deliveries_locked(site: Installation) -> Iterator[set[str]]:
    """Nobody can change a delivery while the block lasts; gives the statuses that they have."""
    with psycopg.connect(site.database_url) as connection:
        rows = connection.execute("SELECT status FROM deliveries FOR UPDATE").fetchall()
        yield {row[0] for row in rows}
        connection.rollback()
