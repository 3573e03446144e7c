"""The breakers: in Redis for all processes, and in memory when Redis is away. One manual for both."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from pybreaker import CircuitBreaker, CircuitRedisStorage

from channels.breaker import Breakers
from channels.breaker_redis import PREFIX
from config.connections import redis_client

SHORT = 0.25  # seconds instead of the minute


@pytest.fixture
def key() -> str:
    return f"tenant:webhook:{uuid4()}"


@pytest.fixture(params=["shared", "alone"])
def make(request) -> Callable[..., Breakers]:
    """Makes the breakers of one process."""
    if request.param == "alone":
        return lambda **options: Breakers(None, **options)
    url = request.getfixturevalue("servers")["redis"]
    return lambda **options: Breakers(redis_client(url, "breakers"), **options)


@pytest.fixture
def shared(servers) -> Callable[..., Breakers]:
    return lambda **options: Breakers(redis_client(servers["redis"], "breakers"), **options)


def fail(breakers: Breakers, key: str, times: int = 5) -> None:
    breakers.record([(key, False)] * times)


def is_open(breakers: Breakers, key: str) -> bool:
    return key in breakers.check([key]).restricted


def probe_when_due(breakers: Breakers, key: str) -> None:
    """Wait until the breaker gives this process the probe."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if breakers.check([key]).take(key) is None:
            return
        time.sleep(0.01)
    raise AssertionError("no probe within 5 s")


@pytest.mark.mission("A-23")
def test_five_failures_in_a_row_open_it_for_sixty_seconds(make, key):
    breakers = make()
    assert not is_open(breakers, key)
    fail(breakers, key, 4)
    assert not is_open(breakers, key)
    fail(breakers, key, 1)
    admission = breakers.check([key]).restricted[key]
    assert admission.admits == 0
    assert 59 < admission.wait <= 60


SEQUENCES = {
    "five in a row": ("00000", True),
    "a success before": ("100000", True),
    "a success after does not undo it": ("000001", True),
    "never five in a row": ("0000100001", False),
    "four": ("0000", False),
    "only successes": ("11111", False),
    "alternating": ("0101010101", False),
    "far more": ("0" * 50, True),
}


@pytest.mark.mission("A-23")
@pytest.mark.parametrize(("outcomes", "opens"), SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_order_of_completion_decides(outcomes, opens, at_once, make, key):
    breakers = make()
    results = [(key, outcome == "1") for outcome in outcomes]
    for batch in [results] if at_once else [[one] for one in results]:
        breakers.record(batch)
    assert is_open(breakers, key) == opens


def test_what_was_under_way_when_it_opened_changes_nothing(make, key):
    breakers = make()
    fail(breakers, key)
    before = breakers.check([key]).restricted[key].wait
    breakers.record([(key, True), (key, False), (key, False)])
    after = breakers.check([key]).restricted[key]
    assert after.admits == 0
    assert after.wait <= before


@pytest.mark.mission("A-24")
def test_one_open_breaker_stops_no_other_way(make, key):
    breakers = make()
    fail(breakers, key)
    others = [f"{key}-{number}" for number in range(20)]
    admissions = breakers.check([key, *others])
    assert set(admissions.restricted) == {key}
    assert [admissions.take(other) for other in others] == [None] * 20


@pytest.mark.mission("A-23")
def test_after_its_time_a_batch_gets_one_probe_and_the_rest_waits_for_it(make, key):
    breakers = make(reset_timeout=SHORT)
    fail(breakers, key)
    end = time.monotonic() + 5
    while (admissions := breakers.check([key])).restricted[key].admits == 0:
        assert time.monotonic() < end
    assert admissions.take(key) is None
    assert 0 < admissions.take(key) <= 5
    assert 0 < breakers.check([key]).take(key) <= 5


@pytest.mark.mission("A-23")
def test_a_probe_that_succeeds_closes_it(make, key):
    breakers = make(reset_timeout=SHORT)
    fail(breakers, key)
    probe_when_due(breakers, key)
    breakers.record([(key, True)])
    assert not is_open(breakers, key)
    fail(breakers, key, 4)
    assert not is_open(breakers, key)


@pytest.mark.mission("A-23")
def test_a_probe_that_fails_opens_it_for_the_whole_time_again(make, key):
    breakers = make(reset_timeout=SHORT)
    fail(breakers, key)
    probe_when_due(breakers, key)
    fail(breakers, key, 1)
    assert SHORT / 2 < breakers.check([key]).take(key) <= SHORT
    probe_when_due(breakers, key)


def test_a_probe_that_nobody_reports_about_is_given_out_again(make, key):
    breakers = make(reset_timeout=SHORT, probe_seconds=0.3)
    fail(breakers, key)
    probe_when_due(breakers, key)
    assert breakers.check([key]).take(key) is not None
    probe_when_due(breakers, key)


def test_this_process_knows_without_asking_what_it_has_just_opened(make, key):
    breakers = make(reset_timeout=SHORT)
    assert breakers.closed_for(key) is None
    fail(breakers, key)
    assert 0 < breakers.closed_for(key) <= SHORT
    probe_when_due(breakers, key)
    assert breakers.closed_for(key) is None


def test_open_ones_are_listed_and_closed_ones_are_not(make, key):
    breakers = make(reset_timeout=SHORT)
    fail(breakers, key)
    fail(breakers, key + "-failing", 2)
    standing = breakers.states()
    assert (standing[key].state, standing[key].failures) == ("open", 5)
    assert key + "-failing" not in standing
    probe_when_due(breakers, key)
    assert breakers.states()[key].state == "half-open"
    breakers.record([(key, True)])
    assert key not in breakers.states()


# --- over several processes


@pytest.mark.mission("A-23")
def test_failures_of_all_processes_count_together(shared, key):
    first, second = shared(), shared()
    fail(first, key, 3)
    fail(second, key, 2)
    assert is_open(first, key)
    assert is_open(second, key)
    assert key in shared().states()


def test_a_success_in_one_process_ends_the_row_of_another_that_it_has_seen(shared, key):
    first, second = shared(), shared()
    fail(first, key, 4)
    second.check([key])
    second.record([(key, True)])
    fail(first, key, 4)
    assert not is_open(first, key)


@pytest.mark.mission("A-23")
def test_of_all_processes_one_gets_the_probe(shared, key):
    processes = [shared(reset_timeout=SHORT) for _ in range(8)]
    fail(processes[0], key)
    granted = 0
    with ThreadPoolExecutor(8) as threads:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            granted += sum(threads.map(lambda one: one.check([key]).restricted[key].admits, processes))
    assert granted == 1


def test_the_result_of_another_process_is_not_taken_for_the_probes(shared, key):
    prober, other = shared(reset_timeout=SHORT), shared(reset_timeout=SHORT)
    fail(prober, key)
    probe_when_due(prober, key)
    other.check([key])
    other.record([(key, True)])
    assert is_open(other, key)
    prober.record([(key, True)])
    assert not is_open(other, key)


def test_a_plain_pybreaker_over_the_same_redis_agrees(shared, servers, key):
    breakers = shared()
    fail(breakers, key)
    client = redis_client(servers["redis"], "breakers")
    plain = CircuitBreaker(state_storage=CircuitRedisStorage("closed", client, namespace=PREFIX + key))
    assert (plain.current_state, plain.fail_counter) == ("open", 5)
    plain.close()
    assert not is_open(breakers, key)


# --- what it costs


@pytest.fixture
def asked(servers) -> Callable[[], int]:
    """How many scripts and other commands Redis has run, apart from this question."""
    client = redis_client(servers["redis"], "breakers")

    def count() -> int:
        calls = client.info("commandstats")
        inner = ("get", "mget", "set", "del", "pttl", "sadd", "srem", "smembers", "time", "info", "script|load")
        return sum(one["calls"] for name, one in calls.items() if name.removeprefix("cmdstat_") not in inner)

    return count


def test_a_batch_is_asked_about_and_told_in_one_round_trip_each(shared, key, asked):
    breakers = shared()
    keys = [f"{key}-{number}" for number in range(200)]
    breakers.check(keys[:1])
    fail(breakers, key, 1)
    before = asked()
    breakers.check(keys)
    assert asked() - before == 1
    breakers.record([(one, False) for one in keys])
    assert asked() - before == 2


def test_successes_on_healthy_ways_are_not_told_at_all(shared, key, asked):
    breakers = shared()
    keys = [f"{key}-{number}" for number in range(200)]
    breakers.check(keys)
    before = asked()
    breakers.record([(one, True) for one in keys])
    breakers.record([])
    breakers.check([])
    assert asked() == before


# --- without Redis


def quickly(seconds: float, what: Callable[[], object]) -> None:
    began = time.monotonic()
    what()
    assert time.monotonic() - began < seconds


@pytest.mark.mission("A-23")
def test_with_nobody_at_the_address_each_process_goes_on_with_its_own(key, tmp_path):
    breakers = Breakers(redis_client(f"unix://{tmp_path}/nobody.sock", "breakers"))
    quickly(0.2, lambda: breakers.check([key]))
    quickly(0.2, lambda: fail(breakers, key))
    assert is_open(breakers, key)
    assert set(breakers.states()) == {key}


def test_a_redis_that_hangs_delays_one_batch_by_a_quarter_second_and_the_next_not_at_all(key):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        breakers = Breakers(redis_client(f"redis://127.0.0.1:{silent.getsockname()[1]}", "breakers"))
        quickly(0.6, lambda: breakers.check([key]))
        quickly(0.05, lambda: breakers.check([key]))
        quickly(0.05, lambda: fail(breakers, key))
        assert is_open(breakers, key)


def test_what_is_not_redis_is_treated_as_away(key, hooks):
    breakers = Breakers(redis_client(hooks.url.replace("http", "redis"), "breakers"))
    quickly(0.6, lambda: breakers.check([key]))
    fail(breakers, key)
    assert is_open(breakers, key)


def test_when_redis_is_back_it_is_used_again(servers, key, tmp_path):
    link = tmp_path / "redis.sock"
    breakers = Breakers(redis_client(f"unix://{link}?db=1", "breakers"), down=0.3)
    fail(breakers, key)
    assert is_open(breakers, key)
    link.symlink_to(servers["redis"].removeprefix("unix://").partition("?")[0])
    end = time.monotonic() + 5
    while is_open(breakers, key):
        assert time.monotonic() < end
        time.sleep(0.05)
    fail(breakers, key)
    assert is_open(Breakers(redis_client(servers["redis"], "breakers")), key)


def test_a_flushed_redis_forgets_and_goes_on(shared, servers, key):
    breakers = shared()
    fail(breakers, key)
    redis_client(servers["redis"], "breakers").flushdb()
    assert not is_open(breakers, key)
    assert breakers.closed_for(key) is None
    fail(breakers, key)
    assert is_open(breakers, key)
