"""Live streams on the real processes: publish to screen, what an idle connection costs, how many one process holds."""

from __future__ import annotations

import json
import random
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery

from bench.bellwire import Bellwire
from bench.candidates import Bench, Receiver
from bench.listeners import LISTENERS, listener
from bench.meter import Meter, proportional_bytes
from bench.people import TENANT
from bench.process import BenchmarkError, Child
from bench.report import percentile
from bench.servers import running_servers
from workers.stack import services

HELD: Final = 5_000  # connections of one process, half of them of either kind
FRAMINGS: Final = ("sse", "websocket")
RATE: Final = 50.0  # notifications a second
SETTLE_SECONDS: Final = 3.0
ARRIVE_SECONDS: Final = 60.0
BROADCAST_SECONDS: Final = 20.0


class LiveBellwire(Bellwire):
    """One API process, one worker, and two processes of clients, one of each kind of stream."""

    name = "bellwire_live"

    def set_up(self) -> None:
        """Migrate, and make those who listen."""
        self.key = self._child("setup", "-m", "bench.listeners", pipes=True).hear(seconds=60)["key"]

    def processes(self) -> list[Child]:
        """The worker and the API; both ready."""
        self.set_up()
        worker = self._celery_worker(*services.worker().command[1:])
        return [worker, self._api()]

    def ready(self) -> None:
        """Start the clients' processes and whoever publishes."""
        address = urlsplit(self.environment["BENCH_API_URL"])
        self.address = str(address.hostname), int(address.port or 80)
        command = ("-m", "bench.tabs", self.address[0], str(self.address[1]))
        self.tabs = {framing: self._child(f"tabs-{framing}", *command, pipes=True) for framing in FRAMINGS}
        self.upstream = Celery("upstream", broker=self.environment["BENCH_BROKER_URL"])

    @property
    def api(self) -> int:
        """The process id of the API."""
        return self.children[1].pid

    def open(self, framing: str, first: int, count: int) -> float:
        """Open so many streams, from listener number `first` on; seconds that it took."""
        began = time.monotonic()
        self.tabs[framing].ask({"do": "open", "framing": framing, "first": first, "count": count}, seconds=300)
        return time.monotonic() - began

    def publish(self, count: int) -> None:
        """So many notifications, one event a message, each for somebody else, `RATE` of them a second."""
        began = time.monotonic()
        for number, person in enumerate(random.choices(range(LISTENERS), k=count)):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            data = {"sender": "Ben", "message": "Hello", "conversation": f"ns{time.monotonic_ns()}"}
            event = {"tenant": TENANT, "type": "message_received", "recipients": [listener(person)], "data": data}
            self.upstream.send_task("bellwire.publish", args=[event], queue="ingest")

    def seen(self, framing: str, count: int) -> list[float]:
        """Milliseconds from publish to each of so many clients that were shown something, or to fewer."""
        asked = {"do": "latencies", "count": count, "seconds": ARRIVE_SECONDS}
        answer = self.tabs[framing].ask(asked, seconds=ARRIVE_SECONDS + 10)
        return [nanoseconds / 1e6 for nanoseconds in answer["latencies_ns"]]

    def broadcast(self, expected: int) -> dict[str, Any]:
        """A message to everyone, which nobody keeps: to how many it was shown, after how long, and who is connected."""
        began = time.monotonic()
        connection = HTTPConnection(*self.address, timeout=30)
        body = json.dumps({"message": "Is everybody there?"})
        connection.request("POST", "/v1/broadcasts", body, {"Authorization": f"Bearer {self.key}"})
        connection.getresponse().read()
        asked = {"do": "broadcasts", "count": expected // len(FRAMINGS), "seconds": BROADCAST_SECONDS}
        answers = [child.ask(asked, seconds=BROADCAST_SECONDS + 10) for child in self.tabs.values()]
        return {
            "held": sum(answer["opened"] for answer in answers),
            "shown": sum(answer["broadcasts"] for answer in answers),
            "cut": sum(answer["cuts"] for answer in answers),
            "ms": round((max(answer["at"] for answer in answers) - began) * 1000),
        }


def live(*, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Latencies in ms with 1,000 clients and with all, KiB for each idle connection, and how many were held."""
    _raise_limit()
    with ExitStack() as stack:
        servers = stack.enter_context(running_servers())
        receiver = Receiver(servers)
        stack.enter_context(receiver.child)
        site = LiveBellwire(Bench(servers, receiver, stack))
        groups = {"api": [site.api], "workers": [site.children[0].pid], **servers.processes()}
        meter = Meter(groups | {"clients": [child.pid for child in site.tabs.values()]})
        say(f"{LISTENERS:,} clients")
        for place, framing in enumerate(FRAMINGS):
            site.open(framing, place * LISTENERS // 2, LISTENERS // 2)
        site.publish(20)
        _arrived(site, 20, 1)
        say(f"{RATE:.0f} notifications a second")
        count = round(RATE * seconds)
        first = Meter(groups)
        site.publish(count)
        latencies = {"with_1000": _latency(_arrived(site, count, 1))}
        cpu = {name: round(used / count * 1e6) for name, used in first.usage().cpu.items()}
        opening, memory = _fill_up(site, say)
        say("a message to everyone")
        everyone = site.broadcast(HELD)
        site.publish(count // 4)
        latencies["with_all"] = _latency(_arrived(site, count // 4, HELD // LISTENERS))
        usage = meter.usage()
        return {
            "clients": LISTENERS,
            "most": HELD,
            "everyone": everyone,
            "met": everyone["held"] >= HELD,
            "rate": RATE,
            "latency_ms": latencies,
            "cpu_us_each": cpu,
            "memory_kib_by_framing": memory,
            "api_mib": round(proportional_bytes([site.api]) / 2**20, 1),
            "opened_a_second": round(opening),
            "cores_used_by_others": round(usage.others / usage.seconds, 2),
        }


def _raise_limit() -> None:
    """As many open files as this machine lets a process have; its children have as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard not in (resource.RLIM_INFINITY,) and hard < HELD + 1_000:
        raise BenchmarkError(f"a process may have {hard} open files (it had {soft}); {HELD + 1_000} are needed")


def _arrived(site: LiveBellwire, count: int, tabs: int) -> dict[str, list[float]]:
    """What the clients were shown, each notification in so many tabs, by framing; all of it.

    Raises:
        BenchmarkError: some did not come, or came twice.
    """
    deadline = time.monotonic() + ARRIVE_SECONDS
    seen: dict[str, list[float]] = {framing: [] for framing in FRAMINGS}
    while sum(map(len, seen.values())) < count * tabs and time.monotonic() < deadline:
        for framing in FRAMINGS:
            seen[framing] += site.seen(framing, 0)
        time.sleep(0.05)
    shown = sum(map(len, seen.values()))
    if shown != count * tabs:
        raise BenchmarkError(f"{count} notifications were shown {shown} times in {tabs} tabs of each user")
    return seen


def _fill_up(site: LiveBellwire, say: Callable[[str], None]) -> tuple[float, dict[str, float]]:
    """Open all connections, one kind after the other: connections opened a second, KiB of the API for each."""
    memory, opened, seconds = {}, 0, 0.0
    for place, framing in enumerate(FRAMINGS):
        more = HELD // len(FRAMINGS) - LISTENERS // len(FRAMINGS)
        before = _settled(site.api)
        say(f"{more:,} more by {framing}")
        # So that in the end everybody has the same number of tabs.
        seconds += site.open(framing, LISTENERS + place * more, more)
        opened += more
        memory[framing] = round((_settled(site.api) - before) / more / 1024, 1)
    return opened / seconds, memory


def _settled(pid: int) -> int:
    time.sleep(SETTLE_SECONDS)
    return proportional_bytes([pid])


def _latency(seen: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    return {
        framing: {f"p{part}": round(percentile(values, part / 100), 1) for part in (50, 99)}
        for framing, values in seen.items()
    }


def show(results: Mapping[str, Any], console: Any) -> None:
    """Print the tables."""
    from rich.table import Table

    table = Table(title=f"Publish to screen, {results['rate']:.0f} notifications a second, ms", title_justify="left")
    for heading in ("with so many clients", "SSE p50", "SSE p99", "WebSocket p50", "WebSocket p99"):
        table.add_column(heading, justify="right")
    for clients, name in ((results["clients"], "with_1000"), (results["most"], "with_all")):
        figures = [results["latency_ms"][name][framing][part] for framing in FRAMINGS for part in ("p50", "p99")]
        table.add_row(f"{clients:,}", *(f"{one:.1f}" for one in figures))
    console.print(table)
    memory = ", ".join(f"{name} {size:.1f} KiB" for name, size in results["memory_kib_by_framing"].items())
    cpu = ", ".join(f"{name} {used:,}" for name, used in results["cpu_us_each"].items())
    everyone = results["everyone"]
    verdict = "[green]met[/green]" if results["met"] else "[red]not met[/red]"
    console.print(
        f"Connections held by one process: {everyone['held']:,} (bar {results['most']:,}: {verdict}), "
        f"{results['opened_a_second']} opened a second, cut off and back meanwhile: {everyone['cut']}; "
        f"a message to everyone was shown to {everyone['shown']:,} within {everyone['ms']} ms"
    )
    console.print(f"Memory of an idle connection: {memory}; the API with all of them: {results['api_mib']:.0f} MiB PSS")
    console.print(f"CPU of a notification, microseconds: {cpu}")
    console.print(f"[dim]others: {results['cores_used_by_others']:.2f} cores[/dim]")
