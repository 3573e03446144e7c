"""Batches: what a line claims, with all that is needed to send it: accounts, words, who is there, what carries what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Row

from channels.base import Bulkhead
from models.engine import DATABASE_AWAY, transaction
from pipeline.bulkhead import give_back_slots, make_slots, take_slots
from pipeline.claim import Claim, claim, claim_alone
from pipeline.condition import asks_for_presence, look_at_condition
from pipeline.deliver import look_again
from pipeline.event_types import EventTypes
from pipeline.fold import fold
from pipeline.looks import made_of
from pipeline.settle import WITHOUT_ACCOUNTS
from tasks.accounts import Account, Accounts
from tasks.presence import who_is_present

if TYPE_CHECKING:
    from tasks.sending import Sender

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """A claim with the accounts that may carry it, by tenant.

    `claimed`: how many deliveries there were before some were folded.
    """

    claim: Claim
    orders: Mapping[str, tuple[Account, ...]]
    claimed: int


class Batches:
    """Claims of one channel. Each method is one transaction, run beside the loop."""

    def __init__(self, sender: Sender, channel: str, accounts: Accounts, bulkhead: Bulkhead, *, built: bool) -> None:
        """`built`: whether the installation has a provider on the channel."""
        self.channel = channel
        self._sender = sender
        self._accounts = accounts
        self._bulkhead = bulkhead
        self._room = bulkhead.concurrent + bulkhead.waiting
        self._built = built
        self._is_plain = channel in WITHOUT_ACCOUNTS

    def claim(self, most: int) -> Batch | None:
        """What is due, at most `most`; None when no slot of a shared bulkhead is free."""
        with transaction() as connection:
            if not self._bulkhead.shared:
                return self._prepared(connection, self._claimed(connection, most))
            lease = self._sender.settings.lease_seconds
            slots = take_slots(connection, self.channel, self._bulkhead.concurrent, lease)
            if not slots.numbers and make_slots(connection, self.channel, self._bulkhead.concurrent):
                slots = take_slots(connection, self.channel, self._bulkhead.concurrent, lease)
            if not slots.numbers:
                return None
            each = self._room // self._bulkhead.concurrent
            taken = self._claimed(connection, len(slots.numbers) * each)
            surplus = len(slots.numbers) - len(taken.rows)
            if surplus > 0:
                slots = give_back_slots(connection, self.channel, slots, surplus)
            return self._prepared(connection, replace(taken, slots=slots))

    def claim_alone(self) -> Batch:
        """One delivery that processes have died with."""
        with transaction() as connection:
            lease = self._sender.settings.lease_seconds
            return self._prepared(connection, claim_alone(connection, self.channel, lease, monotonic()))

    def give_back(self, taken: Claim) -> None:
        """The slots of a batch that has ended; with the database away they are free when its lease has passed."""
        if taken.slots:
            with suppress(*DATABASE_AWAY), transaction() as connection:
                give_back_slots(connection, self.channel, taken.slots, len(taken.slots.numbers))

    def _claimed(self, connection: Connection, most: int) -> Claim:
        lease = self._sender.settings.lease_seconds
        return claim(connection, self.channel, most, lease, monotonic(), of_accounts=not self._built)

    def _prepared(self, connection: Connection, taken: Claim) -> Batch:
        """Fold what belongs together, and look up whose accounts carry the rest."""
        tenants = {row.tenant for row in taken.rows}
        if self._is_plain or not tenants:
            types = self._types(connection, taken.rows)
            return Batch(
                replace(taken, event_types=types), dict.fromkeys(tenants, self._accounts.shared), len(taken.rows)
            )
        orders = self._accounts.orders(connection, tenants)
        present = who_is_present(asks_for_presence(taken.rows))
        looks = self._sender.looks.look_up(connection, tenants)
        types = {tenant: look.event_types for tenant, look in looks.items()}
        gone, more = fold(
            connection, taken.token, taken.rows, lambda row: self._is_wanted(row, present, types[row.tenant])
        )
        left = [row for row in taken.rows if row.id not in gone]
        made = made_of(connection, self.channel, left, looks)
        prepared = replace(taken, rows=left, more=more, present=present, made=made, event_types=types)
        return Batch(prepared, orders, len(taken.rows))

    def _types(self, connection: Connection, rows: Sequence[Row[Any]]) -> dict[str, EventTypes]:
        """Of webhooks only those of users who have switched something off have anything to ask of an event type."""
        asking = {row.tenant for row in rows if row.preferences}
        looks = self._sender.looks.look_up(connection, asking) if asking else {}
        return {tenant: look.event_types for tenant, look in looks.items()}

    def _is_wanted(self, row: Row[Any], present: Mapping[tuple[str, str], float], event_types: EventTypes) -> bool:
        """Whether a delivery may carry others; one that nobody can look at carries none, and fails by itself later."""
        try:
            now, grace = datetime.now(UTC), self._sender.settings.seen_grace
            return (look_again(row, self.channel, now, event_types) or look_at_condition(row, present, grace)) is None
        except Exception:
            log.exception("not_looked_at", delivery_id=row.id, channel=self.channel)
            return False
