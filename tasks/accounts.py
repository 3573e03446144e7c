"""Accounts: which providers may carry a tenant's deliveries, the first choice first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import structlog
from sqlalchemy import Connection

from channels.base import Provider
from channels.registry import PROVIDERS
from config.settings import Settings, SettingsError
from domain.deliverability import reordered
from domain.routing import glob_matches
from pipeline.deliverability import demoted
from pipeline.provider_accounts import AccountRow, accounts_of, opened_credentials

log = structlog.get_logger(__name__)

MOST_KEPT: Final = 200  # tenants' providers with their connections, by channel and process; the longest unused goes
DEMOTED_FOR: Final = 60.0  # seconds until how well providers arrive is looked at again


@dataclass(frozen=True, slots=True)
class Account:
    """A provider, and whose account it uses: a tenant's own, or the installation's (`tenant` is empty)."""

    provider: Provider
    tenant: str = ""
    senders: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """By which rate limits count."""
        return f"{self.tenant}:{self.provider.name}"

    def sender(self, event_type: str) -> str | None:
        """Whom an email of this type comes from, as the tenant wants it; the most specific pattern wins."""
        fitting = [glob for glob in self.senders if glob_matches(glob, event_type)]
        return self.senders[max(fitting, key=len)] if fitting else None


class Accounts:
    """The accounts of one channel in one process. Providers of tenants are made when they are first needed."""

    def __init__(
        self, settings: Settings, channel: str, shared: Sequence[Provider], retire: Callable[[Provider], None]
    ) -> None:
        self._settings = settings
        self._channel = channel
        self._shared = {provider.name: Account(provider) for provider in shared}
        self._retire = retire
        self._kept: OrderedDict[tuple[str, str], tuple[str, Provider]] = OrderedDict()
        self._demoted: dict[str, tuple[float, frozenset[str]]] = {}

    @property
    def shared(self) -> tuple[Account, ...]:
        """The installation's own, in their order."""
        return tuple(self._shared.values())

    def orders(self, connection: Connection, tenants: Iterable[str]) -> dict[str, tuple[Account, ...]]:
        """The order of failover of each tenant: one statement, and another one now and then."""
        asked = sorted(set(tenants))
        if not asked:
            return {}
        rows = accounts_of(connection, self._channel, asked)
        self._give_up(
            {(row.tenant, row.provider) for found in rows.values() for row in found if row.credentials}, asked
        )
        self._look_at_deliverability(connection, asked)
        return {tenant: self._ranked(tenant, self._of(rows.get(tenant, ()))) for tenant in asked}

    def close(self) -> None:
        """Give up the tenants' providers."""
        for _, provider in self._kept.values():
            self._retire(provider)
        self._kept.clear()

    def _give_up(self, wanted: set[tuple[str, str]], tenants: Sequence[str]) -> None:
        """Retire the providers of accounts that were deleted."""
        for key in [key for key in self._kept if key[0] in tenants and key not in wanted]:
            self._retire(self._kept.pop(key)[1])

    def _of(self, rows: Sequence[AccountRow]) -> tuple[Account, ...]:
        found = [account for row in rows if (account := self._account(row)) is not None]
        named = {row.provider for row in rows}
        # Devices are of different makes, and nobody has an account for all of them: the others are the installation's.
        other_makes = [
            account
            for account in self.shared
            if account.provider.capabilities.platforms and account.provider.name not in named
        ]
        if not found and all(row.credentials is None for row in rows):
            return self.shared
        return (*found, *other_makes)

    def _account(self, row: AccountRow) -> Account | None:
        if row.credentials is None:
            shared = self._shared.get(row.provider)
            return shared and Account(shared.provider, "", row.senders)
        try:
            return Account(self._provider(row, row.credentials), row.tenant, row.senders)
        except SettingsError as error:
            # It was good when it was stored; an update or a lost key took that away. The others must go on.
            log.warning("account_unusable", tenant=row.tenant, provider=row.provider, problem=str(error))
        except Exception:  # a provider that is gone, or a library's surprise
            log.exception("account_unusable", tenant=row.tenant, provider=row.provider)
        return None

    def _provider(self, row: AccountRow, sealed: str) -> Provider:
        key = row.tenant, row.provider
        kept = self._kept.get(key)
        if kept is not None and kept[0] == sealed:
            self._kept.move_to_end(key)
            return kept[1]
        made = PROVIDERS[self._channel][row.provider].from_account(self._settings, opened_credentials(sealed))
        if made is None:
            raise SettingsError(f"the account at {row.provider} is not complete")
        made.tenant = row.tenant
        self._kept[key] = sealed, made
        if kept is not None:
            self._retire(kept[1])
        while len(self._kept) > MOST_KEPT:
            self._retire(self._kept.popitem(last=False)[1][1])
        return made

    def _look_at_deliverability(self, connection: Connection, tenants: Sequence[str]) -> None:
        now = monotonic()
        old = [tenant for tenant in tenants if self._demoted.get(tenant, (0.0, None))[0] <= now]
        if old:
            found = demoted(connection, self._channel, old)
            self._demoted |= {tenant: (now + DEMOTED_FOR, found.get(tenant, frozenset())) for tenant in old}

    def _ranked(self, tenant: str, accounts: tuple[Account, ...]) -> tuple[Account, ...]:
        """Those that arrive badly come last (E-20)."""
        badly = self._demoted[tenant][1]
        if not badly:
            return accounts
        by_name = {account.provider.name: account for account in accounts}
        return tuple(by_name[name] for name in reordered(tuple(by_name), badly))
