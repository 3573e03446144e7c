"""Workers that stop for longer than their lease and go on as if nothing had happened: they change nothing any more."""

from __future__ import annotations

import random

import pytest

from tasks.ways import PER_WAY
from tests.support.installation import Installation, numbered
from tests.support.invariants import check_invariants
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Reply

pytestmark = [pytest.mark.faults, pytest.mark.mission("A-26")]


def test_a_worker_that_wakes_after_its_lease_settles_nothing_that_another_has_taken(
    site: Installation, receiver: HttpReceiver, chance: random.Random
) -> None:
    published = numbered("frozen.sending", range(chance.randint(3, 9)))
    receiver.script("/soon", Reply(wait=2.0), Reply(), each=True)
    site.set_up(webhooks={"soon": {"url": f"{receiver.url}/soon"}})
    first = site.start_worker("first")
    site.publish(published)
    wait_until(lambda: len(receiver.received) == len(published), "all to arrive")
    first.freeze()
    site.start_worker("second")
    site.wait_until_settled(len(published), 30)
    settled = site.deliveries()
    first.thaw()
    wait_until(lambda: "lease_lost" in first.log.read_text(), "the frozen worker to be told that it is too late")
    assert site.deliveries() == settled
    deliveries = check_invariants(site, receiver, published)
    assert [delivery["outcomes"] for delivery in deliveries] == [["lost", "sent"]] * len(published)


def test_a_worker_that_wakes_after_its_lease_sends_nothing_of_what_waited_for_its_turn(
    site: Installation, receiver: HttpReceiver
) -> None:
    published = numbered("frozen.waiting", range(PER_WAY + 30))
    receiver.script("/soon", Reply(wait=2.0), Reply(), each=True)
    site.set_up(webhooks={"soon": {"url": f"{receiver.url}/soon"}})
    first = site.start_worker("first", processes=1)
    site.publish(published)
    wait_until(lambda: len(receiver.received) == PER_WAY, "as many to arrive as may be under way")
    first.freeze()
    under_way = {received.key for received in receiver.received}
    assert len(under_way) == PER_WAY, "more were sent than one way gets at a time"
    site.start_worker("second")
    site.wait_until_settled(len(published), 30)
    first.thaw()
    wait_until(lambda: first.log.read_text().count("lease_lost") >= 2, "the frozen worker to give up what waited")
    check_invariants(site, receiver, published)
    accepted = receiver.times_accepted()
    assert {accepted[key] for key in accepted if key not in under_way} == {1}
