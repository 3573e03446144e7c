"""The live side of one process: its hub, the one subscription, presence, heartbeat, and the end of it all."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from api.hub import Hub
from api.live_listen import listen
from api.live_presence import Presence
from api.live_reading import Reading
from config.connections import async_redis_client
from config.settings import Settings

log = structlog.get_logger(__name__)

FRAMINGS: Final = ("sse", "websocket", "socketio")
AGAIN: Final = 1.0  # seconds until a task that failed begins anew


class Live:
    """What streams of any framing need.

    Attributes:
        heartbeat: seconds between two signs of life; who takes nothing for as long is cut off.
    """

    def __init__(self, settings: Settings) -> None:
        self.heartbeat = settings.live_heartbeat
        self.hub = Hub(settings.server_id or socket.gethostname(), settings.live_connections_per_user)
        self.reading = Reading(self.hub)
        self._url = settings.redis_url.get_secret_value() if settings.redis_url else None
        self._presence: Presence | None = None
        self._look = asyncio.Event()
        self._began = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin. Nothing here needs the servers: they may come later."""
        self.hub.on_count(self.reading.count)
        for work in (self.reading.run_counts, self.reading.run_written, self._keep_up):
            self._run(work)
        if self._url is not None:
            self._presence = Presence(async_redis_client(self._url, "live"), self.hub.server_id, self.heartbeat)
            self.hub.watch(self._presence.changed)
            self._run(self._presence.run)
            self._run(partial(self._beat, self._presence))
            self._run(partial(listen, self.hub, self._url, self._subscribed))
        self._drain_on_signals()

    async def stop(self) -> None:
        """End. By now the server has closed all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.reading.flush()
        if self._presence is not None:
            await self._presence.flush()
            await self._presence.close()

    def metrics(self) -> list[Metric]:
        """Live connections of this process, by framing, and whether it hears the others (E-47)."""
        gauge = GaugeMetricFamily("bellwire_live_connections", "Live connections of this process.", labels=["kind"])
        counted = self.hub.by_framing()
        for framing in FRAMINGS:
            gauge.add_metric([framing], counted[framing])
        subscribed = GaugeMetricFamily(
            "bellwire_live_subscribed", "Whether what other processes publish arrives here.", float(self.hub.subscribed)
        )
        return [gauge, subscribed]

    def _subscribed(self) -> None:
        """What was published before is missing. Counts are in no inbox's order, so all of them are read anew."""
        self._look.set()
        if self._began:
            for person in tuple(self.hub.people()):
                self.reading.count(person)
        self._began = True

    async def _keep_up(self) -> None:
        """Compare with the database, now and then and after every gap: a publisher may have died after its commit."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.heartbeat):
                    await self._look.wait()
            self._look.clear()
            try:
                self.hub.fall_behind(await self.reading.latest_of(self.hub.people()))
            except SQLAlchemyError as error:
                log.warning("live_database_away", problem=type(error).__name__)

    async def _beat(self, presence: Presence) -> None:
        while True:
            await asyncio.sleep(self.heartbeat)
            await presence.beat(self.hub.connections())

    def _drain_on_signals(self) -> None:
        """The server waits for open streams before it says that it ends, so we have to hear it from the signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)

            def handle(signum: int, frame: FrameType | None, before: Any = before) -> None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self.hub.drain)
                if callable(before):
                    before(signum, frame)

            with suppress(ValueError):  # not in the main thread: whoever runs the server there ends it as well
                signal.signal(number, handle)

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(_for_ever(work)))


async def _for_ever(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A bug in one round must not leave everybody without the next."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("live_task_failed")
        await asyncio.sleep(AGAIN)
