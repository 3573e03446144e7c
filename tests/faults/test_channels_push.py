"""Push services that say goodbye in the middle: what they had not taken goes over another connection, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.accounts import ROUTES, accounts
from tests.support.installation import TENANT
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.script import Reply
from workers.receivers.together import Receivers

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240), pytest.mark.mission("C-7", "E-12")]

USERS, DEVICES = 25, 20  # as many as a user may have
FEW = 5  # that may meet one connection too many that ends


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Where everything arrives."""
    with Receivers() as running:
        yield running


def test_a_goodbye_in_the_middle_of_five_hundred_pushes_loses_and_doubles_none(
    servers: Servers, receivers: Receivers
) -> None:
    tokens = [f"{number:064x}" for number in range(1, USERS * DEVICES + 1)]
    owners = [f"user{number}" for number in range(USERS)]
    devices = {
        owner: [{"platform": "ios", "token": one} for one in tokens[place::USERS]] for place, owner in enumerate(owners)
    }
    published = [{"type": "by.push", "tenant": TENANT, "recipients": owners, "data": {"n": 0}}]
    apns = receivers.apns
    apns.script("*", Reply(wait=0.1))  # so that some are under way whenever it says goodbye
    # Two, because what has met three of them is left to a retry.
    apns.goodbyes.add(tokens[len(tokens) // 2])
    with servers.install(**accounts(receivers, LEASE_SECONDS="14")) as site:
        site.set_up(users={owner: {} for owner in owners}, devices=devices, routes=ROUTES)
        site.start_worker()
        site.publish(published)
        wait_until(lambda: len(apns.received) >= len(tokens) // 3, lambda: f"pushes: {site.standing()}")
        apns.say_goodbye()
        site.wait_until_settled(len(published), 40)
        deliveries = check_invariants(site, receivers.webhook, published, carried=(apns,), duplicates=False)
        failed = site.rows("SELECT detail FROM attempts WHERE outcome <> 'sent'")
    assert not apns.goodbyes
    assert sorted(one.target for one in apns.received if one.accepted) == tokens
    assert {one["status"] for one in deliveries} == {"sent"}
    assert not any("unknown" in one["outcomes"] for one in deliveries), failed
    assert len(failed) <= FEW, failed
