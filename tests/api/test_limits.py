"""How much a key may publish: counted in events, over all API processes, and nothing of a refused request is stored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import redis

from api.errors import Problem
from api.limits import SCARCE, EventLimits, Window, used, wait_for
from tests.api.test_access import is_problem
from tests.support.api import Api, running
from tests.support.stalled import StalledPort

MOST = 10
NOWHERE = "unix:///nowhere/at/all.sock"


@pytest.fixture(scope="module")
def api(
    module_database_url: str, servers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API whose keys may publish ten events a minute."""
    addresses = {"BELLWIRE_BROKER_URL": servers["broker"], "BELLWIRE_REDIS_URL": servers["redis"]}
    folder = tmp_path_factory.mktemp("api")
    with running(module_database_url, folder, BELLWIRE_EVENTS_PER_MINUTE=str(MOST), **addresses) as made:
        yield made


def post(api: Api, key: str, events: int = 1) -> Any:
    """Publish so many events that nobody has published before."""
    made = [{"type": "ssl_expiry", "data": {"host": uuid4().hex}} for _ in range(events)]
    with api.client(None, **{"X-API-Key": key}) as client:
        return client.post("/v1/events", json=made[0] if events == 1 else {"events": made})


def stored(api: Api) -> int:
    return int(api.rows("SELECT count(*) FROM events")[0][0])


@pytest.mark.mission("D-37")
def test_what_is_too_much_is_refused_with_the_time_to_come_back(api: Api) -> None:
    key = api.new_key("publisher").key
    assert [post(api, key, 4).status_code, post(api, key, 6).status_code] == [202, 202]
    before = stored(api)
    answer = post(api, key)
    assert is_problem(answer, 429, "bellwire.rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 120
    assert answer.headers["Retry-After"] in answer.json()["detail"]
    assert stored(api) == before


@pytest.mark.mission("D-37")
def test_events_are_counted_and_not_requests_and_what_is_refused_is_not(api: Api) -> None:
    key = api.new_key("publisher").key
    assert post(api, key, 8).status_code == 202
    assert post(api, key, 3).status_code == 429
    assert post(api, key, 2).status_code == 202
    assert post(api, key).status_code == 429


def test_every_key_has_its_own_share(api: Api) -> None:
    mine, yours, others = (api.new_key("publisher", tenant).key for tenant in ("default", "default", "other"))
    assert post(api, mine, MOST).status_code == 202
    assert post(api, mine).status_code == 429
    assert (post(api, yours).status_code, post(api, others).status_code) == (202, 202)


def test_a_users_token_that_may_publish_has_a_share_too(api: Api) -> None:
    api.key("admin")
    with api.user("boss {x}/1", role="publisher") as client:
        answers = [client.post("/v1/events", json={"type": f"a{number}"}).status_code for number in range(MOST + 1)]
    assert answers == [202] * MOST + [429]


def test_a_request_that_never_fits_is_told_to_be_smaller(api: Api) -> None:
    answer = post(api, api.new_key("publisher").key, MOST + 1)
    assert is_problem(answer, 413, "bellwire.too_large")
    assert str(MOST) in answer.json()["detail"]


def test_requests_that_come_at_once_get_no_more_than_the_limit(api: Api) -> None:
    key = api.new_key("publisher").key
    with ThreadPoolExecutor(8) as pool:
        answers = [one.result(30) for one in [pool.submit(post, api, key) for _ in range(3 * MOST)]]
    assert sorted(answer.status_code for answer in answers) == [202] * MOST + [429] * (2 * MOST)


def test_two_processes_share_the_limit(redis_url: str) -> None:
    first, second = EventLimits(MOST, redis_url), EventLimits(MOST, redis_url)
    assert ask(first, 6) == [202]
    assert ask(second, 6) == [429]
    assert ask(second, 4) == [202]


def ask(limits: EventLimits, *costs: int, publisher: str = "acme\0key:1") -> list[int]:
    """The status of each of these requests, asked together."""
    return [status(one) for one in limits.refused([(publisher, cost) for cost in costs])]


def status(problem: Problem | None) -> int:
    return 202 if problem is None else problem.status


@pytest.mark.parametrize("kind", ["shared", "own"])
@pytest.mark.parametrize(
    ("costs", "answers"),
    [
        ((5, 5), [202, 202]),
        ((5, 6, 5, 1), [202, 429, 202, 429]),
        ((11, 10), [413, 202]),
        ((11,), [413]),
        ((1,) * 12, [202] * 10 + [429] * 2),
    ],
)
def test_of_what_comes_together_the_first_that_fit_are_taken(
    redis_url: str, kind: str, costs: tuple[int, ...], answers: list[int]
) -> None:
    assert ask(EventLimits(MOST, redis_url if kind == "shared" else None), *costs) == answers


def test_many_requests_of_a_publisher_cost_one_question(redis_url: str) -> None:
    limits = EventLimits(1000, redis_url)
    ask(limits, 1)
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]  # type: ignore[union-attr]
        ask(limits, *[1] * 50)
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]  # type: ignore[index]
    assert after - before == 1


def test_without_a_limit_nothing_is_counted() -> None:
    limits = EventLimits(0, NOWHERE)
    assert ask(limits, 10**9) == [202]
    assert limits._client is None


@pytest.mark.mission("D-37")
def test_with_redis_away_a_process_counts_for_itself_and_asks_it_once(redis_url: str) -> None:
    limits = EventLimits(MOST, NOWHERE)
    assert [ask(limits, 6), ask(limits, 6), ask(limits, 4)] == [[202], [429], [202]]


def test_a_redis_that_does_not_answer_holds_up_one_transaction_and_not_the_next() -> None:
    with StalledPort() as silent:
        limits = EventLimits(MOST, silent.url.replace("http", "redis"))
        began = time.monotonic()
        assert ask(limits, 1) == [202]
        assert time.monotonic() - began < 2
        began = time.monotonic()
        assert [ask(limits, 1) for _ in range(5)] == [[202]] * 5
        assert time.monotonic() - began < 0.2


@pytest.mark.parametrize(
    ("window", "cost", "seconds"),
    [
        ((0, 0.0, 10, 120.0), 1, 66.0),  # a minute until it is the minute before, then a tenth of one
        ((0, 0.0, 10, 90.0), 10, 90.0),  # all of it must have passed
        ((10, 60.0, 0, 120.0), 1, 6.0),
        ((10, 30.0, 5, 90.0), 2, 12.0),
        ((0, 0.0, 10, 120.0), 11, SCARCE),
    ],
)
def test_the_wait_is_as_long_as_it_takes(window: Window, cost: int, seconds: float) -> None:
    assert wait_for(cost, MOST, window) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("window", "count"), [((0, 0.0, 7, 90.0), 7), ((10, 30.0, 2, 90.0), 7), ((10, 0.0, 2, 60.0), 2)]
)
def test_the_minute_before_counts_by_its_share(window: Window, count: int) -> None:
    assert used(window) == count
