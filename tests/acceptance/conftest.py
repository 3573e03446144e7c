"""A running installation with receivers on every channel, shared by the tests of a file; each test has a tenant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.support.installation import Installation
from tests.support.servers import Servers
from workers.receivers.together import Receivers

_numbers = count(1)


@pytest.fixture(scope="session")
def own_servers() -> Iterator[Servers]:
    """A PostgreSQL and a Valkey for everything here."""
    with Servers() as running:
        yield running


@pytest.fixture(scope="module")
def receivers() -> Iterator[Receivers]:
    """Where everything arrives."""
    with Receivers() as running:
        yield running


@pytest.fixture(scope="module")
def site(own_servers: Servers, receivers: Receivers) -> Iterator[Installation]:
    """A worker and no beat: the workers sweep by themselves."""
    with own_servers.install(**settings_for(receivers)) as running:
        running.start_worker()
        yield running


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has."""
    return f"tenant{next(_numbers)}"


def settings_for(receivers: Receivers) -> dict[str, str]:
    """What leads every channel to the receivers; leases that the slowest channel's deadline fits into."""
    led = {name.removeprefix("BELLWIRE_"): value for name, value in receivers.environment().items()}
    return {**led, "LEASE_SECONDS": "25"}
