"""Plain JSON messages on the exchange become events, each once; what is none is kept for a person."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Connection

from config.queue import events_exchange
from tests.support.bus import an_event, listening, nothing_is_left, publish, stored
from tests.support.installation import Installation
from tests.support.waiting import wait_until

# A kind of event that is never folded, so that one that is taken twice is seen twice.
MESSAGE = "conversation.message_posted"


@pytest.fixture(scope="module")
def site(module_database_url: str, servers: dict[str, str]) -> Iterator[Installation]:
    """An installation with a tenant `acme` and a bus that listens."""
    with redis.Redis.from_url(servers["redis"]) as client:
        client.flushall()
    with Installation(module_database_url, servers["broker"], servers["redis"]) as made:
        made.rows("INSERT INTO tenants (id) VALUES ('acme') RETURNING id")
        listening(made)
        yield made


@pytest.mark.mission("C-2")
def test_a_message_becomes_a_stored_event(site: Installation) -> None:
    event = an_event(severity="critical")
    publish(site, event)
    (row,) = stored(site, event)
    assert (row["tenant"], row["type"], row["severity"]) == ("acme", "task.failed", "critical")
    assert row["data"] == event["data"]
    nothing_is_left(site)


def test_a_message_may_hold_many_events(site: Installation) -> None:
    events = [an_event() for _ in range(5)]
    publish(site, events[:2], {"events": events[2:]})
    stored(site, *events)


@pytest.mark.mission("D-31")
def test_many_messages_share_a_transaction(site: Installation) -> None:
    events = [an_event() for _ in range(300)]
    bus = listening(site)
    bus.freeze()
    publish(site, *events)
    bus.thaw()
    assert len({row["batch"] for row in stored(site, *events)}) <= 30


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\x80\x04\x95", "not UTF-8"),  # how a pickle begins
        (b'{"type": "x", "tenant": "acme", "data": {"n": NaN}}', "NaN"),
        (b'{"type": "x", "tenant": "acme", "data": {"\\u0000": 1}}', "NUL"),
        (b'{"\\u0000\\ud800": 1, "tenant": "acme", "type": "x"}', "not allowed"),
        (b'{"events": [], "\\u0000\\ud800": 1}', "not a known field"),
        ({"type": "x"}, "tenant: is required"),
        ({"type": "x", "tenant": "nobody"}, "not a tenant"),
        ({"type": "x", "tenant": "acme", "severity": "worst"}, "severity"),
        ([{"type": "x", "tenant": "acme"}, {"type": "", "tenant": "acme"}], "events[1].type"),
        (7, "must be a JSON object"),
    ],
)
def test_what_is_no_event_is_kept_and_holds_up_nothing(site: Installation, message: Any, problem: str) -> None:
    before, after = an_event(), an_event()
    publish(site, before, message, after)
    stored(site, before, after)
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    kept = site.rows("SELECT error FROM rejections WHERE source = 'bus' AND payload = %(body)s", body=body)
    assert [problem in row["error"] for row in kept] == [True]


def test_a_message_that_is_not_compressed_as_it_says_holds_up_nothing(site: Installation) -> None:
    event = an_event()
    publish(site, b"not compressed", headers={"compression": "application/x-gzip"})
    publish(site, event)
    stored(site, event)


def test_random_bytes_in_the_queue_itself_hold_up_nothing(site: Installation) -> None:
    event = an_event()
    with Connection(site.broker_url) as connection, connection.channel() as channel:
        for poison in (os.urandom(64), b"{}", b'{"properties": {}}', b"7"):
            channel.client.lpush(events_exchange().queue, poison)
    publish(site, event)
    stored(site, event, seconds=40)


@pytest.mark.mission("D-4")
def test_the_same_message_twice_is_taken_once(site: Installation) -> None:
    once, other, marker = an_event(type=MESSAGE), an_event(type=MESSAGE), an_event()
    publish(site, once, once, message_id="1")
    publish(site, other, message_id="1")  # another publisher that counts from 1
    publish(site, marker)
    assert len(stored(site, once, other, marker)) == 3


def test_messages_without_an_id_are_each_taken(site: Installation) -> None:
    event, marker = an_event(type=MESSAGE), an_event()
    publish(site, event, event)
    publish(site, marker)
    assert len(stored(site, event, marker)) == 3


def test_an_id_may_be_anything(site: Installation) -> None:
    event = an_event()
    publish(site, event, message_id="\0\ud800" + "x" * 10_000)
    stored(site, event)


@pytest.mark.mission("C-2")
def test_workers_route_what_the_bus_took(site: Installation) -> None:
    site.operate("set_up", tenant="acme", wanted={"users": {"ana": {"email": "ana@example.org"}}})
    site.start_worker(processes=1)
    event = an_event()
    event["data"] |= {"owner_id": "ana"}
    publish(site, event)
    (row,) = stored(site, event)
    told = "SELECT count(*) FROM notifications WHERE event_id = %(event)s AND user_id = 'ana'"
    wait_until(lambda: site.value(told, event=row["id"]) == 1, site.standing)


def test_on_sqs_it_says_what_it_needs_and_idles(module_database_url: str, valkey: str) -> None:
    with Installation(module_database_url, "sqs://", valkey) as site:
        bus = site.start_bus()
        wait_until(lambda: "needs RabbitMQ or Redis" in bus.log.read_text(), bus.last_words)
        assert bus.lives()
        bus.end()
        assert bus.code == 0
