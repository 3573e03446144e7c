"""Real servers for the tests: one PostgreSQL and one Valkey per test process, and fresh migrated databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import hypothesis
import psycopg
import pytest
import redis

from models.migrate import upgrade
from tests.support.copies import copy

# A machine that others use too is slow at times; that is no property of what is tested.
hypothesis.settings.register_profile(
    "shared",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("shared")

pytest_plugins = ("tests.support.seed",)

TEMPLATE = "migrated"


def pytest_configure() -> None:
    """Settings of the person at the keyboard must neither change a test nor be reached by one."""
    for name in [name for name in os.environ if name.startswith("BELLWIRE_")]:
        del os.environ[name]
    os.environ["BELLWIRE_ENV_FILE"] = os.devnull
    # The tests start about a hundred processes: each would spend half a second on compiling what all of them import.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


_numbers = count(1)


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """Addresses of this process's own servers: `postgres`, `redis`, `broker`. They end with it, however it ends."""
    home = tempfile.mkdtemp(prefix="bellwire-test-")
    command = (sys.executable, "-m", "workers.stack.servers", home, "--volatile")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line, "the servers did not start; their message is above"
        yield json.loads(line)
        running.terminate()


@pytest.fixture(scope="session")
def postgres(servers: dict[str, str]) -> Callable[[str], str]:
    """Gives the URL of a database by name; `postgres("postgres")` is the one for creating others."""
    return lambda database: servers["postgres"].replace("/postgres?", f"/{database}?", 1)


@pytest.fixture(scope="session")
def migrated_template(postgres: Callable[[str], str]) -> str:
    """The name of a database with the newest schema that all others are copied from; nobody connects to it."""
    _execute(postgres("postgres"), f"CREATE DATABASE {TEMPLATE}")
    upgrade(postgres(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres: Callable[[str], str], migrated_template: str) -> Iterator[str]:
    """A migrated, empty database for one test."""
    with _copy(postgres, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres: Callable[[str], str], migrated_template: str) -> Iterator[str]:
    """A migrated database that the tests of one file share."""
    with _copy(postgres, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: Callable[[str], str]) -> Iterator[str]:
    """A database without any table, for one test."""
    with _copy(postgres, "template0") as url:
        yield url


@pytest.fixture(scope="session")
def valkey(servers: dict[str, str]) -> str:
    """The URL of Valkey (`unix://`), shared by all tests of this process."""
    return servers["redis"]


@pytest.fixture
def redis_url(valkey: str) -> str:
    """The URL of Valkey, emptied for this test: live fan-out, limits and breakers are in database 1."""
    _empty(valkey)
    return valkey


@pytest.fixture
def broker_url(servers: dict[str, str]) -> str:
    """The broker's URL (`redis+socket://`, database 0), emptied for this test."""
    _empty(servers["redis"])
    return servers["broker"]


@pytest.fixture
def home() -> Iterator[Path]:
    """A short, private folder for a local stack of the test's own; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="bellwire-home-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _copy(postgres: Callable[[str], str], template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    copy(postgres("postgres"), template, name)
    yield postgres(name)
    _execute(postgres("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def _empty(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
