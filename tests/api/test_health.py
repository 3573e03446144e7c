"""What health says, and that events are taken as long as the database is there, whatever else is not."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api, running
from tests.support.servers import Servers
from tests.support.waiting import wait_until

AT_ONCE = 0.5  # seconds
BOUNDED = 2.0  # seconds: the promise is 1.5, and the machine may be busy


@pytest.fixture(scope="module")
def own() -> Iterator[Servers]:
    """Servers that these tests may freeze and stop."""
    with Servers() as made:
        yield made


@pytest.fixture(scope="module")
def there(own: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API on them. All is well again when a test ends."""
    settings = {"BELLWIRE_BROKER_URL": own.places.broker_url, "BELLWIRE_REDIS_URL": own.places.redis_url}
    with running(own.new_database(), tmp_path_factory.mktemp("there"), **settings) as made:
        yield made


@pytest.fixture
def ending(own: Servers, tmp_path: Path) -> Iterator[Api]:
    """Another one, that a test may end."""
    settings = {"BELLWIRE_BROKER_URL": own.places.broker_url, "BELLWIRE_REDIS_URL": own.places.redis_url}
    with running(own.new_database(), tmp_path, **settings) as made:
        yield made


def publish(api: Api) -> float:
    """Publish an event; seconds until 202."""
    api.key("publisher")
    with api.client("publisher") as client:
        began = time.monotonic()
        answer = client.post("/v1/events", json={"type": "conversation.message_posted"})
        assert answer.status_code == 202, answer.text
        return time.monotonic() - began


def test_all_is_well(there: Api) -> None:
    with there.client(None) as client:
        assert client.get("/health/live").status_code == 200
        ready = client.get("/health/ready")
        assert client.head("/health/ready").status_code == 200
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "broker": "ok", "redis": "ok"}


def test_a_channel_without_a_provider_is_named_and_does_no_harm(there: Api) -> None:
    with there.client(None) as client:
        ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert any(warning.startswith("email has no provider") for warning in ready.json()["warnings"])
    assert not any(warning.startswith("webhook") for warning in ready.json()["warnings"])


def test_with_previews_no_provider_is_missed(own: Servers, tmp_path: Path) -> None:
    settings = {"BELLWIRE_BROKER_URL": own.places.broker_url, "BELLWIRE_REDIS_URL": own.places.redis_url}
    with running(own.new_database(), tmp_path, BELLWIRE_PREVIEW="true", **settings) as api, api.client(None) as client:
        assert client.get("/health/ready").json()["warnings"] == []


@pytest.mark.mission("D-38")
def test_with_a_frozen_broker_events_are_taken_at_once_and_health_says_so(there: Api, own: Servers) -> None:
    publish(there)  # connections stand
    own.valkey.freeze()
    try:
        assert max(publish(there) for _ in range(5)) < AT_ONCE
        with there.client(None) as client:
            began = time.monotonic()
            ready = client.get("/health/ready")
            assert time.monotonic() - began < BOUNDED
            assert client.get("/health/live").status_code == 200
            assert "bellwire_database_up 1.0" in client.get("/metrics").text
        assert is_problem(ready, 503, "bellwire.not_ready")
        assert ready.json()["checks"] == {
            "database": "ok",
            "broker": "does not answer",
            "redis": ready.json()["checks"]["redis"],
        }
        assert ready.json()["checks"]["redis"] != "ok"
        assert "broker does not answer" in ready.json()["detail"]
    finally:
        own.valkey.thaw()
    with there.client(None) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200, "all to be well again")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/1", "amqp://127.0.0.1:{}//"])
def test_without_a_broker_events_are_taken_at_once(own: Servers, tmp_path: Path, url: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        settings = {"BELLWIRE_BROKER_URL": url.format(port), "BELLWIRE_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        with running(own.new_database(), tmp_path, **settings) as api, api.client("operator") as client:
            publish(api)
            assert max(publish(api) for _ in range(5)) < AT_ONCE
            ready = client.get("/health/ready")
            assert is_problem(ready, 503)
            assert ready.json()["checks"]["database"] == "ok"
            assert ready.json()["checks"]["broker"].startswith("cannot be reached")
            assert ready.json()["checks"]["redis"].startswith("cannot be reached")
            found = client.post("/api/cron/retries")
            assert found.status_code == 200
            metrics = client.get("/metrics").text
    assert "bellwire_broker_up 0.0" in metrics
    assert "bellwire_database_up 1.0" in metrics


def test_a_database_without_tables_is_said_to_have_none(own: Servers, tmp_path: Path) -> None:
    own.execute("postgres", "CREATE DATABASE bare")
    settings = {"BELLWIRE_BROKER_URL": own.places.broker_url, "BELLWIRE_REDIS_URL": own.places.redis_url}
    with running(own.database_url("bare"), tmp_path, **settings) as api, api.client(None, X_API_Key="bw_x") as client:
        ready = client.get("/health/ready")
        assert is_problem(ready, 503)
        assert "bellwire migrate" in ready.json()["checks"]["database"]
        assert is_problem(client.get("/v1/events", headers={"X-API-Key": "bw_x"}), 503, "bellwire.database_away")


def test_with_a_frozen_database_health_answers_in_time(there: Api, own: Servers) -> None:
    with there.client(None) as client:
        assert client.get("/health/ready").status_code == 200
        own.postgres.freeze()
        try:
            for _ in range(3):
                began = time.monotonic()
                ready = client.get("/health/ready")
                assert time.monotonic() - began < BOUNDED
                assert is_problem(ready, 503)
                assert ready.json()["checks"]["database"] == "does not answer"
                assert client.get("/health/live").status_code == 200
            assert "bellwire_database_up 0.0" in client.get("/metrics").text
        finally:
            own.postgres.thaw()
        wait_until(lambda: client.get("/health/ready").status_code == 200, "all to be well again")


def test_without_a_database_every_request_is_told_to_come_again(there: Api, own: Servers) -> None:
    key = there.key("admin")
    with there.client("admin") as client:
        assert client.post("/v1/events", json={"type": "x"}).status_code == 202
        own.stop_postgres()
        try:
            for answer in (
                client.post("/v1/events", json={"type": "x"}),
                client.get("/v1/events"),
                client.put("/v1/users/u1", json={}),
                client.post("/api/cron/retries"),
            ):
                assert is_problem(answer, 503, "bellwire.database_away")
                assert int(answer.headers["retry-after"]) > 0
            assert client.get("/health/live").status_code == 200
            assert is_problem(client.get("/health/ready"), 503)
            assert client.get("/metrics").status_code == 200
        finally:
            own.start_postgres()
        wait_until(lambda: client.get("/health/ready").status_code == 200, "all to be well again")
        assert client.post("/v1/events", json={"type": "y"}).status_code == 202
    assert key not in there.log.read_text()


def test_a_request_under_way_is_finished_before_the_process_ends(ending: Api) -> None:
    publish(ending)
    with (
        psycopg.connect(ending.database_url) as other,
        ending.client("publisher") as client,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("LOCK TABLE events IN SHARE MODE")
        waiting = pool.submit(client.post, "/v1/events", json={"type": "x"})
        locked = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        wait_until(lambda: ending.rows(locked), "the request to wait for the table")
        ending.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Shutting down" in ending.log.read_text(), "the API to begin to end")
        other.rollback()
        assert waiting.result().status_code == 202
    assert ending.process.wait(10) == -signal.SIGTERM  # the server ends in order, then by the signal
    assert ending.rows("SELECT count(*) FROM events") == [(2,)]
    log = ending.log.read_text()
    assert '"event": "stopped"' in log
    assert "Traceback" not in log
