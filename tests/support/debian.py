"""Debian's own PostgreSQL, Redis and RabbitMQ, on private sockets and ports, in a folder that goes away.

The packages' services are neither needed nor touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import amqp
import psycopg
import pytest
import redis

from models.migrate import upgrade
from tests.support.installation import Installation, free_port
from tests.support.process import Process
from tests.support.servers import HISTORY
from tests.support.waiting import wait_until

ACCOUNT = "nobody"
DATABASE, USER = "bellwire", "bellwire"
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Debian:
    """The three servers, each started when it is asked for."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="bellwire-debian-"))
        # PostgreSQL insists on an ordinary user; the others are content with one.
        self._user = ACCOUNT if os.geteuid() == 0 else None
        self._processes: list[Process] = []
        self.rabbitmq: Process | None = None
        self._rabbitmq_port = 0
        self._rabbitmq_environment: dict[str, str] = {}
        if self._user:
            shutil.chown(self._home, ACCOUNT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.end()
        shutil.rmtree(self._home, ignore_errors=True)

    def install(self, broker_url: str, redis_url: str, **settings: str) -> Installation:
        """An installation on these servers, with a migrated database."""
        database_url = self._start_postgres()
        upgrade(database_url)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(HISTORY)
        return Installation(database_url, broker_url, redis_url, **settings)

    def start_redis(self) -> str:
        """The address of an empty Redis, without a database number."""
        server, port = program("redis-server", Path("/usr/bin/redis-server")), free_port()
        options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._home))
        process = self._start("redis", (str(server), *options))
        wait_until(lambda: _redis_answers(port), lambda: "Redis\n" + process.last_words())
        return f"redis://127.0.0.1:{port}"

    def start_rabbitmq(self) -> str:
        """The address of a RabbitMQ without plugins, known to no other Erlang program on this machine."""
        plugins, settings = self._home / "enabled_plugins", self._home / "rabbitmq.conf"
        plugins.write_text("[].\n")
        settings.write_text("log.console = true\nlog.file = false\nvm_memory_high_watermark.absolute = 512MB\n")
        self._rabbitmq_port = free_port()
        self._rabbitmq_environment = {
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(settings),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_LOG_BASE": str(self._home),
            "RABBITMQ_MNESIA_BASE": str(self._home / "mnesia"),
            "RABBITMQ_NODENAME": "bellwire@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._rabbitmq_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2",
            # The script then becomes the server instead of waiting for it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        server = program("rabbitmq-server", RABBITMQ)
        # Erlang would start its name server as a daemon that outlives everybody.
        self._start("epmd", ("epmd",), self._rabbitmq_environment)
        self.resume_rabbitmq(server)
        return f"amqp://guest:guest@127.0.0.1:{self._rabbitmq_port}//"

    def resume_rabbitmq(self, server: Path = RABBITMQ) -> None:
        """Start it, or start it again where it was, with everything that it had stored."""
        self.rabbitmq = process = self._start("rabbitmq", (str(server),), self._rabbitmq_environment)
        port = self._rabbitmq_port
        wait_until(lambda: _rabbitmq_answers(port, process), lambda: "RabbitMQ\n" + process.last_words(), 60)

    def _start_postgres(self) -> str:
        programs = program("postgresql", *sorted(Path("/usr/lib/postgresql").glob("*/bin")))
        data = self._home / "postgres"
        made = subprocess.run(
            (
                programs / "initdb",
                "-D",
                data,
                "-U",
                USER,
                "--auth=trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ),
            cwd=self._home,
            env=self._environment({}),
            user=self._user,
            extra_groups=[] if self._user else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        options = ("-D", str(data), "-k", str(self._home), "-c", "listen_addresses=", "-c", "fsync=off")
        process = self._start("postgres", (str(programs / "postgres"), *options), last_signal=signal.SIGQUIT)
        address = f"postgresql://{USER}@/{{}}?host={self._home}"
        wait_until(lambda: _postgres_answers(address.format("postgres")), lambda: "PostgreSQL\n" + process.last_words())
        with psycopg.connect(address.format("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        return address.format(DATABASE)

    def _start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] = {},
        last_signal: signal.Signals = signal.SIGTERM,
    ) -> Process:
        process = Process(
            name,
            command,
            log=self._home / f"{name}.log",
            environment=self._environment(environment),
            folder=self._home,
            user=self._user,
            last_signal=last_signal,
        )
        self._processes.append(process)
        return process

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self._home), **more}


def program(package: str, *places: Path) -> Path:
    """The newest of the places that exists. Without any the test fails where it must run, and is skipped elsewhere."""
    for place in reversed(places):
        if place.exists():
            return place
    missing = f"{package} is not installed: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def _postgres_answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
        return True
    return False


def _redis_answers(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port, socket_timeout=1) as client:
        return bool(client.ping())
    return False


def _rabbitmq_answers(port: int, process: Process) -> bool:
    assert process.lives(), process.last_words()
    with contextlib.suppress(OSError, amqp.AMQPError), amqp.Connection(f"127.0.0.1:{port}", connect_timeout=2):
        return True
    return False
