"""An installation of Bellwire as its real processes, with short waits, on whatever servers a test gives it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg
import requests
from celery import Celery
from psycopg.rows import dict_row

from tests.support.process import PYTHON, ROOT, Process, ReadySocket
from tests.support.waiting import wait_until

CELERY = (PYTHON, "-m", "celery", "-A", "workers")
TENANT = "acme"
Row = dict[str, Any]

SETTLED = """
SELECT (SELECT count(*) FROM events WHERE tenant = %(tenant)s) >= %(events)s
   AND NOT EXISTS (SELECT FROM events WHERE status = 'accepted' AND tenant = %(tenant)s)
   AND NOT EXISTS (SELECT FROM deliveries WHERE due_at IS NOT NULL AND tenant = %(tenant)s)
"""
STANDING = """
SELECT 'events ' || status AS what, count(*) FROM events GROUP BY status
UNION ALL
SELECT concat_ws(' ', channel, status, reason, CASE WHEN due_at IS NOT NULL THEN 'due' END), count(*)
FROM deliveries GROUP BY 1 ORDER BY 1
"""


class Installation:
    """Processes that share a database, a broker and a Redis. Leaving the block ends all of them."""

    def __init__(self, database_url: str, broker_url: str, redis_url: str, **settings: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bellwire-site-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.database_url = database_url
        self.broker_url = broker_url
        self.redis_url = redis_url
        ours = {
            "HOME": str(self.folder),
            "ENV_FILE": os.devnull,
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": secrets.token_urlsafe(32),
            "JWT_SECRET": secrets.token_urlsafe(32),
            "RETRY_SCHEDULE": "1,1,1,1,1",
            "SWEEP_INTERVAL": "0.5",
            "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
            **settings,
        }
        outside = {name: value for name, value in os.environ.items() if not name.startswith("BELLWIRE_")}
        self.environment = outside | {f"BELLWIRE_{name}": value for name, value in ours.items()}
        self.processes: list[Process] = []
        self._operator: subprocess.Popen[str] | None = None
        self._publisher = Celery("upstream", broker=broker_url, set_as_current=False)
        if broker_url.startswith("amqp"):
            self._publisher.conf.task_create_missing_queue_type = "quorum"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._operator is not None:
            self._operator.communicate()
        for process in self.processes:
            process.end(0.0 if kind else 15.0)
        if kind is not None:
            for process in self.processes:
                print(f"--- {process.name}\n{process.last_words(60)}")
        self._publisher.close()
        self._folder.cleanup()

    # Processes

    def start_worker(self, name: str = "worker", processes: int = 2) -> Process:
        """A worker of every queue, ready to take messages."""
        options = ("-n", f"{name}@%h", "-c", str(processes), "-l", "INFO", "--without-gossip", "--without-mingle")
        return self._start(name, (*CELERY, "worker", *options, "-I", "tests.support.ready"), waits=True)

    def start_beat(self, name: str = "beat") -> Process:
        """The clock."""
        return self._start(
            name, (*CELERY, "beat", "--schedule", str(self.folder / f"{name}.schedule"), "--pidfile", "")
        )

    def start_bus(self) -> Process:
        """The intake of plain JSON messages."""
        return self._start("bus", (PYTHON, "-m", "workers.bus"))

    def start_api(self, port: int | None = None) -> Api:
        """The API, answering. `port`: the one it had before."""
        address = ("127.0.0.1", port or free_port())
        options = ("--host", address[0], "--port", str(address[1]), "--no-access-log")
        process = self._start("api", (PYTHON, "-m", "uvicorn", "api.app:app", *options))
        api = Api(process, address[1])
        wait_until(api.answers, lambda: "the API\n" + process.last_words(), 30)
        return api

    def _start(self, name: str, command: Sequence[str], *, waits: bool = False) -> Process:
        ready = ReadySocket()
        environment = self.environment | ({"NOTIFY_SOCKET": ready.address} if waits else {})
        process = Process(name, command, log=self.folder / f"{name}.log", environment=environment)
        self.processes.append(process)
        try:
            if waits:
                ready.wait(process)
        finally:
            ready.close()
        return process

    # What upstream and operators do

    def operate(self, verb: str, **arguments: Any) -> Any:
        """What an operator does and what the answer is; see `tests.support.operate`."""
        if self._operator is None or self._operator.poll() is not None:
            self._operator = subprocess.Popen(
                (PYTHON, "-m", "tests.support.operate"),
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._operator.stdin
        assert self._operator.stdout
        self._operator.stdin.write(json.dumps([verb, arguments]) + "\n")
        self._operator.stdin.flush()
        answer = self._operator.stdout.readline()
        assert answer, f"{verb}: the reason is above"
        return json.loads(answer)

    def set_up(self, tenant: str = TENANT, **wanted: Any) -> Any:
        """Make a tenant: `users`, their `devices`, `routes` and `webhooks` by name, `accounts` by provider, `keys`."""
        return self.operate("set_up", tenant=tenant, wanted=wanted)

    def run(self, module: str, *arguments: str) -> str:
        """Run a program of this installation to its end; what it prints."""
        done = subprocess.run(
            (PYTHON, "-m", module, *arguments),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{module}: {done.stderr}"
        return done.stdout

    def publish(self, events: Any, task_id: str | None = None) -> str:
        """One Celery message with one event or a list of them, as upstream services send it; answers its id."""
        id_ = task_id or str(uuid4())
        self._publisher.send_task("bellwire.publish", args=[events], task_id=id_, queue="ingest")
        return id_

    def ring(self, channel: str) -> None:
        """One bell, as the sweep rings."""
        self._publisher.send_task(f"bellwire.deliver.{channel}", args=[[]], queue=f"deliver.{channel}")

    def lead(self, webhook: str, url: str) -> None:
        """Give a webhook another address from now on."""
        self.rows("UPDATE webhooks SET url = %(url)s WHERE name = %(name)s RETURNING id", url=url, name=webhook)

    # What came of it

    def rows(self, statement: str, **parameters: Any) -> list[Row]:
        """Rows of the database."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def value(self, statement: str, **parameters: Any) -> Any:
        """The one value of the one row."""
        (row,) = self.rows(statement, **parameters)
        (value,) = row.values()
        return value

    def deliveries(self, **wanted: str) -> list[Row]:
        """Deliveries in the order they were made, each with its attempts; `wanted`: column=value."""
        where = " AND ".join(f"d.{column} = %({column})s" for column in wanted) or "true"
        return self.rows(
            f"""
            SELECT d.*, d.id::text AS id, e.data,
                   ARRAY(SELECT a.outcome FROM attempts a WHERE a.delivery_id = d.id ORDER BY a.number) AS outcomes,
                   (SELECT max(a.duration_ms) FROM attempts a WHERE a.delivery_id = d.id) AS slowest_ms
            FROM deliveries d JOIN events e ON e.id = d.event_id WHERE {where} ORDER BY d.id
            """,
            **wanted,
        )

    def wait_until_settled(self, events: int, seconds: float = 30.0, tenant: str = TENANT) -> None:
        """Wait until that many events of a tenant were stored and nothing more is to be done about any of them."""
        wait_until(
            lambda: self.value(SETTLED, events=events, tenant=tenant),
            lambda: f"{events} events to be settled: {self.standing()}",
            seconds,
        )

    def wait_until_processing(self, count: int = 1) -> None:
        """Wait until a worker holds that many deliveries."""
        asked = "SELECT count(*) >= %(count)s FROM deliveries WHERE status = 'processing' AND lease_until > now()"
        wait_until(
            lambda: self.value(asked, count=count), lambda: f"{count} deliveries to be claimed: {self.standing()}"
        )

    def standing(self) -> str:
        """How far things are, in one line."""
        return ", ".join(f"{row['count']} {row['what']}" for row in self.rows(STANDING))


class Api:
    """A running API."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def answers(self) -> bool:
        """Whether it lives."""
        assert self.process.lives(), self.process.last_words()
        try:
            return requests.get(f"{self.url}/health/live", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def post(self, path: str, key: str, body: Any, seconds: float = 10.0, **headers: str) -> requests.Response:
        """One request with a key."""
        return requests.post(
            self.url + path, json=body, headers={"X-API-Key": key, **headers}, timeout=seconds, allow_redirects=False
        )

    def get(self, path: str, key: str) -> requests.Response:
        """One question with a key."""
        return requests.get(self.url + path, headers={"X-API-Key": key}, timeout=10)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
    return port


def numbered(type_: str, numbers: Iterable[int], tenant: str = TENANT, **more: Any) -> list[dict[str, Any]]:
    """Events of one type that differ in a number, by which they are told apart afterwards."""
    return [{"type": type_, "tenant": tenant, "data": {"n": number}, **more} for number in numbers]
