"""Servers of each file's own, an installation and a receiver for each test, and randomness that can be repeated."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator

import pytest

from tests.support.installation import Installation
from tests.support.servers import Servers
from workers.receivers.http import HttpReceiver
from workers.receivers.together import Running

SEED = "FAULT_SEED"


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> str:
    """What all randomness of this run comes from; set FAULT_SEED to repeat a run."""
    chosen = os.environ.get(SEED) or secrets.token_hex(4)
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    terminal.write_line(f"\nThe faults of this run: {SEED}={chosen}")
    return chosen


@pytest.fixture
def chance(seed: str, request: pytest.FixtureRequest) -> random.Random:
    """The randomness of one test, whichever others run."""
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A PostgreSQL and a Valkey that the tests of this file may kill."""
    with Servers() as running:
        yield running


@pytest.fixture
def site(servers: Servers) -> Iterator[Installation]:
    """An installation with a database of its own and no process yet.

    Its leases are as short as the deadline of webhooks allows: what a killed worker held is free after 13 seconds.
    """
    with servers.install(LEASE_SECONDS="13") as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """Where webhooks arrive."""
    with Running(made := HttpReceiver()):
        yield made
