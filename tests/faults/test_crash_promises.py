"""What is promised about crashes: an end after three, and at most 65 seconds with the settings that are shipped."""

from __future__ import annotations

import time
from collections import Counter

import psycopg
import pytest

from config.settings import Settings
from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SLOW = Reply(wait=8.0)  # seconds: longer than it takes to kill somebody, shorter than a webhook's deadline
ACCEPTING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%decided AS%%'"


def test_the_third_crash_with_a_delivery_makes_it_a_dead_letter(site: Installation, receiver: HttpReceiver) -> None:
    # One: several that died together twice are taken one by one the third time, and the innocent get through.
    published = numbered("killed.thrice", range(1))
    receiver.script("/slow", SLOW)
    site.set_up(webhooks={"slow": {"url": f"{receiver.url}/slow"}})
    site.publish(published)
    for crash in (1, 2, 3):
        worker = site.start_worker(f"worker{crash}", processes=1)
        wait_until(lambda: len(receiver.received) == crash * len(published), "all to arrive once more", 30)  # noqa: B023
        worker.kill_all()
    site.start_worker()
    site.wait_until_settled(len(published), 30)
    for delivery in check_invariants(site, receiver, published):
        assert (delivery["status"], delivery["reason"]) == ("dead_letter", "worker_lost")
        assert delivery["outcomes"] == ["lost", "lost", "lost"]


def test_with_the_shipped_settings_what_a_killed_worker_held_is_taken_over_within_65_seconds(
    servers: Servers, receiver: HttpReceiver
) -> None:
    held, in_hand = numbered("killed.shipped", range(5)), numbered("killed.unconfirmed", range(5))
    receiver.script("/slow", SLOW, Reply(), each=True)
    shipped = {name: str(Settings.model_fields[name.lower()].default) for name in ("LEASE_SECONDS", "SWEEP_INTERVAL")}
    with servers.install(**shipped) as site:
        site.set_up(webhooks={"slow": {"url": f"{receiver.url}/slow"}})
        first = site.start_worker("first")
        site.publish(held)
        wait_until(lambda: len(receiver.received) == len(held), "all to arrive")
        with psycopg.connect(site.database_url) as blocking:
            # Events that a child stores right now: the broker has handed them out and nobody has confirmed them.
            blocking.execute("LOCK TABLE issues IN EXCLUSIVE MODE")
            site.publish(in_hand)
            wait_until(lambda: site.value(ACCEPTING), "a child to store events")
            first.kill_all()
        died = time.monotonic()
        site.start_worker("second")
        wait_until(lambda: came_twice(receiver) == len(held), "what the dead worker held", 65)
        assert time.monotonic() - died < 65
        site.wait_until_settled(len(held + in_hand), 40)
        check_invariants(site, receiver, held + in_hand)


def came_twice(receiver: HttpReceiver) -> int:
    """How many deliveries arrived more than once."""
    return sum(times > 1 for times in Counter(received.key for received in list(receiver.received)).values())
