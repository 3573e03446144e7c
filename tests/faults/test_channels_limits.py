"""Rate limits that several workers share, with Valkey and without: nothing is too fast, nothing is lost."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.accounts import ROUTES, accounts, texts
from tests.support.installation import Installation
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.together import Receivers

pytestmark = [pytest.mark.faults, pytest.mark.mission("E-45"), pytest.mark.timeout(240)]

RATE, PROCESSES = 20, 2  # a second
BESIDE = 2.0  # times the limit in one second: what was let through just before may arrive a little later
AWAY = 10.0  # seconds


@contextmanager
def limited(servers: Servers, receivers: Receivers, rate: int) -> Iterator[Installation]:
    """An installation that may send so many text messages a second."""
    with servers.install(**accounts(receivers, LEASE_SECONDS="14", RATE_LIMITS=f"twilio={rate}/1")) as site:
        site.set_up(routes=ROUTES)
        yield site


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Where everything arrives."""
    with Receivers() as running:
        yield running


def test_two_workers_together_are_no_faster_than_the_provider_allows(servers: Servers, receivers: Receivers) -> None:
    published = texts(140)
    with limited(servers, receivers, RATE) as site:
        site.start_worker("first")
        site.start_worker("second")
        for event in published:  # so that every process has something to do
            site.publish(event)
        site.wait_until_settled(len(published), 60)
        deliveries = check_invariants(site, receivers.webhook, published, carried=(receivers.lab,), duplicates=False)
    assert {(one["status"], one["failures"], *one["outcomes"]) for one in deliveries} == {("sent", 0, "sent")}
    assert fastest(receivers) <= RATE * BESIDE
    assert RATE / 2 < pace(receivers) <= RATE * 1.1


def killed(servers: Servers) -> None:
    """Nobody listens."""
    servers.valkey.kill()


def frozen(servers: Servers) -> None:
    """It takes connections and says nothing."""
    servers.valkey.freeze()


@pytest.mark.mission("A-23")
@pytest.mark.parametrize("harm", [killed, frozen])
def test_without_valkey_each_process_counts_for_itself_and_everything_is_sent(
    servers: Servers, receivers: Receivers, harm: Callable[[Servers], None]
) -> None:
    published = texts(450)
    with limited(servers, receivers, RATE) as site:
        site.start_worker(processes=PROCESSES)
        site.publish(published)
        wait_until(lambda: len(receivers.lab.received) > RATE, lambda: f"the first to be sent: {site.standing()}")
        harm(servers)
        before = len(receivers.lab.received)
        time.sleep(AWAY)
        assert len(receivers.lab.received) - before > RATE * AWAY / 2, "nothing goes on without it"
        back(servers)
        site.wait_until_settled(len(published), 60)
        deliveries = check_invariants(site, receivers.webhook, published, carried=(receivers.lab,), duplicates=False)
    assert {(one["status"], one["failures"], *one["outcomes"]) for one in deliveries} == {("sent", 0, "sent")}
    assert fastest(receivers) <= RATE * (1 + PROCESSES) * BESIDE, "what all counted together, and then each alone"


def back(servers: Servers) -> None:
    """A frozen one goes on where it was, a killed one starts empty."""
    if servers.valkey.lives():
        servers.valkey.thaw()
    else:
        servers.start_valkey()


def fastest(receivers: Receivers) -> int:
    """The most that arrived within any one second."""
    times = moments(receivers)
    return max(bisect_left(times, begun + 1.0) - place for place, begun in enumerate(times))


def pace(receivers: Receivers) -> float:
    """How many arrived a second after the first second's, over all."""
    times = moments(receivers)
    return (len(times) - RATE) / (times[-1] - times[0])


def moments(receivers: Receivers) -> list[float]:
    """When each arrived."""
    return sorted(one.at for one in receivers.lab.received)
