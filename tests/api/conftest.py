"""An API for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.support.api import Api, running


@pytest.fixture(scope="module")
def api(
    module_database_url: str, servers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API with database, broker and Redis, shared by the tests of one file."""
    addresses = {"BELLWIRE_BROKER_URL": servers["broker"], "BELLWIRE_REDIS_URL": servers["redis"]}
    with running(module_database_url, tmp_path_factory.mktemp("api"), **addresses) as made:
        yield made
