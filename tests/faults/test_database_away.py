"""The database stops in the middle of everything and comes back: what was committed is all there is, and enough."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.process import Process
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

pytestmark = [pytest.mark.faults, pytest.mark.mission("D-42")]

NOT_NOW = Reply(429, headers={"Retry-After": "1"})


def shut_down_at_once(servers: Servers) -> None:
    """What an operator's impatience or a failing machine does; every transaction under way is lost."""
    servers.stop_postgres()


def kill(servers: Servers) -> None:
    """`kill -9` of the server and all of its processes."""
    servers.postgres.kill_all()


HARM = pytest.mark.parametrize("harm", [shut_down_at_once, kill])


@HARM
def test_a_database_that_stops_while_events_pour_in_loses_and_doubles_none(
    site: Installation, servers: Servers, receiver: HttpReceiver, chance: random.Random, harm: Callable[[Servers], None]
) -> None:
    published = numbered("database.publish", range(1500))
    site.set_up(webhooks={"all": {"url": f"{receiver.url}/all"}})
    site.start_worker()
    for start in range(0, len(published), 3):
        site.publish(published[start : start + 3])
    wait_until(lambda: receiver.received, "the first to arrive")
    time.sleep(chance.uniform(0.0, 0.3))
    harm(servers)
    time.sleep(chance.uniform(0.5, 2.0))
    servers.start_postgres()
    site.wait_until_settled(len(published), 60)
    check_invariants(site, receiver, published)


@HARM
def test_what_was_sent_while_the_database_was_away_is_settled_when_it_is_back(
    servers: Servers, receiver: HttpReceiver, chance: random.Random, harm: Callable[[Servers], None]
) -> None:
    published = numbered("database.settle", range(chance.randint(20, 60)))
    receiver.script("/soon", Reply(wait=1.0))
    with servers.install(LEASE_SECONDS="50") as site:  # longer than any recovery of the database
        site.set_up(webhooks={"soon": {"url": f"{receiver.url}/soon"}})
        site.start_worker()
        site.publish(published)
        wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
        harm(servers)
        time.sleep(chance.uniform(2.0, 4.0))
        servers.start_postgres()
        site.wait_until_settled(len(published))
        deliveries = check_invariants(site, receiver, published, duplicates=False)
        assert {tuple(delivery["outcomes"]) for delivery in deliveries} == {("sent",)}


def test_a_database_that_restarts_again_and_again_only_costs_time(
    site: Installation, servers: Servers, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("database.again", range(250))
    receiver.script("/twice", NOT_NOW, Reply(wait=0.3), each=True)
    site.set_up(webhooks={"twice": {"url": f"{receiver.url}/twice"}})
    worker = site.start_worker()
    for start in range(0, len(published), 50):
        site.publish(published[start : start + 50])
        time.sleep(chance.uniform(0.0, 0.5))
        chance.choice([shut_down_at_once, kill])(servers)
        noticed = times_away(worker)
        for _ in range(10):  # bells for every child, while there is nothing to claim from
            site.ring("webhook")
        wait_until(lambda: times_away(worker) > noticed, "the lines to notice")  # noqa: B023
        servers.start_postgres()
    site.wait_until_settled(len(published), 60)
    check_invariants(site, receiver, published)


def test_statements_that_an_administrator_ends_stop_no_line(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("database.ended", range(chance.randint(20, 60)))
    receiver.script("/soon", Reply(wait=2.0))
    site.set_up(webhooks={"soon": {"url": f"{receiver.url}/soon"}})
    site.start_worker(processes=1)
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    with psycopg.connect(site.database_url) as blocking:
        blocking.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
        site.ring("webhook")
        for what in (CLAIMING, SETTLING):
            wait_until(lambda: site.value(WAITING, what=what), what)  # noqa: B023
            site.value(END, what=what)
        blocking.rollback()
    published += numbered("database.after", [0])
    site.publish(published[-1])
    site.wait_until_settled(len(published))
    check_invariants(site, receiver, published, duplicates=False)


CLAIMING, SETTLING = "%picked_3%", "%settled AS%"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %(what)s"
END = f"SELECT count(pg_terminate_backend(pid)) FROM ({WAITING.replace('count(*)', 'pid')}) AS waiting"


def times_away(worker: Process) -> int:
    """How often a line of a worker has noticed that the database is away."""
    said = worker.log.read_text().splitlines()
    return sum('"database_away"' in line and '"channel"' in line for line in said)
