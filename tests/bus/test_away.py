"""The bus outlives the broker and the database, and loses and doubles nothing when it is killed itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from uuid import uuid4

import pytest
from kombu import Connection

from config.queue import events_exchange
from tests.support.bus import an_event, listening, nothing_is_left, publish, stored
from tests.support.installation import Installation
from tests.support.servers import Servers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.mission("D-4")]

DATABASE_AWAY = '"event": "database_away"'
BROKER_AWAY = '"event": "broker_away"'


@pytest.fixture(scope="module")
def own() -> Iterator[Servers]:
    """Servers that these tests may stop."""
    with Servers() as made:
        yield made


@pytest.fixture
def site(own: Servers) -> Iterator[Installation]:
    """An installation with an empty broker and a tenant `acme`."""
    own.empty_valkey()
    with Installation(own.new_database(), own.places.broker_url, own.places.redis_url) as made:
        made.rows("INSERT INTO tenants (id) VALUES ('acme') RETURNING id")
        yield made


def test_what_was_published_while_nobody_listened_is_taken(site: Installation) -> None:
    bus = listening(site)
    bus.send(signal.SIGTERM)
    wait_until(lambda: not bus.lives(), "the bus to end")
    assert bus.code == 0
    events = [an_event() for _ in range(20)]
    publish(site, *events)
    site.processes.remove(bus)
    listening(site, times=2)
    stored(site, *events)


def test_a_killed_bus_loses_and_doubles_nothing(site: Installation) -> None:
    bus = listening(site)
    events = [an_event(type="conversation.message_posted") for _ in range(400)]
    ids = [uuid4().hex for _ in events]
    for id_, event in zip(ids[:200], events[:200], strict=True):
        publish(site, event, message_id=id_)
    bus.kill()
    site.processes.remove(bus)
    with Connection(site.broker_url) as connection, connection.channel() as channel:
        # What the dead one held comes back when its time is over; this is that moment.
        for tag in channel.client.zrange("unacked_index", 0, -1):
            channel.client.zadd("unacked_index", {tag: 0})
    listening(site, times=2)
    # kombu takes a message off a Redis list before it writes down that it holds it, and the kill may fall in between.
    # A publisher that must be sure says it again under the same message id; nothing is doubled by that.
    for id_, event in zip(ids, events, strict=True):
        publish(site, event, message_id=id_)
    assert len(stored(site, *events, seconds=40)) == 400


def test_a_database_that_is_away_holds_messages_up(site: Installation, own: Servers) -> None:
    bus = listening(site)
    events = [an_event() for _ in range(10)]
    own.stop_postgres()
    try:
        publish(site, *events)
        wait_until(lambda: DATABASE_AWAY in bus.log.read_text(), bus.last_words)
    finally:
        own.start_postgres()
    assert len(stored(site, *events)) == 10
    nothing_is_left(site)
    assert bus.lives()


def test_it_ends_in_order_while_the_database_is_away(site: Installation, own: Servers) -> None:
    bus = listening(site)
    event = an_event()
    own.stop_postgres()
    try:
        publish(site, event)
        wait_until(lambda: DATABASE_AWAY in bus.log.read_text(), bus.last_words)
        bus.send(signal.SIGTERM)
        wait_until(lambda: not bus.lives(), "the bus to end", 10)
    finally:
        own.start_postgres()
    assert bus.code == 0
    site.processes.remove(bus)
    listening(site, times=2)
    stored(site, event)


def test_a_broker_that_was_killed_is_waited_for(site: Installation, own: Servers) -> None:
    bus = listening(site)
    own.valkey.kill()
    wait_until(lambda: BROKER_AWAY in bus.log.read_text(), bus.last_words)
    own.start_valkey()
    event = an_event()
    listening(site, times=2)
    publish(site, event)
    stored(site, event)


def test_a_broker_that_forgot_everything_is_told_again_who_gets_what(site: Installation, own: Servers) -> None:
    listening(site)
    own.empty_valkey()
    with Connection(site.broker_url) as connection, connection.channel() as channel:
        binding = f"_kombu.binding.{events_exchange().name}"
        wait_until(lambda: channel.client.exists(binding), "the queue to be bound again")
    event = an_event()
    publish(site, event)
    stored(site, event)


def test_a_broker_that_was_frozen_is_waited_for(site: Installation, own: Servers) -> None:
    bus = listening(site)
    own.valkey.freeze()
    wait_until(lambda: BROKER_AWAY in bus.log.read_text(), bus.last_words, 40)
    own.valkey.thaw()
    event = an_event()
    listening(site, times=2)
    publish(site, event)
    stored(site, event)
