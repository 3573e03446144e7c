"""A question to a server that is frozen: who asked goes on, and what comes of it later disturbs nobody."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from api.probe import Probe


def test_an_answer_that_comes_too_late_is_no_error_of_the_event_loop() -> None:
    goes_on = threading.Event()
    said: list[Any] = []

    def ask() -> None:
        goes_on.wait(10)
        raise OSError("Timeout reading from socket")

    async def look() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        probe = Probe("frozen", ask)
        with pytest.raises(TimeoutError):
            await probe.answer(0.01)
        again = asyncio.create_task(probe.answer(5.0))
        await asyncio.sleep(0)  # it asks with the same question
        goes_on.set()
        with pytest.raises(OSError, match="Timeout reading"):
            await again
        del probe, again

    asyncio.run(look())
    for thread in (one for one in threading.enumerate() if one.name == "frozen"):
        thread.join(10)
    gc.collect()
    assert said == []
