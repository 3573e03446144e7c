"""The database stops in the middle of everything and comes back: what was committed is all there is, and enough."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
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
    published = numbered("database.again", range(300))
    receiver.script("/twice", NOT_NOW, Reply(wait=0.3), each=True)
    site.set_up(webhooks={"twice": {"url": f"{receiver.url}/twice"}})
    site.start_worker()
    for start in range(0, len(published), 50):
        site.publish(published[start : start + 50])
        time.sleep(chance.uniform(0.0, 0.5))
        chance.choice([shut_down_at_once, kill])(servers)
        servers.start_postgres()
    site.wait_until_settled(len(published), 60)
    check_invariants(site, receiver, published)


def test_a_statement_that_was_killed_by_hand_stops_no_line(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("database.terminated", range(chance.randint(20, 60)))
    receiver.script("/soon", Reply(wait=0.5))
    site.set_up(webhooks={"soon": {"url": f"{receiver.url}/soon"}})
    site.start_worker()
    site.publish(published)
    with psycopg.connect(site.database_url, autocommit=True) as administrator:
        for _ in range(20):
            administrator.execute("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'bellwire'
            """)
            time.sleep(chance.uniform(0.0, 0.1))
    site.wait_until_settled(len(published), 40)
    check_invariants(site, receiver, published)
