"""Ringing the bell never holds up who rings, and a broker that is away costs nothing but latency."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from config.settings import settings
from tests.support.waiting import wait_until


@pytest.fixture
def ringer(process: Any) -> Any:
    """A ringer of its own, of the process's application."""
    from tasks.bells import Ringer

    return Ringer()


@pytest.fixture
def elsewhere(process: Any) -> Any:
    """Points the application at another broker; back again when the test is over."""
    from tasks.app import app

    before = app.conf.broker_url
    yield lambda url: app.conf.update(broker_url=url)
    app.conf.update(broker_url=before)


@pytest.mark.mission("D-4")
def test_a_bell_is_a_message_on_the_queue_of_its_task(process: Any, ringer: Any) -> None:
    ringer.ring("bellwire.deliver.email", ["id-1"])
    ringer.ring("bellwire.sweep")
    assert ringer.flush()
    assert process.broker.bells("deliver.email") == [[["id-1"]]]
    assert process.broker.bells("sweep") == [[]]


def test_bells_keep_their_order(process: Any, ringer: Any) -> None:
    for number in range(50):
        ringer.ring("bellwire.deliver.email", [str(number)])
    assert ringer.flush()
    assert [ids for (ids,) in process.broker.bells("deliver.email")] == [[str(number)] for number in range(50)]


@pytest.mark.mission("D-31")
def test_many_ids_are_split_so_that_several_workers_share_them(process: Any) -> None:
    from tasks.bells import BATCH_OF_IDS, ring_deliveries, ring_ingest, ringer

    ids = [str(number) for number in range(BATCH_OF_IDS * 2 + 1)]
    ring_deliveries("webhook", ids)
    ring_ingest(ids)
    assert ringer().flush()
    for queue in ("deliver.webhook", "ingest"):
        rung = [args[0] for args in process.broker.bells(queue)]
        assert [len(some) for some in rung] == [BATCH_OF_IDS, BATCH_OF_IDS, 1]
        assert [id_ for some in rung for id_ in some] == ids


def test_ringing_for_nothing_rings_nothing(process: Any) -> None:
    from tasks.bells import ring_deliveries, ringer

    ring_deliveries("webhook", [])
    assert ringer().flush()
    assert process.broker.bells("deliver.webhook") == []


@pytest.mark.mission("D-4", "A-26")
def test_a_broker_that_is_away_holds_nobody_up(ringer: Any, elsewhere: Any, tmp_path: Path) -> None:
    elsewhere(f"redis+socket://{tmp_path}/nobody?virtual_host=0")
    before = monotonic()
    for _ in range(1000):
        ringer.ring("bellwire.deliver.email", [])
    assert monotonic() - before < 0.5
    assert ringer.flush()


@pytest.mark.mission("D-4", "A-26")
def test_a_broker_that_takes_connections_and_never_answers_holds_nobody_up(
    ringer: Any, elsewhere: Any, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / "s"))
        frozen.listen()
        elsewhere(f"redis+socket://{tmp_path}/s?virtual_host=0")
        before = monotonic()
        for _ in range(1000):
            ringer.ring("bellwire.deliver.email", [])
        assert monotonic() - before < 0.5
        assert ringer.flush(10)


def test_when_the_broker_is_back_bells_arrive_again(process: Any, ringer: Any, elsewhere: Any, tmp_path: Path) -> None:
    good = settings().broker_url
    assert good is not None
    elsewhere(f"redis+socket://{tmp_path}/nobody?virtual_host=0")
    ringer.ring("bellwire.sweep")
    assert ringer.flush()
    elsewhere(good.get_secret_value())

    def arrives() -> bool:
        ringer.ring("bellwire.sweep")
        return bool(process.broker.bells("sweep"))

    wait_until(arrives, "a bell after the broker came back", 10)


def test_a_forked_process_rings_over_a_connection_of_its_own(process: Any) -> None:
    from tasks.bells import ringer

    ringer().ring("bellwire.sweep")
    assert ringer().flush()
    child = os.fork()
    if child == 0:  # the parent's thread and connection are not here
        ringer().ring("bellwire.sweep")
        os._exit(0 if ringer().flush() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(process.broker.bells("sweep")) == 2
