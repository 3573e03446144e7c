"""Redis clients: each purpose waits as long as it may, and none tries again and again."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import get_args

import pytest
import redis

from config.connections import PATIENCE, Purpose, async_redis_client, redis_client

each_purpose = pytest.mark.parametrize("purpose", get_args(Purpose))


@each_purpose
def test_every_purpose_has_its_patience(purpose):
    assert purpose in PATIENCE


@each_purpose
def test_a_client_talks_to_the_server(purpose, servers):
    assert redis_client(servers["redis"], purpose).ping()


@each_purpose
def test_a_client_for_the_event_loop_talks_to_the_server(purpose, servers):
    async def ping() -> bool:
        client = async_redis_client(servers["redis"], purpose)
        try:
            return await client.ping()
        finally:
            await client.aclose()

    assert asyncio.run(ping())


@each_purpose
def test_a_refused_connection_is_reported_at_once(purpose):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with pytest.raises(redis.ConnectionError):
            redis_client(f"redis://127.0.0.1:{reserved.getsockname()[1]}", purpose).ping()
    assert time.monotonic() - began < 0.2


@pytest.mark.parametrize("purpose", ["breakers", "limits", "live"])
def test_a_server_that_hangs_costs_no_more_than_the_patience(purpose):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            redis_client(f"redis://127.0.0.1:{silent.getsockname()[1]}", purpose).ping()
    assert PATIENCE[purpose] <= time.monotonic() - began < PATIENCE[purpose] + 0.4


def test_a_listener_waits_for_longer_than_everybody_else(servers):
    heard = threading.Event()

    def listen() -> None:
        with redis_client(servers["redis"], "listen").pubsub() as subscription:
            subscription.subscribe("connections-test")
            while not heard.is_set():
                message = subscription.get_message(ignore_subscribe_messages=True, timeout=None)
                if message:
                    heard.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert not heard.wait(max(patience for patience in PATIENCE.values() if patience) + 0.5)
    redis_client(servers["redis"], "live").publish("connections-test", "hello")
    assert heard.wait(5)
    listener.join()
