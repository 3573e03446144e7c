"""The installation of the acceptance tests on Debian's servers instead of the product's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import receivers, settings_for, tenant
from tests.support.debian import Debian
from tests.support.installation import Installation
from workers.receivers.together import Receivers

__all__ = ("receivers", "tenant")


@pytest.fixture(scope="module", params=["redis-server", "rabbitmq-server"])
def broker(request: pytest.FixtureRequest) -> str:
    """Which broker carries the bells."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def debian(broker: str) -> Iterator[Debian]:
    """Debian's servers; `broker` is among the parameters, so that each has its own."""
    with Debian() as made:
        yield made


@pytest.fixture(scope="module")
def site(broker: str, debian: Debian, receivers: Receivers) -> Iterator[Installation]:
    """Debian's PostgreSQL and redis-server, and the broker; a worker, and no beat."""
    address = debian.start_redis()
    broker_url = debian.start_rabbitmq() if broker == "rabbitmq-server" else f"{address}/0"
    with debian.install(broker_url, f"{address}/1", **settings_for(receivers)) as running:
        running.start_worker()
        yield running
