"""What the channels are measured against: the lab counts right, libraries and product keep their connections."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.candidates import Bench, Load, Receiver
from bench.channels import KINDS, ChannelBellwire, Library
from bench.libraries import KINDS as LIBRARIES
from bench.people import PEOPLE
from bench.plan import COMPARISONS, MEASUREMENTS
from bench.process import BenchmarkError, Child, python
from bench.publisher import named_event
from bench.servers import running_servers

DELAY = 0.02


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def lab(logs: Path) -> Iterator[Child]:
    with Child("lab", python("-m", "bench.lab"), log=logs / "lab", pipes=True) as child:
        yield child


@pytest.fixture(scope="module")
def library(lab: Child, logs: Path) -> Iterator[Child]:
    hello = lab.hear(seconds=30)
    environment = {
        **hello["environment"],
        "BELLWIRE_PUBLIC_URL": "https://bellwire.example.org",
        "BENCH_BROWSERS": json.dumps(hello["browsers"]),
    }
    command = python("-m", "bench.libraries")
    with Child("library", command, log=logs / "library", environment=environment, pipes=True) as child:
        yield child


def send(library: Child, kind: str, count: int, first: int = 0) -> None:
    library.ask({"kind": kind, "first": first, "count": count, "batch": 1, "rate": 0.0})


@pytest.mark.parametrize("kind", LIBRARIES)
def test_a_library_sends_one_after_the_other_over_one_connection(lab: Child, library: Child, kind: str) -> None:
    send(library, kind, 1)
    lab.ask({"delay": DELAY})
    began = time.monotonic()
    send(library, kind, 10)
    assert time.monotonic() - began >= 10 * DELAY
    counted = lab.ask({"wait": 10, "seconds": 5.0})
    assert counted == {"requests": 10, "accepted": 10, "distinct": 10, "connections": 0}


def test_the_lab_forgets_what_came_before_a_reset(lab: Child, library: Child) -> None:
    send(library, "sms", 1)
    lab.ask({"delay": 0.0})
    assert lab.ask({"wait": 0, "seconds": 5.0})["requests"] == 0


def test_the_lab_says_after_its_time_what_did_not_come(lab: Child) -> None:
    lab.ask({"delay": 0.0})
    assert lab.ask({"wait": 1, "seconds": 0.1})["distinct"] == 0


@pytest.mark.parametrize(("kind", "branch"), [("email", "email"), ("sms", "sms"), ("fcm", "push"), ("apns", "push")])
def test_an_event_is_for_one_person_who_is_reached_by_one_channel(kind: str, branch: str) -> None:
    event = named_event(PEOPLE + 1, kind)
    assert (event["branch"], event["recipients"]) == (branch, [f"{kind}-person-1"])


def test_every_library_is_measured_and_compared_with_bellwire_under_the_same_load() -> None:
    measured = {one.name: one for one in MEASUREMENTS}
    pairs = {
        (measured[one.over].load.kind, measured[one.under].load.kind, measured[one.over].load.delay)
        for one in COMPARISONS
        if one.under.startswith("library_") and measured[one.under].load.delay == measured[one.over].load.delay
    }
    assert pairs == {(kind, kind, 0.05) for kind in KINDS}
    assert LIBRARIES.keys() == KINDS.keys()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        servers = stack.enter_context(running_servers())
        receiver = Receiver(servers)
        stack.enter_context(receiver.child)
        yield Bench(servers, receiver, stack)


def test_the_product_builds_no_client_for_a_message_on_any_channel(bench: Bench) -> None:
    product = ChannelBellwire(bench)  # warms up every channel, and raises where the figures do not agree
    run = product.run(Load("fcm", 500, 100))
    assert run.count == 500
    for kind in KINDS:
        with pytest.raises(BenchmarkError, match="400 connections were opened"):
            product.check_connections(Load(kind, 400, 100), {"connections": 400})


@pytest.mark.parametrize(
    ("ending", "problem"),
    [
        ({"requests": 11, "connections": 1}, "11"),
        ({"requests": 10, "connections": 10}, "10 connections were opened, 1 are enough"),
    ],
)
def test_a_library_that_repeats_itself_or_reconnects_is_no_yardstick(
    bench: Bench, ending: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BenchmarkError, match=problem):
        Library(bench).check(Load("sms", 10), ending)
