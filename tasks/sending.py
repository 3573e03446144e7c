"""Sends: one event loop in a thread of every worker process, on which all providers live.

A bell wakes the line of its channel. The line claims as many deliveries as have room, sends them at once, settles what
came of them and goes on while something is due; a slow receiver holds up only its own delivery.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import structlog
import uvloop
from sqlalchemy import Row
from sqlalchemy.exc import InterfaceError, OperationalError

from channels.base import NotSentError, OutcomeUnknownError, Provider, RefusedError
from channels.breaker import Admissions, Breakers
from channels.registry import configured
from config.connections import redis_client
from config.settings import Settings, SettingsError
from domain import verdict
from domain.states import DeliveryStatus
from domain.vocabulary import Reason
from models.engine import transaction
from pipeline.bulkhead import give_back_slots, make_slots, take_slots
from pipeline.deliver import Claim, Result, address, claim, look_again, message, settle
from pipeline.render import RenderError
from tasks.bells import ringer

log = structlog.get_logger(__name__)
T = TypeVar("T")

# What the driver raises when the server is away, as opposed to when a statement is wrong.
DATABASE_AWAY = (OperationalError, InterfaceError)

PROMPT = 0.25  # seconds that a batch waits for its slower sends before the others are settled
PER_WAY = 64  # sends at a time to one endpoint or provider account, in each process
MARGIN = 2.0  # seconds of the lease kept for settling
BUSY_WAIT = 5.0  # seconds until a delivery is looked at again that found no room in time
SHUTDOWN = 40.0  # seconds that sends under way are given when the process ends


class Line:
    """One channel in this process. Everything here runs on the loop."""

    def __init__(self, sender: Sender, provider: Provider) -> None:
        self.provider = provider
        self.channel = provider.channel
        self._sender = sender
        self._bulkhead = provider.capabilities.bulkhead
        self._room = self._bulkhead.concurrent + self._bulkhead.waiting
        self._has_slots = False
        self._under_way: dict[int, int] = {}  # sends that are not settled, by the token of their claim
        self._rung = asyncio.Event()
        self._quiet = asyncio.Event()
        self._finished = asyncio.Event()
        self._batches: set[asyncio.Task[None]] = set()

    async def ring(self) -> None:
        """Wake the line and wait until nothing is due and everything it claimed is settled."""
        self._quiet.clear()
        self._rung.set()
        await self._quiet.wait()

    async def work(self) -> None:
        """Answer bells until the process ends."""
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                while not self._sender.stopping and await self._claim_and_send():
                    pass
            except DATABASE_AWAY as error:
                log.warning("database_away", channel=self.channel, problem=type(error.orig).__name__)
            except Exception:  # a bug; the line must live on, and the sweep rings again
                log.exception("line_failed", channel=self.channel)
            await self.settled()
            if not self._rung.is_set():
                self._quiet.set()

    async def settled(self) -> None:
        """Wait until no send is under way."""
        while self._batches:
            await asyncio.wait(self._batches)

    async def _claim_and_send(self) -> bool:
        """One claim. Whether there may be more."""
        room = await self._wait_for_room()
        settings = self._sender.settings
        asked = min(room, settings.batch_size)
        taken = await self._sender.in_thread(self._claim, asked)
        if taken is None or not taken.rows:
            return False
        self._under_way[taken.token] = len(taken.rows)
        batch = asyncio.create_task(self._send_batch(taken))
        self._batches.add(batch)
        batch.add_done_callback(self._batches.discard)
        return self._bulkhead.shared or len(taken.rows) == asked

    async def _wait_for_room(self) -> int:
        """Free places; half of them at least, because claiming one at a time would cost a transaction each."""
        if self._bulkhead.shared:
            await self.settled()
        while (room := self._room - sum(self._under_way.values())) < max(1, self._room // 2):
            self._finished.clear()
            await self._finished.wait()
        return room

    def _claim(self, most: int) -> Claim | None:
        lease = self._sender.settings.lease_seconds
        now = monotonic()
        with transaction() as connection:
            if not self._bulkhead.shared:
                return claim(connection, self.channel, most, lease, now)
            if not self._has_slots:
                make_slots(connection, self.channel, self._bulkhead.concurrent)
            slots = take_slots(connection, self.channel, self._bulkhead.concurrent, lease)
            self._has_slots = bool(slots.numbers)
            if not slots.numbers:
                return None
            each = self._room // self._bulkhead.concurrent
            taken = claim(connection, self.channel, len(slots.numbers) * each, lease, now)
            surplus = len(slots.numbers) - len(taken.rows)
            if surplus > 0:
                slots = give_back_slots(connection, self.channel, slots, surplus)
            return Claim(taken.token, taken.expires, taken.rows, slots)

    async def _send_batch(self, taken: Claim) -> None:
        """Send and settle what was claimed. Whatever goes wrong, the room is free again afterwards."""
        try:
            await self._send_and_settle(taken)
        except Exception:  # a bug; the leases expire and the deliveries are claimed again
            log.exception("batch_failed", channel=self.channel)
        finally:
            del self._under_way[taken.token]
            self._finished.set()
            if taken.slots:
                await self._sender.in_thread(self._give_back, taken)

    async def _send_and_settle(self, taken: Claim) -> None:
        """Send all at once, and settle what is done as soon as the rest is slow."""
        admitted, not_sent = await self._admit(taken)
        gate = asyncio.Semaphore(len(taken.slots.numbers)) if taken.slots else None
        pending = {asyncio.create_task(self._send_one(row, taken, gate)) for row in admitted}
        await self._settle(taken, not_sent)
        while pending:
            done, pending = await asyncio.wait(pending, timeout=PROMPT)
            if not done:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await self._settle(taken, [one.result() for one in done])

    def _give_back(self, taken: Claim) -> None:
        if taken.slots:
            with suppress(*DATABASE_AWAY), transaction() as connection:
                give_back_slots(connection, self.channel, taken.slots, len(taken.slots.numbers))

    async def _admit(self, taken: Claim) -> tuple[list[Row[Any]], list[Result]]:
        """Sort out what is not to be sent, and ask the breakers once for the whole batch."""
        now = datetime.now(UTC)
        results: list[Result] = []
        wanted: list[tuple[Row[Any], str]] = []
        for row in taken.rows:
            given_up = row.was_lost and verdict.lost(row.crashes, row.failures, self.provider.capabilities.on_unknown)
            withdrawn = given_up or look_again(row, self.channel, now)
            if withdrawn:
                results.append(Result(row.id, withdrawn))
            else:
                wanted.append((row, self._breaker_key(row)))
        admissions = await self._sender.check_breakers({key for _, key in wanted})
        admitted = []
        for row, key in wanted:
            wait = admissions.take(key)
            if wait is None:
                admitted.append(row)
            else:
                results.append(Result(row.id, verdict.postponed(row.failures, Reason.BREAKER_OPEN, wait)))
        return admitted, results

    def _breaker_key(self, row: Row[Any]) -> str:
        if row.webhook_id is not None:
            return f"{row.tenant}:webhook:{row.webhook_id}"
        return f"{row.tenant}:{self.provider.name}"

    async def _send_one(self, row: Row[Any], taken: Claim, gate: asyncio.Semaphore | None) -> Result:
        async with gate or self._sender.gate(self._breaker_key(row)):
            return await self._attempt(row, taken)

    async def _attempt(self, row: Row[Any], taken: Claim) -> Result:
        """One attempt, and what it comes to. Never raises: whatever happens is a result."""
        deadline = self.provider.capabilities.deadline
        if taken.expires - monotonic() < deadline + MARGIN:
            return Result(row.id, verdict.postponed(row.failures, Reason.BULKHEAD_FULL, BUSY_WAIT))
        key = self._breaker_key(row)
        wait = self._sender.breakers.closed_for(key)
        if wait is not None:
            return Result(row.id, verdict.postponed(row.failures, Reason.BREAKER_OPEN, wait))
        result = Result(row.id, verdict.sent(row.failures), self.provider.name, datetime.now(UTC))
        began = monotonic()
        provider_failed = await self._try(row, result, deadline)
        result.duration_ms = round((monotonic() - began) * 1000)
        self._sender.record(key, not provider_failed)
        if provider_failed:
            self._sender.flush_breakers()
        if result.verdict.status is not DeliveryStatus.SENT:
            log.warning(
                "not_sent",
                delivery_id=row.id,
                event_id=row.event_id,
                notification_id=row.notification_id,
                channel=self.channel,
                outcome=result.verdict.outcome,
                status=result.verdict.status,
                reason=result.verdict.reason,
                detail=result.detail,
            )
        return result

    async def _try(self, row: Row[Any], result: Result, deadline: float) -> bool:
        """Send and write the verdict into `result`. Whether it speaks against the provider."""
        schedule = self._sender.settings.retry_schedule
        try:
            said = message(row, self.channel)
            where = address(row, datetime.now(UTC))
        except (RenderError, SettingsError) as error:
            result.verdict, result.detail = verdict.not_rendered(row.failures), str(error)[:500]
            return False
        except Exception as error:  # a bug; the others of the batch must not pay for it
            log.exception("not_rendered", delivery_id=row.id, channel=self.channel)
            result.verdict, result.detail = verdict.not_rendered(row.failures), f"unexpected {type(error).__name__}"
            return False
        try:
            async with asyncio.timeout(deadline + 1.0):  # the provider keeps its own; this one is for bugs
                receipt = await self.provider.send(said, where)
        except NotSentError as error:
            result.verdict = verdict.failed(row.failures, schedule, random.random(), error.retry_after)
            result.detail = error.detail
            return error.provider_failed
        except RefusedError as error:
            result.verdict, result.detail = verdict.refused(row.failures), error.detail
            return error.provider_failed
        except OutcomeUnknownError as error:
            result.verdict = self._unknown(row)
            result.detail = error.detail
            return True
        except Exception as error:  # a bug in a provider: nobody knows what left
            log.exception("provider_bug", delivery_id=row.id, channel=self.channel)
            result.verdict = self._unknown(row)
            result.detail = f"unexpected {type(error).__name__}"
            return True
        preview = self.provider.name == "preview"
        result.verdict = verdict.sent(row.failures, preview=preview)
        result.detail, result.message_id, result.moved_to = receipt.detail, receipt.message_id, receipt.moved_to
        if preview:
            result.preview = {
                "delivery_id": row.id,
                "tenant": row.tenant,
                "channel": self.channel,
                "address": where.value,
                "title": said.title,
                "text": said.text,
                "html": said.html,
            }
        return False

    def _unknown(self, row: Row[Any]) -> verdict.Verdict:
        return verdict.unknown(
            row.failures, self._sender.settings.retry_schedule, random.random(), self.provider.capabilities.on_unknown
        )

    async def _settle(self, taken: Claim, results: list[Result]) -> None:
        """Store results. With the database away they are tried again for as long as the lease is ours."""
        while results:
            try:
                settled = await self._sender.in_thread(self._store, taken.token, results)
            except DATABASE_AWAY as error:
                if monotonic() >= taken.expires:
                    log.warning("lease_lost", channel=self.channel, deliveries=len(results))
                    break
                log.warning("database_away", channel=self.channel, problem=type(error.orig).__name__)
                await asyncio.sleep(0.2)
                continue
            if len(settled) < len(results):  # we were too slow, and another worker has them
                log.warning("lease_lost", channel=self.channel, deliveries=len(results) - len(settled))
            if "dead_letter" in settled.values():
                ringer().ring("bellwire.announce")
            break
        self._under_way[taken.token] -= len(results)
        self._finished.set()
        self._sender.flush_breakers()

    @staticmethod
    def _store(token: int, results: list[Result]) -> dict[str, str]:
        with transaction() as connection:
            return settle(connection, token, results)


class Sender:
    """The loop, its thread and the lines of one worker process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = False
        self.loop = uvloop.new_event_loop()
        # Two: while one statement is on its way, the next may be prepared; more would only queue at the database.
        self._database = ThreadPoolExecutor(2, thread_name_prefix="database")
        self._lines: dict[str, Line] = {}
        self._results: list[tuple[str, bool]] = []
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        url = settings.redis_url.get_secret_value() if settings.redis_url else None
        client = redis_client(url, "breakers") if url else None
        self.breakers = Breakers(client, reset_timeout=settings.breaker_seconds)
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()
        self._call(self._open()).result(30)

    @property
    def channels(self) -> frozenset[str]:
        """The channels that have a provider here."""
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

    async def check_breakers(self, keys: set[str]) -> Admissions:
        """What the breakers of a batch admit, in one round trip."""
        return await self.in_thread(self.breakers.check, keys)

    def gate(self, key: str) -> asyncio.Semaphore:
        """How many sends one way gets at a time, so that a breaker can open before a whole batch has failed."""
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = asyncio.Semaphore(PER_WAY)
        return gate

    def record(self, key: str, succeeded: bool) -> None:
        """Note the result of a send, in the order of completion."""
        self._results.append((key, succeeded))

    def flush_breakers(self) -> None:
        """Tell the shared breakers what was noted; they ask the network only when something changes."""
        results, self._results = self._results, []
        if results:
            self._database.submit(self.breakers.record, results)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _open(self) -> None:
        """Make the providers on the loop on which they will be used."""
        providers = configured(self.settings, preview=self.settings.preview)
        self._lines = {channel: Line(self, ways[0]) for channel, ways in providers.items() if ways}
        self._working = [asyncio.create_task(line.work()) for line in self._lines.values()]

    async def _close(self) -> None:
        for line in self._lines.values():
            await line.settled()
            await line.provider.close()
        for working in self._working:
            working.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
