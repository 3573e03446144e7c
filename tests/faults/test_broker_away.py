"""The broker is a doorbell: killed, emptied or frozen, it costs time and nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

pytestmark = [pytest.mark.faults, pytest.mark.mission("D-4")]

FROZEN_FOR = 30.0  # seconds
NOT_NOW = Reply(429, headers={"Retry-After": "1"})  # a failure that opens no breaker
STORED = "SELECT count(*) = %(count)s FROM events"


def kill(servers: Servers) -> None:
    """It comes back at once, with nothing in it."""
    servers.valkey.kill()
    servers.start_valkey()


def empty(servers: Servers) -> None:
    """Every queue and every list of what is unconfirmed is gone."""
    servers.empty_valkey()


@pytest.mark.parametrize("harm", [kill, empty])
def test_what_was_stored_is_delivered_although_the_broker_forgot_everything(
    site: Installation,
    servers: Servers,
    receiver: HttpReceiver,
    chance: random.Random,
    harm: Callable[[Servers], None],
) -> None:
    first, second = numbered("forgotten.before", range(chance.randint(20, 60))), numbered("forgotten.after", range(20))
    receiver.script("/twice", NOT_NOW, Reply(wait=chance.uniform(0.1, 1.0)), each=True)
    site.set_up(webhooks={"twice": {"url": f"{receiver.url}/twice"}})
    site.start_worker()
    site.start_beat()
    site.publish(first)
    wait_until(lambda: site.value(STORED, count=len(first)), "all to be stored")
    time.sleep(chance.uniform(0.0, 1.5))
    harm(servers)
    site.wait_until_settled(len(first))
    site.publish(second)
    site.wait_until_settled(len(first) + len(second))
    check_invariants(site, receiver, first + second, duplicates=False)


def test_a_frozen_broker_holds_up_no_delivery_that_is_due(
    site: Installation, servers: Servers, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("frozen.broker", range(chance.randint(20, 60)))
    receiver.script("/later", NOT_NOW, NOT_NOW, Reply(), each=True)
    site.set_up(webhooks={"later": {"url": f"{receiver.url}/later"}})
    site.start_worker()
    site.publish(published)
    wait_until(lambda: len(receiver.received) >= len(published), "all to arrive once")
    servers.valkey.freeze()
    began = time.monotonic()
    site.wait_until_settled(len(published), FROZEN_FOR)
    time.sleep(max(0.0, FROZEN_FOR - (time.monotonic() - began)))
    servers.valkey.thaw()
    more = numbered("thawed.broker", range(5))
    site.publish(more)
    site.wait_until_settled(len(published) + len(more))
    check_invariants(site, receiver, published + more, duplicates=False)
