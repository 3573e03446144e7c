"""Rate limits and caps: counted over all processes on Valkey, and by each for itself when it is away."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest

from channels.base import Limit
from channels.limits import CAP_SPREAD, MOST_PAUSE, MOST_WAIT, Ask, Caps, Limits
from channels.limits_redis import PAUSED, PREFIX
from config.connections import redis_client

WINDOW = 30  # seconds: longer than any test


@pytest.fixture
def account() -> str:
    return f"acme:resend-{uuid4()}"


@pytest.fixture(params=["shared", "alone"])
def make(request) -> Callable[..., Limits]:
    """Makes the limits of one process."""
    if request.param == "alone":
        return lambda overrides=(): Limits(None, dict(overrides))
    url = request.getfixturevalue("servers")["redis"]
    return lambda overrides=(): Limits(redis_client(url, "limits"), dict(overrides))


@pytest.fixture
def shared(servers) -> Callable[..., Limits]:
    return lambda overrides=(): Limits(redis_client(servers["redis"], "limits"), dict(overrides))


def asks(account: str, count: int, *limits: Limit, address: str = "a") -> list[Ask]:
    return [Ask(account, "resend", address, limits)] * count


def admitted(answers: list[float | None]) -> int:
    """How many may go; they are the first ones."""
    count = answers.count(None)
    assert answers[:count] == [None] * count
    return count


# --- what is admitted


@pytest.mark.mission("E-45")
@pytest.mark.parametrize(
    ("count", "limit", "expected"),
    [(1, 1, 1), (7, 7, 7), (8, 7, 7), (200, 7, 7), (200, 200, 200), (200, 1000, 200), (3, 0, 3)],
)
def test_a_batch_is_split_exactly_where_the_limit_is(make, account, count, limit, expected):
    limits = make({"resend": (limit, WINDOW)} if limit == 0 else {})
    batch = asks(account, count, Limit(limit or 1, WINDOW))
    assert admitted(limits.admit(batch)) == expected
    assert admitted(limits.admit(batch)) == min(count, max(limit - expected, 0) if limit else count)


@pytest.mark.mission("E-45")
def test_what_does_not_fit_comes_back_spread_over_the_windows_that_follow(make, account):
    waits = make().admit(asks(account, 40, Limit(10, WINDOW)))[10:]
    assert all(WINDOW <= wait <= WINDOW + WINDOW + MOST_WAIT for wait in waits)
    first = waits[:10]  # the most urgent ones, with the next window
    assert all(WINDOW + 3 * place <= wait <= WINDOW + 3 * place + 3 for place, wait in enumerate(first))
    assert all(wait >= 2 * WINDOW for wait in waits[10:])
    assert all(abs(one - other) > 0 for one, other in pairwise(sorted(waits)))


def test_what_is_far_behind_asks_again_within_a_minute(make, account):
    waits = make().admit(asks(account, 2000, Limit(2, 1)))[2:]
    assert max(waits) <= 2 + MOST_WAIT + 1
    assert sum(30 < wait < 45 for wait in waits) > 100
    assert sum(wait > 45 for wait in waits) > 100


def test_room_comes_back_when_the_window_has_passed(make, account):
    limits = make()
    assert admitted(limits.admit(asks(account, 3, Limit(2, 1)))) == 2
    end = time.monotonic() + 5
    while admitted(limits.admit(asks(account, 1, Limit(2, 1)))) == 0:
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.mission("E-45")
def test_one_address_at_its_limit_stops_neither_the_others_nor_the_account(make, account):
    limits = make()
    declared = (Limit(30, WINDOW), Limit(1, WINDOW, "address"))
    storm = asks(account, 100, *declared, address="chat1")
    others = [Ask(account, "telegram", f"chat{number}", declared) for number in range(2, 40)]
    answers = limits.admit([*storm, *others])
    assert answers[:100].count(None) == 1
    assert answers[100:].count(None) == 29  # the hundred took one place of the account's thirty


def test_accounts_are_counted_apart(make, account):
    limits = make()
    mixed = [Ask(f"{account}{number % 2}", "resend", "a", (Limit(5, WINDOW),)) for number in range(20)]
    answers = limits.admit(mixed)
    assert [place for place, wait in enumerate(answers) if wait is None] == list(range(10))


def test_the_installations_own_figure_replaces_what_the_provider_publishes(make, account):
    limits = make({"resend": (12, WINDOW)})
    assert admitted(limits.admit(asks(account, 50, Limit(2, 1)))) == 12
    assert admitted(limits.admit(asks(f"{account}-none-declared", 50))) == 12


def test_that_figure_is_the_accounts_and_leaves_the_rule_about_addresses(make, account):
    limits = make({"resend": (12, WINDOW)})
    assert admitted(limits.admit(asks(account, 5, Limit(2, 1), Limit(1, WINDOW, "address")))) == 1


def test_a_limit_of_hundreds_of_thousands_is_kept_second_by_second(shared, account, servers):
    assert admitted(shared().admit(asks(account, 200, Limit(600_000, 60)))) == 200
    (key,) = redis_client(servers["redis"], "limits").keys(f"*{account}*")
    assert key.decode().endswith("/10000/1/second")


# --- pauses


@pytest.mark.mission("E-45")
@pytest.mark.parametrize("declared", [(), (Limit(1000, 1),), (Limit(1000, 1), Limit(5, 1, "address"))])
def test_a_pause_holds_up_everything_on_the_account(make, account, declared):
    limits = make()
    limits.pause(account, 20)
    answers = limits.admit([*asks(account, 50, *declared), *asks(f"{account}-other", 5, *declared)])
    assert all(19 < wait <= 22 for wait in answers[:50])
    assert len(set(answers[:50])) == 50
    assert answers[50:] == [None] * 5


@pytest.mark.parametrize(("seconds", "most"), [(1e12, MOST_PAUSE * 1.1), (-5, 0), (0, 0)])
def test_a_pause_is_neither_endless_nor_negative(make, account, seconds, most):
    limits = make()
    limits.pause(account, seconds)
    (wait,) = limits.admit(asks(account, 1))
    assert (wait or 0) <= most


def test_a_shorter_pause_does_not_end_a_longer_one(make, account):
    limits = make()
    limits.pause(account, 30)
    limits.pause(account, 1)
    assert limits.admit(asks(account, 1))[0] > 29


def test_not_even_one_that_another_process_made(shared, account):
    shared().pause(account, 30)
    shared().pause(account, 1)
    assert shared().admit(asks(account, 1))[0] > 29


@pytest.mark.mission("E-45")
def test_another_process_sees_a_pause_at_once_where_it_counts_and_within_a_second_elsewhere(shared, account):
    first, second = shared(), shared()
    second.admit([*asks(account, 1), *asks(f"{account}-limited", 1, Limit(100, 1))])
    first.pause(account, 30)
    first.pause(f"{account}-limited", 30)
    assert second.admit(asks(f"{account}-limited", 1, Limit(100, 1)))[0] is not None
    end = time.monotonic() + 3
    while second.admit(asks(account, 1))[0] is None:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_pause_ends(make, account):
    limits = make()
    limits.pause(account, 0.2)
    assert limits.admit(asks(account, 1))[0] is not None
    end = time.monotonic() + 5
    while limits.admit(asks(account, 1))[0] is not None:
        assert time.monotonic() < end
        time.sleep(0.02)


# --- over several processes


def hammer(url: str, account: str, seconds: float, results: Any) -> None:
    """What one worker process does: asks for batches as fast as it can."""
    limits = Limits(redis_client(url, "limits"), {})
    end = time.monotonic() + seconds
    moments: list[float] = []
    while time.monotonic() < end:
        before = time.time()
        moments += [before] * admitted(limits.admit(asks(account, 7, Limit(50, 1))))
    results.put(moments)


@pytest.mark.mission("E-45")
def test_processes_together_never_exceed_a_limit_in_any_window(servers, account):
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    workers = [context.Process(target=hammer, args=(servers["redis"], account, 1.6, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    moments = sorted(moment for _ in workers for moment in results.get(timeout=60))
    for worker in workers:
        worker.join(30)
    slack = 0.05  # a process notes the time before it asks
    assert all(later - first > 1 - slack for first, later in zip(moments, moments[50:], strict=False))
    assert len(moments) >= 100


def test_threads_share_one_limit(shared, account):
    limits = [shared() for _ in range(4)] * 2
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda one: one.admit(asks(account, 40, Limit(100, WINDOW))), limits))
    assert sum(answer.count(None) for answer in answers) == 100


# --- what it costs


@pytest.fixture
def asked(servers) -> Callable[[Callable[[], object]], int]:
    """How many round trips something makes: as often as the server is sent something."""
    client = redis_client(servers["redis"], "limits")

    def count(work: Callable[[], object]) -> int:
        before = client.info("stats")["total_reads_processed"]
        work()
        return int(client.info("stats")["total_reads_processed"] - before - 1)

    return count


SIZES = [1, 200]


@pytest.mark.parametrize("size", SIZES)
def test_a_batch_on_one_account_costs_one_round_trip(shared, account, asked, size):
    limits = shared()
    limits.admit(asks(account, 1, Limit(1000, WINDOW)))
    assert asked(lambda: limits.admit(asks(account, size, Limit(1000, WINDOW)))) == 1


@pytest.mark.parametrize("size", SIZES)
def test_a_batch_of_which_a_part_waits_costs_two(shared, account, asked, size):
    limits = shared()
    limits.admit(asks(account, 1, Limit(100, WINDOW), Limit(10, WINDOW, "address")))
    batch = [
        Ask(account, "telegram", f"a{number % 10}", (Limit(100, WINDOW), Limit(10, WINDOW, "address")))
        for number in range(size)
    ]
    assert asked(lambda: limits.admit(batch)) == 2


def test_a_batch_that_cannot_fit_is_not_tried_whole_first(shared, account, asked):
    limits = shared()
    limits.admit(asks(account, 1, Limit(100, WINDOW)))
    assert asked(lambda: limits.admit(asks(account, 200, Limit(100, WINDOW)))) == 2
    assert asked(lambda: limits.admit(asks(account, 200, Limit(100, WINDOW)))) == 1


def test_accounts_without_limits_and_pauses_cost_a_look_a_second_and_no_more(shared, account, asked):
    limits = shared()
    limits.admit(asks(account, 1))

    def many() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert limits.admit(asks(account, 200)) == [None] * 200

    assert asked(many) <= 1
    assert asked(lambda: limits.admit([])) == 0


def test_neither_addresses_nor_more_than_hashes_of_them_stand_in_valkey(shared, account, servers):
    client = redis_client(servers["redis"], "limits")
    shared().admit([Ask(account, "twilio", "+4915112345678", (Limit(1, WINDOW, "address"),))])
    Caps(client, {"email": (1, WINDOW)}).admit("email", [f"{account}:ada@example.org"])
    names = [key.decode() for key in client.keys(f"{PREFIX}*")]
    assert any(account in name for name in names)
    assert not any("4915112345678" in name or "example" in name for name in names)
    assert all(client.ttl(name) > 0 for name in names if name != PAUSED)


# --- without Valkey


def quickly(seconds: float, what: Callable[[], object]) -> None:
    began = time.monotonic()
    what()
    assert time.monotonic() - began < seconds


@pytest.mark.mission("E-45")
def test_with_valkey_away_each_process_counts_its_own(account, tmp_path):
    limits = Limits(redis_client(f"unix://{tmp_path}/nobody.sock", "limits"), {})
    batch = asks(account, 5, Limit(3, WINDOW))
    assert admitted(limits.admit(batch)) == 3
    quickly(0.2, lambda: limits.admit(batch))
    limits.pause(account, 20)
    assert limits.admit(asks(account, 1))[0] > 19


def test_a_valkey_that_hangs_delays_one_batch_and_the_next_not_at_all(account):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limits = Limits(redis_client(f"redis://127.0.0.1:{silent.getsockname()[1]}", "limits"), {})
        quickly(0.8, lambda: limits.admit(asks(account, 2, Limit(1, WINDOW))))
        quickly(0.1, lambda: limits.admit(asks(account, 2, Limit(1, WINDOW))))
        quickly(0.1, lambda: limits.pause(account, 5))


def test_what_others_paused_stays_paused_when_valkey_goes_away(servers, account, tmp_path):
    link = tmp_path / "redis.sock"
    link.symlink_to(servers["redis"].removeprefix("unix://").partition("?")[0])
    client = redis_client(f"unix://{link}?db=1", "limits")
    limits = Limits(client, {})
    Limits(redis_client(servers["redis"], "limits"), {}).pause(account, 30)
    assert limits.admit(asks(account, 1))[0] is not None
    link.unlink()
    client.connection_pool.disconnect()
    assert limits.admit(asks(f"{account}-other", 2, Limit(1, WINDOW)))[0] is None
    assert limits.admit(asks(account, 1))[0] is not None


def test_when_valkey_is_back_it_is_used_again(servers, account, tmp_path):
    link = tmp_path / "redis.sock"
    limits = Limits(redis_client(f"unix://{link}?db=1", "limits"), {}, down=0.3)
    limits.admit(asks(account, 1, Limit(100, WINDOW)))
    link.symlink_to(servers["redis"].removeprefix("unix://").partition("?")[0])
    client = redis_client(servers["redis"], "limits")
    end = time.monotonic() + 5
    while not client.keys(f"{PREFIX}*{account}*"):
        assert time.monotonic() < end
        limits.admit(asks(account, 1, Limit(100, WINDOW)))
        time.sleep(0.05)


def test_a_flushed_valkey_forgets_scripts_and_windows_and_goes_on(shared, account, servers):
    limits, client = shared(), redis_client(servers["redis"], "limits")
    batch = asks(account, 5, Limit(3, WINDOW))
    limits.admit(batch)
    client.flushall()
    client.script_flush()
    assert admitted(limits.admit(batch)) == 3


# --- caps


@pytest.fixture(params=["shared", "alone"])
def caps(request) -> Callable[..., Caps]:
    url = request.getfixturevalue("servers")["redis"] if request.param == "shared" else None
    return lambda **caps: Caps(redis_client(url, "limits") if url else None, caps)


@pytest.mark.mission("E-45")
def test_an_address_gets_so_many_and_what_is_beyond_waits_for_the_end_of_the_window_together(caps):
    one, tenant = caps(email=(3, WINDOW)), f"t{uuid4()}"
    answers = one.admit("email", [f"{tenant}:ada"] * 8)
    assert answers[:3] == [None] * 3
    assert len(set(answers[3:])) == 1
    assert WINDOW - 1 < answers[3] <= WINDOW * (1 + CAP_SPREAD)
    (again,) = one.admit("email", [f"{tenant}:ada"])
    assert again == pytest.approx(answers[3], abs=1)


def test_caps_are_counted_apart_by_tenant_address_and_channel(caps):
    one, tenant = caps(email=(1, WINDOW), sms=(1, WINDOW)), f"t{uuid4()}"
    assert one.admit("email", [f"{tenant}:a", f"{tenant}:b", f"{tenant}-other:a"]) == [None] * 3
    assert one.admit("sms", [f"{tenant}:a"]) == [None]
    assert None not in one.admit("email", [f"{tenant}:a", f"{tenant}:b", f"{tenant}-other:a"])


@pytest.mark.parametrize(
    ("channel", "configured"),
    [("email", {}), ("email", {"email": (0, WINDOW)}), ("webhook", {"webhook": (1, WINDOW)})],
    ids=["none", "none-on-purpose", "for-programs-there-is-none"],
)
def test_a_channel_without_a_cap_admits_everything_and_asks_nobody(servers, asked, channel, configured):
    caps = Caps(redis_client(servers["redis"], "limits"), configured)
    assert asked(lambda: caps.admit(channel, ["t:a"] * 200)) == 0
    assert caps.admit(channel, ["t:a"] * 200) == [None] * 200


@pytest.mark.parametrize("size", [1, 30])  # what is written at once has room for that many
def test_the_caps_of_a_batch_of_addresses_cost_one_round_trip(servers, asked, size):
    caps = Caps(redis_client(servers["redis"], "limits"), {"email": (5, WINDOW)})
    caps.admit("email", ["t:a"])
    tenant = f"t{uuid4()}"
    assert asked(lambda: caps.admit("email", [f"{tenant}:{number}" for number in range(size)])) == 1


def test_a_cap_is_one_for_all_processes(servers):
    tenant = f"t{uuid4()}"
    processes = [Caps(redis_client(servers["redis"], "limits"), {"email": (5, WINDOW)}) for _ in range(4)]
    answers = [wait for one in processes for wait in one.admit("email", [f"{tenant}:a"] * 3)]
    assert answers.count(None) == 5
