"""Admission: which deliveries of a claim go out now, by which accounts, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Row

from channels.base import Address
from channels.limits import Ask
from config.settings import SettingsError
from domain import verdict
from domain.verdict import Verdict
from domain.vocabulary import Reason
from pipeline.claim import Claim
from pipeline.condition import look_at_condition
from pipeline.deliver import address, look_again
from pipeline.event_types import SHIPPED_TYPES, EventTypes
from pipeline.settle import WITHOUT_ACCOUNTS, Result
from tasks.accounts import Account
from tasks.attempt import not_rendered, policy_of

if TYPE_CHECKING:
    from tasks.sending import Sender

BUSY_WAIT: Final = 5.0  # seconds until a delivery is looked at again that found no room in time
# What waited for one of these had been counted for its recipient before.
COUNTED_BEFORE: Final = frozenset(
    {Reason.RATE_LIMITED, Reason.BREAKER_OPEN, Reason.BULKHEAD_FULL, Reason.ACCOUNT_REJECTED}
)
OVER: Final = frozenset({Reason.ACKNOWLEDGED, Reason.RESOLVED, Reason.CANCELLED, Reason.EXPIRED})
NO_PROVIDER_WAIT: Final = 300.0  # seconds; a new account makes it due at once


@dataclass(slots=True)
class Parcel:
    """A delivery that is wanted: where it goes, and by which accounts; the first is the one that is tried next.

    `key`: what the breaker and the share of the process are counted by. `wait`, `reason`: why and for how long it would
    have to wait, if no account can take it now.
    """

    row: Row[Any]
    where: Address
    accounts: Sequence[Account]
    wait: float = NO_PROVIDER_WAIT
    reason: Reason = Reason.NO_PROVIDER
    key: str = ""

    def __post_init__(self) -> None:
        self._count_by()

    def _count_by(self) -> None:
        if self.accounts:
            self.key = f"{self.row.tenant}:{self.accounts[0].provider.breaker_key(self.where)}"

    @property
    def ask(self) -> Ask:
        """For the limits of the account that is tried next."""
        account = self.accounts[0]
        limits = account.provider.capabilities.limits
        return Ask(account.key, account.provider.name, self.row.address, limits)

    def pass_on(self, reason: Reason, wait: float) -> None:
        """The account that was to be tried cannot take it now; the next one may."""
        if self.reason is Reason.NO_PROVIDER or wait < self.wait:
            self.reason, self.wait = reason, wait
        self.next()

    def next(self) -> bool:
        """Turn to the next account. Whether there is one."""
        self.accounts = self.accounts[1:]
        self._count_by()
        return bool(self.accounts)


class Admission:
    """Asks caps, breakers, shares and limits for whole batches: a few round trips each, none where nothing limits."""

    def __init__(self, sender: Sender, channel: str) -> None:
        self._sender = sender
        self._channel = channel
        self._plain = channel in WITHOUT_ACCOUNTS

    async def sort(self, taken: Claim, orders: Mapping[str, tuple[Account, ...]]) -> tuple[list[Parcel], list[Result]]:
        """What goes out now, with accounts to try, and the results of what does not."""
        now = datetime.now(UTC)
        results: list[Result] = []
        parcels: list[Parcel] = []
        for row in taken.rows:
            types = taken.event_types.get(row.tenant, SHIPPED_TYPES)
            found = self._look(row, orders[row.tenant], now, taken, types)
            if isinstance(found, Parcel):
                parcels.append(found)
            else:
                results.append(found)
        parcels = await self._within_caps(self._without_accounts(parcels, results), results)
        admitted: list[Parcel] = []
        try:
            while parcels:
                parcels = await self._round(parcels, admitted)
                parcels = self._without_accounts(parcels, results)
        except BaseException:
            for parcel in admitted:
                self._sender.ways.give_back(parcel.key)
            raise
        return admitted, results

    async def may_follow(self, parcel: Parcel) -> bool:
        """Whether the next account of a parcel, after one that failed, can take it now. Takes its place if so."""
        admitted: list[Parcel] = []
        await self._round([parcel], admitted, passing_on=False)
        return bool(admitted)

    def _look(
        self,
        row: Row[Any],
        order: tuple[Account, ...],
        now: datetime,
        taken: Claim,
        event_types: EventTypes,
    ) -> Parcel | Result:
        try:
            going = look_again(row, self._channel, now, event_types)
            if going is not None and row.address and row.id in taken.more and going.reason in OVER:
                going = None  # it is still to tell of those that were folded into it
            going = self._given_up(row, order) or going
            going = going or look_at_condition(row, taken.present, self._sender.settings.seen_grace)
            if going is not None:
                return Result(row.id, going)
            where = address(row, self._channel, now)
            accounts = [one for one in order if one.provider.carries(where)]
            if order and not accounts and self._channel != "push":
                raise SettingsError("no provider that is configured takes this kind of address")
            return Parcel(row, where, _fitting(row, accounts))
        except Exception as error:
            return not_rendered(row, self._channel, order[0].provider.name if order else self._channel, error)

    def _given_up(self, row: Row[Any], order: tuple[Account, ...]) -> Verdict | None:
        if not row.was_lost or not order:
            return None
        return verdict.lost(row.crashes, row.failures, policy_of(order[0].provider, self._sender.settings))

    async def _within_caps(self, parcels: list[Parcel], results: list[Result]) -> list[Parcel]:
        """Nobody is told more than so much in so long; the rest is held, and told in one message afterwards."""
        if self._channel not in self._sender.settings.recipient_caps:
            return parcels
        counted = [one for one in parcels if _is_new(one.row)]
        keys = [f"{parcel.row.tenant}:{parcel.row.address}" for parcel in counted]
        waits = await self._sender.in_thread(self._sender.caps.admit, self._channel, keys)
        held = {parcel.row.id: wait for parcel, wait in zip(counted, waits, strict=True) if wait is not None}
        results += [
            Result(parcel.row.id, verdict.held(parcel.row.failures, Reason.TOO_MANY, held[parcel.row.id]))
            for parcel in parcels
            if parcel.row.id in held
        ]
        return [parcel for parcel in parcels if parcel.row.id not in held]

    def _without_accounts(self, parcels: list[Parcel], results: list[Result]) -> list[Parcel]:
        """Those that no account can take now wait, for the one that is free first."""
        left = [parcel for parcel in parcels if parcel.accounts]
        results += [
            Result(parcel.row.id, verdict.postponed(parcel.row.failures, parcel.reason, parcel.wait))
            for parcel in parcels
            if not parcel.accounts
        ]
        return left

    async def _round(
        self, parcels: Sequence[Parcel], admitted: list[Parcel], *, passing_on: bool = True
    ) -> list[Parcel]:
        """Ask for the next account of each; what it cannot take now goes into the next round.

        The breakers come last: what one lets through as a probe should be sent.
        """
        again: list[Parcel] = []

        def refuse(parcel: Parcel, reason: Reason, wait: float) -> None:
            if passing_on:
                parcel.pass_on(reason, wait)
            again.append(parcel)

        asking: list[Parcel] = []
        for parcel in parcels:
            closed = self._sender.breakers.closed_for(parcel.key)
            if closed is not None:
                refuse(parcel, Reason.BREAKER_OPEN, closed)
            elif self._sender.ways.has_room(parcel.key):
                asking.append(parcel)
            else:
                refuse(parcel, Reason.BULKHEAD_FULL, BUSY_WAIT)
        try:
            waits = await self._limits(asking)
            keys = {parcel.key for parcel, wait in zip(asking, waits, strict=True) if wait is None}
            admissions = await self._sender.check_breakers(keys)
        except BaseException:
            for parcel in asking:
                self._sender.ways.give_back(parcel.key)
            raise
        for parcel, limited in zip(asking, waits, strict=True):
            closed = admissions.take(parcel.key) if limited is None else None
            if limited is None and closed is None:
                admitted.append(parcel)
                continue
            self._sender.ways.give_back(parcel.key)
            if limited is not None:
                refuse(parcel, Reason.RATE_LIMITED, limited)
            else:
                refuse(parcel, Reason.BREAKER_OPEN, closed or 0.0)
        return again

    async def _limits(self, parcels: Sequence[Parcel]) -> Sequence[float | None]:
        return [None] * len(parcels) if self._plain else await self._sender.ask_limits([one.ask for one in parcels])


def _is_new(row: Row[Any]) -> bool:
    """Whether a delivery has not been counted for its recipient yet. What may have been sent already must not be held
    either: it would go out as another message, or be told along and never by itself.
    """
    return not (row.attempts or row.was_lost or row.unsure) and row.earlier_reason not in COUNTED_BEFORE


def _fitting(row: Row[Any], accounts: list[Account]) -> list[Account]:
    """After an attempt that may have arrived, only a provider that sends the same thing once is certain not to send
    it twice; the others follow where none is."""
    if not row.unsure:
        return accounts
    same = [one for one in accounts if one.provider.capabilities.idempotent and one.provider.name == row.provider]
    return same or accounts
