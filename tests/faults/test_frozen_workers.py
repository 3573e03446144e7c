"""Workers that stop for longer than their lease and go on as if nothing had happened: they change nothing any more."""

from __future__ import annotations

import json
import random
from typing import Any

import psutil
import psycopg
import pytest

from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.process import Process
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

ACCEPTING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%decided AS%%'"
HOLDING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%%decided AS%%'"

CLAIMED = "SELECT EXISTS (SELECT FROM deliveries WHERE status = 'processing')"
NOT_NOW = Reply(429, headers={"Retry-After": "1"})
TRIES = 5

pytestmark = [pytest.mark.faults, pytest.mark.mission("A-26")]


def test_a_worker_that_wakes_after_its_lease_settles_nothing_that_another_holds(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("frozen.sending", range(chance.randint(3, 9)))
    # The frozen one is told that all is well, the other one that nobody wants it; whose word counts shows in the end.
    receiver.script("/soon", Reply(wait=2.0), Reply(410, wait=6.0), each=True)
    site.set_up(webhooks={"soon": {"url": f"{receiver.url}/soon"}})
    first = site.start_worker("first")
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    first.freeze()
    site.start_worker("second")
    wait_until(lambda: len(receiver.received) == 2 * len(published), "the other worker to send", 30)
    first.thaw()
    wait_until(lambda: given_up(first) == len(published), "the frozen worker to be told that it is too late", 5)
    assert {delivery["status"] for delivery in site.deliveries()} == {"processing"}
    site.wait_until_settled(len(published))
    deliveries = check_invariants(site, receiver, published)
    assert [delivery["outcomes"] for delivery in deliveries] == [["lost", "refused"]] * len(published)


def test_a_worker_that_wakes_after_its_lease_sends_nothing_that_it_had_claimed(
    site: Installation, servers: Servers, receiver: HttpReceiver
) -> None:
    receiver.script("/later", NOT_NOW, Reply(), each=True)
    site.set_up(webhooks={"later": {"url": f"{receiver.url}/later"}})
    first = site.start_worker("first", processes=1)
    (child,) = first.children()
    published: list[dict[str, Any]] = []
    for number in range(TRIES):
        published += numbered("frozen.claimed", [number])
        if frozen_between_claim_and_send(site, servers, receiver, child, published):
            break
        site.wait_until_settled(len(published))
    else:
        raise AssertionError("the worker was never caught between its claim and its send")
    site.start_worker("second")
    site.wait_until_settled(len(published), 40)
    child.resume()
    wait_until(lambda: given_up(first) == 1, "the frozen worker to give up what it had claimed")
    check_invariants(site, receiver, published)
    assert set(receiver.times_accepted().values()) == {1}


def test_a_worker_that_freezes_inside_a_transaction_holds_up_no_other(
    site: Installation, receiver: HttpReceiver
) -> None:
    published = numbered("frozen.storing", range(5))
    site.set_up(webhooks={"all": {"url": f"{receiver.url}/all"}})
    first = site.start_worker("first", processes=1)
    with psycopg.connect(site.database_url) as blocking:
        blocking.execute("LOCK TABLE issues IN EXCLUSIVE MODE")
        site.publish(published)
        wait_until(lambda: site.value(ACCEPTING), "the worker to store events")
        first.freeze()
        blocking.rollback()
    wait_until(lambda: site.value(HOLDING), "the frozen worker to hold locks")
    site.start_worker("second")
    site.publish(published)
    site.wait_until_settled(len(published))
    first.thaw()
    site.wait_until_settled(2 * len(published))
    check_invariants(site, receiver, published, duplicates=False)


def frozen_between_claim_and_send(
    site: Installation, servers: Servers, receiver: HttpReceiver, child: psutil.Process, published: list[dict[str, Any]]
) -> bool:
    """Publish the last event and freeze the process when it has claimed its second attempt; whether it sent nothing.

    Between the two it asks the breakers, and a frozen Redis makes it wait a quarter of a second for them.
    """
    site.publish(published[-1])
    wait_until(lambda: site.deliveries(status="failed"), "the first attempt to be refused for now")
    before = len(receiver.received)
    servers.valkey.freeze()
    try:
        with psycopg.connect(site.database_url, autocommit=True) as connection:
            wait_until(lambda: connection.execute(CLAIMED).fetchone() == (True,), "the second attempt to be claimed")
            child.suspend()
    finally:
        servers.valkey.thaw()
    if len(receiver.received) == before:
        return True
    child.resume()
    return False


def given_up(worker: Process) -> int:
    """How many deliveries a worker could not settle, because another one had taken them."""
    said = (json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{"))
    return sum(one["deliveries"] for one in said if one["event"] == "lease_lost")
