"""The main path and the ways into it, as `tests/acceptance` have them, on other servers; and where brokers differ."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import kombu
import psycopg
import pytest

from tests.acceptance.test_main_path import *  # noqa: F403 - the same tests
from tests.acceptance.test_ways_in import *  # noqa: F403
from tests.support.debian import Debian
from tests.support.installation import Api, Installation, numbered
from tests.support.process import Process
from tests.support.waiting import wait_until
from workers.receivers.script import Reply
from workers.receivers.together import Receivers

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(180)]

AT_ONCE = 2.0  # seconds
ACCEPTING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%decided AS%%'"


def test_poison_stops_no_worker(site: Installation, receivers: Receivers, tenant: str) -> None:
    site.set_up(tenant, webhooks={"all": {"url": f"{receivers.webhook.url}/{tenant}"}})
    children = living_worker(site).children()
    for queue in ("ingest", "deliver.webhook"):
        publish_raw(site, queue, random.randbytes(100), content_type="application/octet-stream")
        publish_raw(site, queue, random.randbytes(100), task="bellwire.publish")
        publish_raw(site, queue, pickle.dumps(([1], {}, {})), task="bellwire.publish", content_type=PICKLE)
        publish_raw(site, queue, b"[[1], {}, {}]", task="bellwire.unheard_of")
        publish_raw(site, queue, b"{}", something="else")
    site.publish(numbered("after.poison", [1], tenant))
    site.wait_until_settled(1, tenant=tenant)
    assert living_worker(site).children() == children


def test_what_a_killed_worker_held_is_taken_over(
    site: Installation, broker: str, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}", Reply(wait=8.0), Reply(), each=True)
    site.set_up(tenant, webhooks={"slow": {"url": f"{receivers.webhook.url}/{tenant}"}})
    held, in_hand = numbered("held", range(3), tenant), numbered("in.hand", range(3), tenant)
    site.publish(held)
    wait_until(lambda: len(arrived_at(receivers, tenant)) == len(held), "all to arrive")
    with storing_blocked(site):
        if (
            broker == "rabbitmq-server"
        ):  # it notices at once; Redis looks after a minute, which the fault tests wait for
            held += in_hand
            site.publish(in_hand)
            wait_until(lambda: site.value(ACCEPTING), "events to be in the hands of a worker")
        living_worker(site).kill_all()
    site.start_worker()
    site.wait_until_settled(len(held), 50, tenant)
    outcomes = [delivery["outcomes"] for delivery in site.deliveries(tenant=tenant)]
    assert sorted(outcomes) == [["lost", "sent"]] * 3 + [["sent"]] * (len(held) - 3)


def test_without_rabbitmq_events_are_taken_at_once_and_delivered(
    site: Installation, api: Api, broker: str, debian: Debian, receivers: Receivers, tenant: str
) -> None:
    if broker != "rabbitmq-server":
        return
    hook = {"url": f"{receivers.webhook.url}/{tenant}"}
    key = site.set_up(tenant, webhooks={"all": hook}, keys=["publisher"])["keys"]["publisher"]
    assert debian.rabbitmq is not None
    debian.rabbitmq.kill_all()
    for number in range(5):
        answer = api.post("/v1/events", key, {"type": "unheard", "data": {"n": number}}, seconds=AT_ONCE)
        assert answer.status_code == 202
    site.wait_until_settled(5, tenant=tenant)
    debian.resume_rabbitmq()
    site.publish(numbered("heard", range(5), tenant))
    site.wait_until_settled(10, 60, tenant)
    assert {tuple(delivery["outcomes"]) for delivery in site.deliveries(tenant=tenant)} == {("sent",)}


PICKLE = "application/x-python-serialize"


def publish_raw(
    site: Installation, queue: str, body: bytes, *, content_type: str = "application/json", **headers: Any
) -> None:
    """Anything, past everything that would make a proper message of it."""
    with kombu.Connection(site.broker_url) as connection, connection.channel() as channel:
        prepared = channel.prepare_message(
            body, content_type=content_type, content_encoding="binary", headers={"id": str(uuid4()), **headers}
        )
        channel.basic_publish(prepared, exchange="", routing_key=queue)


@contextmanager
def storing_blocked(site: Installation) -> Iterator[None]:
    """No event can be stored while the block lasts."""
    with psycopg.connect(site.database_url) as connection:
        connection.execute("LOCK TABLE issues IN EXCLUSIVE MODE")
        yield
        connection.rollback()


def living_worker(site: Installation) -> Process:
    """The worker that runs now."""
    return next(process for process in site.processes if process.name == "worker" and process.lives())


def arrived_at(receivers: Receivers, tenant: str) -> list[Any]:
    """What arrived at the webhook of a tenant."""
    return [received for received in list(receivers.webhook.received) if received.target == f"/{tenant}"]
