"""One question to a server, with an end to the waiting for it, even when the server is frozen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Probe:
    """One question, asked by one thread at a time: who asks while it is unanswered waits for the same answer."""

    def __init__(self, name: str, ask: Callable[[], Any]) -> None:
        self._name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._asked: Future[Any] | None = None

    async def answer(self, patience: float) -> Any:
        """What the question returns.

        Raises:
            TimeoutError: no answer within `patience` seconds. The thread goes on waiting, and is not asked again.
        """
        answer = asyncio.wrap_future(self._future())
        answer.add_done_callback(_heard)
        async with asyncio.timeout(patience):
            return await asyncio.shield(answer)

    def _future(self) -> Future[Any]:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                # A thread of its own: those of a pool are waited for when the process ends.
                threading.Thread(target=self._run, args=(self._asked,), name=self._name, daemon=True).start()
            return self._asked

    def _run(self, future: Future[Any]) -> None:
        try:
            future.set_result(self._ask())
        except BaseException as error:
            future.set_exception(error)


def _heard(answer: asyncio.Future[Any]) -> None:
    """Who asked may have gone by now: what went wrong is then no error that nobody has looked at."""
    if not answer.cancelled():
        answer.exception()
