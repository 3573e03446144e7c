"""What is compared: each candidate starts its own workers and publisher, runs a number of units, and checks the end.

A run is over when the last unit is done and checked, so what is measured includes publishing and the slowest unit.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from celery import Celery

from bench import chain, obvious
from bench.meter import Meter, Usage, proportional_bytes
from bench.process import BenchmarkError, Child, python, wait_until
from bench.servers import Servers

if TYPE_CHECKING:
    from bench.channels import LabClient

RUN_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of one candidate.

    Attributes:
        seconds: from the first message published to the last unit done and checked.
        cpu: what each group of processes used, CPU seconds; `foreign`: what else ran on the machine, CPU seconds.
        memory: proportional set size by group at the end, bytes.
        latencies: publish to received, seconds, where it was measured.
    """

    count: int
    seconds: float
    usage: Usage
    memory: Mapping[str, int]
    latencies: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.count / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU seconds a unit, all processes together."""
        return self.usage.total / self.count


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a candidate.

    Attributes:
        kind: which publisher.
        batch: units in a message.
        rate: units a second; 0 publishes as fast as it can.
        delay: seconds that the receiver takes to answer.
        measure: whether the receiver notes the time from publish to received.
        filled: the queue is filled while nobody consumes, and the time begins when the workers do.
    """

    kind: str
    count: int
    batch: int = 1
    rate: float = 0.0
    delay: float = 0.0
    measure: bool = False
    filled: bool = False


class Receiver:
    """The webhook receiver's process and how it is steered."""

    def __init__(self, servers: Servers) -> None:
        self.child = Child("receiver", python("-m", "bench.receiver"), log=servers.logs / "receiver.log", pipes=True)
        self.port = int(self.child.hear(seconds=20)["port"])
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def _ask(self, path: str, seconds: float = 10.0) -> dict[str, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=seconds + 5)
        try:
            connection.request("POST", path)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def reset(self, load: Load) -> None:
        """Forget what came; answer after `load.delay` seconds."""
        self._ask(f"/_reset?delay={load.delay}&measure={int(load.measure)}")

    def wait(self, count: int) -> dict[str, Any]:
        """The counts as soon as `count` distinct ids have come.

        Raises:
            BenchmarkError: they did not come in time.
        """
        answer = self._ask(f"/_wait?count={count}&seconds={RUN_SECONDS}", RUN_SECONDS)
        if answer["distinct"] < count:
            raise BenchmarkError(f"of {count} webhooks only {answer['distinct']} came in {RUN_SECONDS:.0f} s")
        return answer


@dataclass
class Bench:
    """What all candidates share."""

    servers: Servers
    receiver: Receiver
    stack: ExitStack
    numbers: int = 0
    lab: LabClient | None = None

    def start(self, child: Child) -> Child:
        """Have a child stopped at the end."""
        return self.stack.enter_context(child)

    def take_numbers(self, count: int) -> int:
        """The first of `count` event numbers that nobody has had."""
        self.numbers += count
        return self.numbers - count


class Candidate(ABC):
    """One design under one load after the other."""

    keyspace: int
    name: str
    publisher_module = "bench.publisher"

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.environment = {"BENCH_BROKER_URL": bench.servers.broker_url(self.keyspace), **self.settings()}
        self.children = [*self.processes()]
        self.publisher = self._child("publisher", "-m", self.publisher_module, pipes=True)
        self.ready()

    def ready(self) -> None:  # noqa: B027 - most have nothing to do here
        """Whatever is to be done once all processes run."""

    def settings(self) -> dict[str, str]:
        """Environment of this candidate's processes."""
        return {}

    @abstractmethod
    def processes(self) -> list[Child]:
        """Start everything but the publisher."""

    @abstractmethod
    def finish(self, load: Load) -> dict[str, Any]:
        """Wait until every unit of `load` is done, and check it. Latencies are answered where they are known."""

    def check(self, load: Load, ending: dict[str, Any]) -> None:  # noqa: B027 - most have nothing to do here
        """Look closer at what `finish` saw, outside the measured time."""

    def prepare(self, load: Load) -> None:  # noqa: B027 - most have nothing to do here
        """Make ready for `load`, outside the measured time."""

    def _child(self, name: str, *arguments: str | Path, pipes: bool = False, inherited: Sequence[int] = ()) -> Child:
        log = self.bench.servers.logs / f"{self.name}-{name}.log"
        return self.bench.start(
            Child(
                name,
                python(*arguments),
                log=log,
                environment=self.environment,
                pipes=pipes,
                inherited=inherited,
            )
        )

    def _celery_worker(self, *arguments: str) -> Child:
        """A Celery worker, ready."""
        child = self._child("workers", *arguments)
        control = Celery("control", broker=self.environment["BENCH_BROKER_URL"]).control
        child.wait_ready(lambda: bool(control.ping(timeout=0.5, limit=1)), seconds=60)
        return child

    def _consume(self, wanted: bool) -> None:
        """Have the workers take messages, or leave them."""
        control = Celery("control", broker=self.environment["BENCH_BROKER_URL"]).control
        method = control.add_consumer if wanted else control.cancel_consumer
        method("celery", reply=not wanted, timeout=1.0, limit=1)

    @property
    def other_end(self) -> Child:
        """The process that receives."""
        return self.bench.receiver.child

    def groups(self) -> dict[str, list[int]]:
        """Process ids by the name under which the table shows them."""
        groups: dict[str, list[int]] = {}
        for child in [self.publisher, *self.children, self.other_end]:
            groups.setdefault(child.name, []).append(child.pid)
        return groups | self.bench.servers.processes()

    def run(self, load: Load) -> Run:
        """Publish `load` and wait until it is done."""
        self.prepare(load)
        first = self.bench.take_numbers(load.count)
        groups = self.groups()
        question = {"kind": load.kind, "first": first, "count": load.count, "batch": load.batch, "rate": load.rate}
        if load.filled:
            self._consume(False)
            self.publisher.ask(question, seconds=RUN_SECONDS)
        meter = Meter(groups)
        began = time.monotonic()
        if load.filled:
            self._consume(True)
        else:
            self.publisher.ask(question, seconds=RUN_SECONDS)
        ending = self.finish(load)
        seconds = time.monotonic() - began
        usage = meter.usage()
        self.check(load, ending)
        memory = {name: proportional_bytes(roots) for name, roots in groups.items()}
        latencies = tuple(nanoseconds / 1e9 for nanoseconds in ending.get("latencies_ns", ()))
        return Run(load.count, seconds, usage, memory, latencies)


class Chain(Candidate):
    """(a) Celery itself: prefork, a process a core, JSON, no result backend: its defaults."""

    name = "celery"
    keyspace = 2

    def settings(self) -> dict[str, str]:
        """Where the pool processes count."""
        self.counters = self.bench.servers.logs / "counters"
        self.counters.mkdir()
        return {"BENCH_COUNTERS": str(self.counters)}

    def processes(self) -> list[Child]:
        """One worker."""
        return [self._celery_worker("-m", "celery", "-A", "bench.chain", "worker")]

    def prepare(self, load: Load) -> None:
        """Remember where the counters stand."""
        self._before = chain.counted(self.counters)

    def finish(self, load: Load) -> dict[str, Any]:
        """Wait until the pool processes have counted the last task."""
        target = self._before + load.count
        wait_until(lambda: chain.counted(self.counters) >= target, seconds=RUN_SECONDS, what="the chains", pause=0.005)
        return {}


class Obvious(Candidate):
    """(b) The obvious design on the same broker, PostgreSQL and receiver."""

    name = "obvious"
    keyspace = 3

    def settings(self) -> dict[str, str]:
        """A database of its own, with its tables."""
        self.bench.servers.execute("postgres", "CREATE DATABASE obvious")
        url = self.bench.servers.database_url("obvious").replace("postgresql:", "postgresql+psycopg:", 1)
        obvious.create_tables(url)
        return {"BENCH_DATABASE_URL": url, "BENCH_WEBHOOK_URL": self.bench.receiver.url}

    def processes(self) -> list[Child]:
        """One worker, as it starts by default."""
        return [self._celery_worker("-m", "celery", "-A", "bench.obvious", "worker")]

    def prepare(self, load: Load) -> None:
        """Begin with an empty table, to its advantage."""
        self.bench.receiver.reset(load)
        self.bench.servers.execute("obvious", "TRUNCATE notifications")

    def finish(self, load: Load) -> dict[str, Any]:
        """Wait for the webhooks, then for the last commit; check every row."""
        self.bench.receiver.wait(load.count)
        with psycopg.connect(self.bench.servers.database_url("obvious"), autocommit=True) as connection:

            def settled() -> bool:
                row = connection.execute("SELECT count(*) FROM notifications WHERE status = 'sent'").fetchone()
                return row == (load.count,)

            wait_until(settled, seconds=10, what="the last notification to be marked as sent")
        return {}
