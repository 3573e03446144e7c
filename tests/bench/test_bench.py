"""The benchmark's own instruments measure what they say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bench.candidates import Run
from bench.meter import Meter, Usage, cpu_seconds, proportional_bytes
from bench.plan import Comparison
from bench.process import BenchmarkError, Child, python
from bench.report import compared, percentile


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[HTTPConnection]:
    with Child("receiver", python("-m", "bench.receiver"), log=tmp_path / "log", pipes=True) as child:
        connection = HTTPConnection("127.0.0.1", int(child.hear(seconds=20)["port"]), timeout=10)
        yield connection
        connection.close()


def post(connection: HTTPConnection, path: str, body: str = "{}", **headers: str) -> bytes:
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse().read()


def run(rate: float, cpu: float = 1.0) -> Run:
    return Run(100, 100 / rate, Usage({"workers": cpu}, 100 / rate, 0.0), {"workers": 0})


def test_the_receiver_counts_requests_and_distinct_ids(receiver: HTTPConnection) -> None:
    for identity in ("a", "b", "a"):
        post(receiver, "/hook", webhook_id=identity)
    assert b'"requests": 3, "distinct": 2' in post(receiver, "/_wait?count=2&seconds=5")


def test_the_receiver_forgets_what_came_before_a_reset(receiver: HTTPConnection) -> None:
    post(receiver, "/hook", webhook_id="a")
    assert b'"requests": 0, "distinct": 0' in post(receiver, "/_reset?delay=0&measure=0")


def test_a_slow_receiver_answers_late_and_counts_at_once(receiver: HTTPConnection) -> None:
    post(receiver, "/_reset?delay=0.2&measure=0")
    began = time.monotonic()
    post(receiver, "/hook", webhook_id="a")
    assert time.monotonic() - began >= 0.2


def test_the_receiver_measures_from_the_time_in_the_data(receiver: HTTPConnection) -> None:
    post(receiver, "/_reset?delay=0&measure=1")
    post(receiver, "/hook", f'{{"data":{{"published_ns": {time.monotonic_ns() - 5_000_000_000}}}}}', webhook_id="a")
    latency = int(post(receiver, "/_wait?count=1&seconds=5").rpartition(b"[")[2].strip(b"]}"))
    assert 5e9 <= latency < 15e9


def test_cpu_of_children_that_have_ended_is_counted() -> None:
    before = cpu_seconds([os.getpid()])
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
    assert cpu_seconds([os.getpid()]) - before > 0.05


def test_memory_of_a_process_is_found() -> None:
    assert proportional_bytes([os.getpid()]) > 1_000_000


def test_a_meter_sees_only_its_groups_and_calls_the_rest_others() -> None:
    meter = Meter({"nobody": []})
    sum(range(5_000_000))
    usage = meter.usage()
    assert usage.cpu == {"nobody": 0.0}
    assert usage.others > 0.0


def test_a_child_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = python("-c", "import sys; sys.exit('no such luck')")
    with Child("child", command, log=tmp_path / "log") as child, pytest.raises(BenchmarkError, match="no such luck"):
        child.wait_ready(lambda: False)


def test_lines_that_come_at_once_are_heard_one_by_one(tmp_path: Path) -> None:
    with Child("child", python("-c", "print('one\\ntwo')"), log=tmp_path / "log", pipes=True) as child:
        assert [child.hear_line(seconds=20) for _ in range(2)] == ["one", "two"]


def test_stopping_a_child_ends_its_children_too(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, json\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(json.dumps({'pid': p.pid}), flush=True); p.wait()"
    )
    with Child("child", python("-c", script), log=tmp_path / "log", pipes=True) as child:
        grandchild = int(child.hear(seconds=20)["pid"])
    deadline = time.monotonic() + 5
    while Path(f"/proc/{grandchild}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{grandchild}/stat").read_text().rpartition(") ")[2].startswith("Z"):
            return
        time.sleep(0.01)
    assert not Path(f"/proc/{grandchild}").exists()


@pytest.mark.parametrize(
    ("of", "over", "under", "at_most", "value", "met"),
    [
        ("rate", run(800), run(100), False, 8.0, True),
        ("rate", run(600), run(100), False, 6.0, False),
        ("cpu", run(100, cpu=7.5), run(100, cpu=1.0), True, 7.5, False),
        ("cpu", run(100, cpu=1.1), run(100, cpu=1.0), True, 1.1, True),
        ("time", run(50), run(100), True, 2.0, True),
    ],
)
def test_a_ratio_is_held_against_its_bar(
    of: str, over: Run, under: Run, at_most: bool, value: float, met: bool
) -> None:
    comparison = Comparison("x", "x", "over", "under", 7, of=of, at_most=at_most)
    result = compared(comparison, {"over": [over], "under": [under]})
    assert (result["value"], result["met"]) == (pytest.approx(value), met)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    runs = {"over": [run(100), run(900), run(200)], "under": [run(10), run(100), run(100)]}
    assert compared(Comparison("x", "x", "over", "under", 7), runs)["value"] == 9.0


@pytest.mark.parametrize(("part", "value"), [(0.0, 1), (0.5, 3), (0.99, 4)])
def test_a_percentile_is_one_of_the_values(part: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], part) == value
