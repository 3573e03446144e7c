"""Servers of each file's own, an installation and a receiver for each test, and randomness that can be repeated."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.support.installation import Installation
from tests.support.seed import VARIABLE
from tests.support.servers import Servers
from workers.receivers.http import HttpReceiver
from workers.receivers.together import Running


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The randomness of one test, whichever others run."""
    return random.Random(f"{os.environ[VARIABLE]} {request.node.name}")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A PostgreSQL and a Valkey that the tests of this file may kill."""
    with Servers() as running:
        yield running


@pytest.fixture
def site(servers: Servers) -> Iterator[Installation]:
    """An installation with a database of its own and no process yet.

    Its leases are as short as the deadline of webhooks allows: what a killed worker held is free after 14 seconds.
    """
    with servers.install(LEASE_SECONDS="14") as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """Where webhooks arrive."""
    with Running(made := HttpReceiver()):
        yield made
