"""The line of one channel in one process: claims what is due, sends it all at once, settles what came of it.

It goes on claiming while something is due and there is room; a slow receiver holds up only its own delivery.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import DataError, IntegrityError

from channels.base import Provider
from domain import verdict
from domain.vocabulary import Reason
from models.engine import DATABASE_AWAY, transaction
from pipeline.bulkhead import give_back_slots, make_slots, take_slots
from pipeline.deliver import Claim, Result, claim, claim_alone, look_again, settle
from tasks.attempt import attempt
from tasks.bells import ringer

if TYPE_CHECKING:
    from tasks.sending import Sender

log = structlog.get_logger(__name__)

PROMPT = 0.25  # seconds that a batch waits for its slower sends before the others are settled
MARGIN = 2.0  # seconds of the lease kept for settling
BUSY_WAIT = 5.0  # seconds until a delivery is looked at again that found no room in time
ALONE_EVERY = 1.0  # seconds between looks for what a process died of before
SETTLE_AGAIN = 0.2  # seconds; the database was away


class Line:
    """Everything here runs on the loop of the sender."""

    def __init__(self, sender: Sender, provider: Provider) -> None:
        self.provider = provider
        self.channel = provider.channel
        self._sender = sender
        self._bulkhead = provider.capabilities.bulkhead
        self._room = self._bulkhead.concurrent + self._bulkhead.waiting
        self._claiming = False
        self._alone_at = 0.0
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
        """Answer bells until the process stops."""
        while not self._sender.stopping:
            await self._rung.wait()
            self._rung.clear()
            self._claiming = True
            try:
                while not self._sender.stopping and await self._claim_and_send():
                    pass
            except DATABASE_AWAY as error:
                log.warning("database_away", channel=self.channel, problem=type(error.orig).__name__)
            except Exception:  # a bug; the line must live on, and the sweep rings again
                log.exception("line_failed", channel=self.channel)
            finally:
                self._claiming = False
                self._rest()

    async def end(self, working: asyncio.Task[None]) -> None:
        """Claim no more; what is claimed is sent and settled before the provider closes."""
        self._rung.set()
        await asyncio.wait({working})
        while self._batches:
            await asyncio.wait(self._batches)
        await self.provider.close()

    def _rest(self, *_: object) -> None:
        if not self._batches and not self._claiming and not self._rung.is_set():
            self._quiet.set()

    async def _claim_and_send(self) -> bool:
        """One claim. Whether there may be more."""
        asked = min(await self._wait_for_room(), self._sender.settings.batch_size)
        taken = await self._sender.in_thread(self._claim, asked)
        if taken is None or not taken.rows:
            await self._send_what_was_lost()
            return False
        self._start(taken)
        return self._bulkhead.shared or len(taken.rows) == asked

    def _start(self, taken: Claim) -> asyncio.Task[None]:
        self._under_way[taken.token] = len(taken.rows)
        batch = asyncio.create_task(self._send_batch(taken))
        self._batches.add(batch)
        batch.add_done_callback(self._batches.discard)
        batch.add_done_callback(self._rest)
        return batch

    async def _wait_for_room(self) -> int:
        """Free places; half of them at least, because claiming one at a time would cost a transaction each."""
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
            slots = take_slots(connection, self.channel, self._bulkhead.concurrent, lease)
            if not slots.numbers and make_slots(connection, self.channel, self._bulkhead.concurrent):
                slots = take_slots(connection, self.channel, self._bulkhead.concurrent, lease)
            if not slots.numbers:
                return None
            each = self._room // self._bulkhead.concurrent
            taken = claim(connection, self.channel, len(slots.numbers) * each, lease, now)
            surplus = len(slots.numbers) - len(taken.rows)
            if surplus > 0:
                slots = give_back_slots(connection, self.channel, slots, surplus)
            return Claim(taken.token, taken.expires, taken.rows, slots)

    async def _send_what_was_lost(self) -> None:
        """One at a time: if one of them is what processes die of, it takes no other with it."""
        if monotonic() < self._alone_at:
            return
        self._alone_at = monotonic() + ALONE_EVERY
        while not self._sender.stopping:
            taken = await self._sender.in_thread(self._claim_alone)
            if not taken.rows:
                return
            await self._start(taken)

    def _claim_alone(self) -> Claim:
        with transaction() as connection:
            return claim_alone(connection, self.channel, self._sender.settings.lease_seconds, monotonic())

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
                self._rung.set()  # what found no slot waits for these

    async def _send_and_settle(self, taken: Claim) -> None:
        """Send all at once, and settle what is done as soon as the rest is slow."""
        admitted, not_sent = await self._admit(taken)
        gate = asyncio.Semaphore(len(taken.slots.numbers)) if taken.slots else None
        pending = {asyncio.create_task(self._send_one(row, key, taken, gate)) for row, key in admitted}
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

    async def _admit(self, taken: Claim) -> tuple[list[tuple[Row[Any], str]], list[Result]]:
        """Sort out what is not to be sent now, and ask the breakers once for the whole batch."""
        now = datetime.now(UTC)
        results: list[Result] = []
        wanted: list[tuple[Row[Any], str]] = []
        for row in taken.rows:
            going = self._going(row, now)
            if going:
                results.append(Result(row.id, going))
            else:
                wanted.append((row, self._breaker_key(row)))
        admissions = await self._sender.check_breakers({key for _, key in wanted})
        admitted = []
        for row, key in wanted:
            wait = admissions.take(key)
            if wait is not None:
                results.append(Result(row.id, verdict.postponed(row.failures, Reason.BREAKER_OPEN, wait)))
            elif self._sender.ways.has_room(key):
                admitted.append((row, key))
            else:
                results.append(Result(row.id, verdict.postponed(row.failures, Reason.BULKHEAD_FULL, BUSY_WAIT)))
        return admitted, results

    def _going(self, row: Row[Any], now: datetime) -> verdict.Verdict | None:
        """Where a delivery goes instead of out; None when it is to be sent."""
        policy = self.provider.capabilities.on_unknown
        try:
            given_up = verdict.lost(row.crashes, row.failures, policy) if row.was_lost else None
            return given_up or look_again(row, self.channel, now)
        except Exception:  # a bug; the others of the batch must not pay for it
            log.exception("not_looked_at", delivery_id=row.id, channel=self.channel)
            return verdict.not_rendered(row.failures)

    def _breaker_key(self, row: Row[Any]) -> str:
        if row.webhook_id is not None:
            return f"{row.tenant}:webhook:{row.webhook_id}"
        return f"{row.tenant}:{self.provider.name}"

    async def _send_one(self, row: Row[Any], key: str, taken: Claim, gate: asyncio.Semaphore | None) -> Result:
        async with self._sender.ways.turn(key):
            if gate is None:
                return await self._in_time(row, key, taken)
            async with gate:
                return await self._in_time(row, key, taken)

    async def _in_time(self, row: Row[Any], key: str, taken: Claim) -> Result:
        """Attempt it, unless its turn came too late for the lease or its way has closed meanwhile."""
        if taken.expires - monotonic() < self.provider.capabilities.deadline + MARGIN:
            return Result(row.id, verdict.postponed(row.failures, Reason.BULKHEAD_FULL, BUSY_WAIT))
        wait = self._sender.breakers.closed_for(key)
        if wait is not None:
            return Result(row.id, verdict.postponed(row.failures, Reason.BREAKER_OPEN, wait))
        result, worked = await attempt(row, self.provider, self._sender.settings.retry_schedule)
        if worked is not None:
            self._sender.record(key, worked)
        return result

    async def _settle(self, taken: Claim, results: list[Result]) -> None:
        """Store results. The sends have happened, so it is tried for as long as the lease is ours."""
        while results:
            try:
                settled = await self._sender.in_thread(self._store, taken.token, results)
            except Exception as error:
                if len(results) > 1 and isinstance(error, DataError | IntegrityError):
                    for one in results:  # one of them is at fault; the others must not pay for it
                        await self._settle(taken, [one])
                    return
                problem = type(getattr(error, "orig", error)).__name__
                log.warning("not_settled", channel=self.channel, deliveries=len(results), problem=problem)
                if monotonic() >= taken.expires:
                    break
                await asyncio.sleep(SETTLE_AGAIN)
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
