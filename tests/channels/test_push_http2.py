"""One HTTP/2 connection: whether a request that got no answer was processed, and when to open another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from channels.base import Address, Message, NotSentError, OutcomeUnknownError
from channels.http2_connection import QUIET, NotProcessedError
from channels.push_apns import ApnsProvider
from workers.receivers.apns import KEY_ID, TEAM_ID, TOPIC, ApnsReceiver
from workers.receivers.script import Fault, Reply

FIRST, SECOND = "a1" * 32, "b2" * 32


def message(number: int = 1, text: str = "hello") -> Message:
    return Message(f"00000000-0000-4000-8000-{number:012}", "t", "e", "x", text=text)


@pytest.fixture
def apple(receivers) -> ApnsReceiver:
    return receivers.apns


@pytest.fixture
def using(make_settings, run) -> Any:
    def running(apple: ApnsReceiver, scenario: Any, seconds: float = 10.0) -> Any:
        account = {"apns_key": apple.key, "apns_key_id": KEY_ID, "apns_team_id": TEAM_ID, "apns_topic": TOPIC}

        async def whole() -> Any:
            provider = ApnsProvider.from_settings(make_settings(apns_url=apple.url, **account))
            try:
                async with asyncio.timeout(seconds):
                    return await scenario(provider)
            finally:
                await provider.close()

        return run(whole())

    return running


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


def connection_of(provider: ApnsProvider) -> Any:
    return provider._client._connection


async def arrived(apple: ApnsReceiver, count: int) -> None:
    assert await asyncio.to_thread(apple.wait_for, lambda seen: len(seen.received) >= count)


def test_a_goodbye_before_a_request_was_processed_sends_it_again_over_a_new_connection(apple, using):
    apple.goodbyes.add(FIRST)
    using(apple, lambda provider: provider.send(message(), Address(FIRST)))
    assert apple.connections == 2
    assert list(apple.times_accepted().values()) == [1]


def test_a_refused_stream_was_not_processed_and_is_sent_again_on_the_same_connection(apple, using):
    apple.refusals.add(FIRST)
    using(apple, lambda provider: provider.send(message(), Address(FIRST)))
    assert apple.connections == 1
    assert list(apple.times_accepted().values()) == [1]


def test_a_server_that_says_goodbye_for_ever_is_given_up_as_not_sent(apple, using):
    class Farewell(set[str]):
        def discard(self, one: str) -> None:
            """Stays."""

    apple.goodbyes = Farewell({FIRST})
    with pytest.raises(NotProcessedError):
        using(apple, lambda provider: provider.send(message(), Address(FIRST)))
    assert apple.received == []


def test_what_was_under_way_at_a_goodbye_is_still_answered(apple, using):
    apple.script(SECOND, Reply(wait=0.3))

    async def scenario(provider: ApnsProvider) -> None:
        await provider.send(message(1), Address(FIRST))
        slow = asyncio.create_task(provider.send(message(2), Address(SECOND)))
        await arrived(apple, 2)
        connection = connection_of(provider)
        apple.say_goodbye()
        await until(lambda: connection.is_closing)
        await provider.send(message(3), Address(FIRST))
        assert (await slow).detail == "HTTP 200"

    using(apple, scenario)
    assert [one.connection for one in apple.received] == [1, 1, 2]
    assert apple.wait_for(lambda seen: seen.open_connections == 0)


def test_a_connection_that_ended_while_nothing_was_under_way_costs_no_message(apple, using):
    async def scenario(provider: ApnsProvider) -> None:
        await provider.send(message(1), Address(FIRST))
        connection = connection_of(provider)
        apple.drop()
        await until(lambda: connection.is_closing)
        await provider.send(message(2), Address(FIRST))

    using(apple, scenario)
    assert apple.connections == 2


def test_one_lost_connection_is_one_unknown_outcome_for_each_that_was_under_way(apple, using):
    apple.script(SECOND, Reply(fault=Fault.HANG))

    async def scenario(provider: ApnsProvider) -> None:
        await provider.send(message(0), Address(FIRST))
        under_way = [asyncio.create_task(provider.send(message(number), Address(SECOND))) for number in (1, 2, 3)]
        await arrived(apple, 4)
        apple.drop()
        ended = await asyncio.gather(*under_way, return_exceptions=True)
        assert [type(one) for one in ended] == [OutcomeUnknownError] * 3
        await provider.send(message(4), Address(FIRST))

    using(apple, scenario)
    assert apple.connections == 2


def test_one_that_waits_for_its_turn_on_a_connection_that_ends_goes_to_the_next(apple, using):
    apple.script(FIRST, Reply(fault=Fault.HANG), Reply())  # and until a token was accepted, only one is allowed

    async def scenario(provider: ApnsProvider) -> None:
        hanging = asyncio.create_task(provider.send(message(1), Address(FIRST)))
        await arrived(apple, 1)
        waiting = [asyncio.create_task(provider.send(message(number), Address(SECOND))) for number in (2, 3, 4)]
        await until(lambda: len(connection_of(provider)._waiting) == 3)
        apple.drop()
        assert [one.detail for one in await asyncio.gather(*waiting)] == ["HTTP 200"] * 3
        with pytest.raises(OutcomeUnknownError):
            await hanging

    using(apple, scenario)
    assert apple.connections == 2


def test_a_turn_that_is_given_up_goes_to_the_next(apple, using):
    apple.script(FIRST, Reply(fault=Fault.HANG), Reply())

    async def scenario(provider: ApnsProvider) -> None:
        hanging = asyncio.create_task(provider.send(message(1), Address(FIRST)))
        await arrived(apple, 1)
        given_up, wanted = (asyncio.create_task(provider.send(message(one), Address(SECOND))) for one in (2, 3))
        await until(lambda: len(connection_of(provider)._waiting) == 2)
        hanging.cancel()
        asyncio.get_running_loop().call_soon(given_up.cancel)  # just when it has got the place, before it knows
        assert (await wanted).detail == "HTTP 200"

    using(apple, scenario, 5.0)
    assert [one.target for one in apple.received] == [FIRST, SECOND]


def test_a_body_that_the_server_takes_in_pieces_arrives_whole(serve, using):
    apple = serve(ApnsReceiver(window=100))
    using(apple, lambda provider: provider.send(message(text="x" * 9000), Address(FIRST)))
    (sent,) = apple.received
    assert sent.accepted
    assert 4000 < len(sent.body) <= 4096


def test_a_quiet_connection_that_still_answers_is_used_again(apple, using):
    async def scenario(provider: ApnsProvider) -> None:
        await provider.send(message(1), Address(FIRST))
        connection_of(provider).heard -= QUIET + 1
        await asyncio.gather(*(provider.send(message(number), Address(FIRST)) for number in (2, 3)))

    using(apple, scenario)
    assert (len(apple.received), apple.connections) == (3, 1)


def test_a_quiet_connection_that_a_router_forgot_costs_no_message(apple, using):
    async def scenario(provider: ApnsProvider) -> None:
        await provider.send(message(1), Address(FIRST))
        apple.fall_silent()
        connection_of(provider).heard -= QUIET + 1
        await asyncio.gather(*(provider.send(message(number), Address(FIRST)) for number in (2, 3)))

    using(apple, scenario)
    assert set(apple.times_accepted().values()) == {1}
    assert (len(apple.received), apple.connections) == (3, 2)


def test_many_that_find_no_connection_open_one_between_them(apple, using):
    async def scenario(provider: ApnsProvider) -> None:
        await asyncio.gather(*(provider.send(message(number), Address(FIRST)) for number in range(30)))
        connection = connection_of(provider)
        apple.drop()
        await until(lambda: connection.is_closing)
        await asyncio.gather(*(provider.send(message(number), Address(FIRST)) for number in range(30, 60)))

    using(apple, scenario)
    assert apple.connections == 2
    assert set(apple.times_accepted().values()) == {1}


def test_no_free_place_in_time_is_not_sent(apple, using):
    apple.script(FIRST, Reply(fault=Fault.HANG))

    async def scenario(provider: ApnsProvider) -> None:
        hanging = asyncio.create_task(provider.send(message(1), Address(FIRST)))
        await arrived(apple, 1)
        with pytest.raises(NotSentError, match="no free place"):
            await provider._client.post((), b"", 0.1)
        hanging.cancel()

    using(apple, scenario)
    assert len(apple.received) == 1


def test_a_server_of_http_1_is_told_nothing(receivers, apple, using):
    apple.port, apples = receivers.webhook.port, apple.port
    try:
        with pytest.raises(NotSentError, match="ended each connection at once"):
            using(apple, lambda provider: provider.send(message(), Address(FIRST)))
    finally:
        apple.port = apples
    assert receivers.webhook.connections == 3
    assert not [one for one in receivers.webhook.received if b"hello" in one.body]
