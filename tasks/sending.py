"""Sends: one event loop in a thread of every worker process, on which all providers and all lines live."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import Any, TypeVar

import structlog
import uvloop

from channels.breaker import Admissions, Breakers
from channels.limits import Ask, Caps, Limits
from channels.registry import PROVIDERS, configured
from config.connections import redis_client
from config.settings import Settings
from pipeline.looks import Looks
from tasks.alarms import Alarms
from tasks.line import Line
from tasks.ways import Ways

log = structlog.get_logger(__name__)
T = TypeVar("T")

SHUTDOWN = 40.0  # seconds that sends under way are given when the process ends


class Sender:
    """The loop, its thread and the lines of one worker process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = False
        self.loop = uvloop.new_event_loop()
        # Two: while one statement is on its way, the next may be prepared; more would only queue at the database.
        self._database = ThreadPoolExecutor(2, thread_name_prefix="database")
        # Of their own: who waits for a tenant's template must not keep others from the database.
        self._rendering = ThreadPoolExecutor(2, thread_name_prefix="rendering")
        self._telling = ThreadPoolExecutor(1, thread_name_prefix="breakers")  # one: results are told in order
        self.looks = Looks()
        self._lines: dict[str, Line] = {}
        self._configured: frozenset[str] = frozenset()
        self._results: list[tuple[str, bool]] = []
        self.ways = Ways()
        url = settings.redis_url.get_secret_value() if settings.redis_url else None
        self._breaking = redis_client(url, "breakers") if url else None
        self._limiting = redis_client(url, "limits") if url else None
        self.start_counting()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()
        self._call(self._open()).result(30)

    def start_counting(self) -> None:
        """Begin with closed breakers, full limits and caps as far as this process knows, and no alarm raised."""
        self.breakers = Breakers(self._breaking, reset_timeout=self.settings.breaker_seconds)
        self.limits = Limits(self._limiting, self.settings.rate_limits)
        self.caps = Caps(self._limiting, self.settings.recipient_caps)
        self.alarms = Alarms()

    @property
    def channels(self) -> frozenset[str]:
        """The channels that have a provider here."""
        return self._configured

    @property
    def lines(self) -> frozenset[str]:
        """All channels; on those without a provider here, tenants may have one of their own."""
        return frozenset(self._lines)

    def ring(self, channel: str, timeout: float) -> bool:
        """Deliver what is due on a channel. Whether everything was settled in time; if not, it goes on by itself."""
        line = self._lines.get(channel)
        if line is None:
            return True
        future = self._call(line.ring())
        try:
            future.result(timeout)
        except FutureTimeoutError:
            future.cancel()
            return False
        return True

    def call_soon(self, channel: str) -> None:
        """Wake a line without waiting for it."""
        line = self._lines.get(channel)
        if line is not None:
            self._call(line.ring())

    def stop(self) -> None:
        """Claim no more, let sends under way end and be settled, close the providers."""
        self.stopping = True
        with suppress(FutureTimeoutError):
            self._call(self._close()).result(SHUTDOWN)
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a statement beside the loop."""
        return await self.loop.run_in_executor(self._database, function, *arguments)

    async def render(self, function: Callable[..., T], *arguments: Any) -> T:
        """Say something in a tenant's own template, which takes another process."""
        return await self.loop.run_in_executor(self._rendering, function, *arguments)

    async def check_breakers(self, keys: set[str]) -> Admissions:
        """What the breakers of a batch admit, in one round trip."""
        return await self.in_thread(self.breakers.check, keys)

    def record(self, key: str, succeeded: bool) -> None:
        """Note the result of a send, in the order of completion. A failure is told at once."""
        self._results.append((key, succeeded))
        if not succeeded:
            self.flush_breakers()

    async def ask_limits(self, asks: Sequence[Ask]) -> list[float | None]:
        """What the accounts' rate limits say to a batch: seconds to wait, None for what may go now."""
        return await self.in_thread(self.limits.admit, asks) if asks else []

    def pause(self, account: str, seconds: float) -> None:
        """Leave an account alone, because the provider asks for it."""
        self._telling.submit(self.limits.pause, account, seconds)

    def alarm(self, tenant: str, channel: str, provider: str, detail: str) -> None:
        """Tell a person, once, that a provider does not accept our account."""
        self._telling.submit(self.alarms.reject, tenant, channel, provider, detail)

    def accepted(self, tenant: str, provider: str) -> None:
        """A provider took a message: if its account was rejected before, that is over."""
        if (tenant, provider) in self.alarms.standing:
            self._telling.submit(self.alarms.accept, tenant, provider)

    def flush_breakers(self) -> None:
        """Tell the shared breakers what was noted; they ask the network only when something changes."""
        results, self._results = self._results, []
        if results:
            self._telling.submit(self._tell, results)

    def _tell(self, results: list[tuple[str, bool]]) -> None:
        try:
            self.breakers.record(results)
        except Exception:  # nobody would read it from the future
            log.exception("breakers_not_told")

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _open(self) -> None:
        """Make the providers on the loop on which they will be used."""
        providers = configured(self.settings, preview=self.settings.preview)
        self._configured = frozenset(providers)
        self._lines = {channel: Line(self, channel, providers.get(channel, ())) for channel in PROVIDERS}
        self._working = [asyncio.create_task(line.work()) for line in self._lines.values()]

    async def _close(self) -> None:
        """All lines at once: the time that a stop is given is for all of them."""
        lines = zip(self._lines.values(), self._working, strict=True)
        await asyncio.gather(*(line.end(working) for line, working in lines), return_exceptions=True)
