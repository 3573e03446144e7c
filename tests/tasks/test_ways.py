"""An endpoint that is slow takes its share of a process, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tasks.ways import MOST_WAITING, PER_WAY, SLOW, Ways


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.mark.mission("A-24", "E-45")
def test_no_more_than_its_share_is_under_way_on_one_way() -> None:
    async def work() -> None:
        ways, under_way, most = Ways(), 0, 0

        async def send() -> None:
            nonlocal under_way, most
            async with ways.turn("hook"):
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(0)
                under_way -= 1

        assert all(ways.has_room("hook") for _ in range(PER_WAY * 3))
        await asyncio.gather(*(send() for _ in range(PER_WAY * 3)))
        assert most == PER_WAY

    run(work())


def test_one_way_does_not_wait_for_another() -> None:
    async def work() -> None:
        ways = Ways()
        async with AsyncExitStack() as busy:
            for _ in range(PER_WAY):
                ways.has_room("slow")
                await busy.enter_async_context(ways.turn("slow"))
            ways.has_room("quick")
            async with asyncio.timeout(1), ways.turn("quick"):
                pass

    run(work())


@pytest.mark.parametrize(
    ("seconds", "left"), [(0.0, PER_WAY), (SLOW + 0.1, 0)], ids=["a-quick-way", "a-way-that-is-slow"]
)
def test_a_way_that_is_slow_has_only_so_many_waiting_and_the_rest_waits_in_the_database(
    seconds: float, left: int
) -> None:
    async def work() -> None:
        ways = Ways()
        assert all(ways.has_room("hook") for _ in range(PER_WAY + MOST_WAITING + 1))
        async with ways.turn("hook"):
            await asyncio.sleep(seconds)
        assert sum(ways.has_room("hook") for _ in range(PER_WAY)) == left

    run(work())


def test_a_way_that_nobody_uses_is_forgotten() -> None:
    async def work() -> None:
        ways = Ways()
        for number in range(10):
            ways.has_room(str(number))
            async with ways.turn(str(number)):
                pass
        assert ways._ways == {}

    run(work())


def test_a_send_that_fails_gives_its_place_back() -> None:
    async def work() -> None:
        ways = Ways()
        ways.has_room("hook")
        with pytest.raises(KeyError):
            async with ways.turn("hook"):
                raise KeyError
        assert ways._ways == {}

    run(work())
