"""The line of one channel in one process: claims what is due, sends it all at once, settles what came of it.

It goes on claiming while something is due and there is room; a slow receiver holds up only its own delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from channels.base import AccountError, NotSentError, Provider
from channels.registry import PROVIDERS
from domain import verdict
from domain.vocabulary import Reason
from models.engine import DATABASE_AWAY, transaction
from pipeline.claim import Claim
from pipeline.deliver import NOTHING_MORE
from pipeline.looks import AS_SHIPPED
from pipeline.settle import Result, settle
from tasks.accounts import Accounts
from tasks.admission import BUSY_WAIT, Admission, Parcel
from tasks.attempt import THROTTLED, Try, concluded, on_account, try_once, words
from tasks.batches import Batch, Batches
from tasks.bells import ringer

if TYPE_CHECKING:
    from tasks.sending import Sender

log = structlog.get_logger(__name__)

PROMPT = 0.25  # seconds that a batch waits for its slower sends before the others are settled
MARGIN = 2.0  # seconds of the lease kept for settling
ALONE_EVERY = 1.0  # seconds between looks for what a process died of before
SOON = 5.0  # seconds; what waits longer for a rate limit is found by the sweep
SLACK = 0.05  # seconds, so that what was settled as waiting is due when the line comes back
SETTLE_AGAIN = 0.2  # seconds; the database was away


# Classes of SQLSTATE that say that the rows themselves cannot be stored: bad data, constraints, limits.
AT_FAULT: Final = ("22", "23", "54")


class Line:
    """Everything here runs on the loop of the sender."""

    def __init__(self, sender: Sender, channel: str, providers: Sequence[Provider]) -> None:
        self.channel = channel
        self._sender = sender
        self._providers = tuple(providers)
        self._accounts = Accounts(sender.settings, channel, providers, self._retire)
        self._admission = Admission(sender, channel)
        first = providers[0] if providers else next(iter(PROVIDERS[channel].values()))
        self._bulkhead = first.capabilities.bulkhead
        self._claims = Batches(sender, channel, self._accounts, self._bulkhead, built=bool(providers))
        self._room = self._bulkhead.concurrent + self._bulkhead.waiting
        self._gate = asyncio.Semaphore(self._bulkhead.concurrent)
        self._claiming = False
        self._alone_at = 0.0
        self._under_way: dict[int, int] = {}  # sends that are not settled, by the token of their claim
        self._rung = asyncio.Event()
        self._quiet = asyncio.Event()
        self._finished = asyncio.Event()
        self._batches: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._waking = False

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
        self._accounts.close()
        await asyncio.gather(*(provider.close() for provider in self._providers), return_exceptions=True)

    def _retire(self, provider: Provider) -> None:
        """Close a tenant's provider once what it may still send has ended. Called from any thread."""
        loop = self._sender.loop
        wait = self._sender.settings.lease_seconds

        def close() -> None:
            task = loop.create_task(provider.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

        loop.call_soon_threadsafe(loop.call_later, 0.0 if self._sender.stopping else wait, close)

    def _rest(self, *_: object) -> None:
        if not self._batches and not self._claiming and not self._rung.is_set():
            self._quiet.set()

    async def _claim_and_send(self) -> bool:
        """One claim. Whether there may be more."""
        asked = min(await self._wait_for_room(), self._sender.settings.batch_size)
        batch = await self._sender.in_thread(self._claims.claim, asked)
        if batch is None or not batch.claim.rows:
            await self._send_what_was_lost()
            return False
        self._start(batch)
        return self._bulkhead.shared or batch.claimed == asked

    def _start(self, prepared: Batch) -> asyncio.Task[None]:
        self._under_way[prepared.claim.token] = len(prepared.claim.rows)
        batch = asyncio.create_task(self._send_batch(prepared))
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

    async def _send_what_was_lost(self) -> None:
        """One at a time: if one of them is what processes die of, it takes no other with it."""
        if monotonic() < self._alone_at:
            return
        self._alone_at = monotonic() + ALONE_EVERY
        while not self._sender.stopping:
            batch = await self._sender.in_thread(self._claims.claim_alone)
            if not batch.claim.rows:
                return
            await self._start(batch)

    async def _send_batch(self, batch: Batch) -> None:
        """Send and settle what was claimed. Whatever goes wrong, the room is free again afterwards."""
        taken = batch.claim
        try:
            await self._send_and_settle(batch)
        except Exception:  # a bug; the leases expire and the deliveries are claimed again
            log.exception("batch_failed", channel=self.channel)
        finally:
            del self._under_way[taken.token]
            self._finished.set()
            if taken.slots:
                await self._sender.in_thread(self._claims.give_back, taken)
                self._rung.set()  # what found no slot waits for these

    async def _send_and_settle(self, batch: Batch) -> None:
        """Send all at once, and settle what is done as soon as the rest is slow."""
        taken = batch.claim
        admitted, not_sent = await self._admission.sort(taken, batch.orders)
        gate = asyncio.Semaphore(len(taken.slots.numbers)) if taken.slots else self._gate
        pending = {asyncio.create_task(self._send_one(parcel, taken, gate)) for parcel in admitted}
        self._wake_for(not_sent)
        await self._settle(taken, not_sent)
        while pending:
            done, pending = await asyncio.wait(pending, timeout=PROMPT)
            if not done:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await self._settle(taken, [one.result() for one in done])

    def _wake_for(self, results: Sequence[Result]) -> None:
        """Come back when the rate limit lets more through; the sweep alone would leave most of each second unused."""
        waits = [
            result.verdict.wait
            for result in results
            if result.verdict.reason is Reason.RATE_LIMITED and result.verdict.wait is not None
        ]
        if waits and min(waits) <= SOON and not self._waking:
            self._waking = True
            self._sender.loop.call_later(min(waits) + SLACK, self._wake)

    def _wake(self) -> None:
        self._waking = False
        self._rung.set()

    async def _send_one(self, parcel: Parcel, taken: Claim, gate: asyncio.Semaphore) -> Result:
        """By the first account, and by the next ones while it is certain that nothing was sent."""
        row, made = parcel.row, taken.made.get(parcel.row.id, AS_SHIPPED)
        more, provider = taken.more.get(row.id, NOTHING_MORE), parcel.accounts[0].provider
        if made.template is None:
            said = words(row, self.channel, more, made, provider)
        else:
            said = await self._sender.render(words, row, self.channel, more, made, provider)
        tries: list[Try] = []
        while True:
            async with self._sender.ways.turn(parcel.key), gate:
                if isinstance(said, Result):
                    return said
                late = self._is_too_late(parcel, taken)
                if late is None:
                    account = parcel.accounts[0]
                    message = on_account(said, parcel.row, account, self._sender.settings)
                    tries.append(await try_once(parcel.row, account, message, parcel.where))
            if late is not None and not tries:
                if late.verdict.reason is Reason.BREAKER_OPEN and await self._turn_to_next(parcel):
                    continue
                return late
            if late is None:
                self._note(parcel, tries[-1])
            if late is not None or not tries[-1].may_pass_on or not await self._turn_to_next(parcel):
                result = concluded(row, self.channel, tries, said, parcel.where, self._sender.settings)
                result.made = made
                return result

    async def _turn_to_next(self, parcel: Parcel) -> bool:
        while parcel.next():
            if await self._admission.may_follow(parcel):
                return True
        return False

    def _is_too_late(self, parcel: Parcel, taken: Claim) -> Result | None:
        """The result of what has missed its turn: too late for the lease, or its way has closed meanwhile."""
        row = parcel.row
        if taken.expires - monotonic() < parcel.accounts[0].provider.capabilities.deadline + MARGIN:
            return Result(row.id, verdict.postponed(row.failures, Reason.BULKHEAD_FULL, BUSY_WAIT))
        wait = self._sender.breakers.closed_for(parcel.key)
        if wait is not None:
            return Result(row.id, verdict.postponed(row.failures, Reason.BREAKER_OPEN, wait))
        return None

    def _note(self, parcel: Parcel, tried: Try) -> None:
        """Tell the others what this turn says of the account."""
        self._sender.record(parcel.key, tried.worked)
        match tried.error:
            case None:
                self._sender.accepted(parcel.row.tenant, tried.account.provider.name)
            case AccountError():
                self._sender.alarm(parcel.row.tenant, self.channel, tried.account.provider.name, tried.detail)
            case NotSentError(throttled=True):
                self._sender.pause(tried.account.key, tried.error.retry_after or THROTTLED)

    async def _settle(self, taken: Claim, results: list[Result]) -> None:
        """Store results. The sends have happened, so it is tried for as long as the lease is ours."""
        while results:
            try:
                settled = await self._sender.in_thread(self._store, taken, results)
            except Exception as error:
                if (getattr(getattr(error, "orig", None), "sqlstate", None) or "")[:2] in AT_FAULT:
                    if len(results) > 1:  # one of them is at fault; the others must not pay for it
                        await asyncio.gather(*(self._settle(taken, [one]) for one in results))
                        return
                    if not results[0].is_bare:
                        log.exception("not_storable", delivery_id=results[0].delivery_id, channel=self.channel)
                        results = [results[0].bare()]
                        continue
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

    def _store(self, taken: Claim, results: list[Result]) -> dict[str, str]:
        with transaction() as connection:
            return settle(connection, taken.token, results, self.channel)
