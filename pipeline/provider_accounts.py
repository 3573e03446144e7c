"""Provider accounts: a tenant's own credentials, its order of failover and its senders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import structlog
from sqlalchemy import Connection, Row, text

from channels.receipts.registry import RECEIVERS
from config.fields import Fields
from config.settings import SettingsError, settings
from domain.vocabulary import Reason
from pipeline.audit import record
from pipeline.credentials import KNOWN, check_credentials, check_domains, check_senders
from pipeline.moments import written
from pipeline.sealing import opened, sealed
from pipeline.setup import note_change

log = structlog.get_logger(__name__)

LAST: Final = 99  # the highest position
COLUMNS = "tenant, provider, channel, credentials, position, senders, updated_at"
READ = text(f"SELECT {COLUMNS} FROM provider_accounts WHERE tenant = :tenant AND provider = :provider")
LOCK = text(f"{READ.text} FOR UPDATE")
READ_ALL = text(f"SELECT {COLUMNS} FROM provider_accounts WHERE tenant = :tenant ORDER BY channel, position, provider")
PUT = text(f"""
INSERT INTO provider_accounts (tenant, provider, channel, credentials, position, senders)
VALUES (:tenant, :provider, :channel, :credentials, :position, cast(:senders AS jsonb))
ON CONFLICT (tenant, provider) DO UPDATE SET
    credentials = excluded.credentials, position = excluded.position, senders = excluded.senders, updated_at = now()
RETURNING {COLUMNS}
""")
DELETE = text(f"DELETE FROM provider_accounts WHERE tenant = :tenant AND provider = :provider RETURNING {COLUMNS}")

OF_CHANNEL = text("""
SELECT tenant, provider, credentials, senders FROM provider_accounts
WHERE tenant = ANY(:tenants) AND channel = :channel ORDER BY tenant, position, provider
""")

# What somebody holds locked is being claimed or withdrawn just now, and is not among those that wait for an account.
RELEASE = text("""
WITH waiting AS (
    SELECT id FROM deliveries
    WHERE channel = :channel AND tenant = :tenant AND due_at > now() AND reason = ANY(:reasons)
      AND status <> 'processing'
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE deliveries d SET due_at = now() FROM waiting WHERE d.id = waiting.id RETURNING d.id::text
""")
WAITS_FOR_ACCOUNT: Final = [Reason.NO_PROVIDER.value, Reason.ACCOUNT_REJECTED.value]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A tenant's entry for a provider, for the worker.

    `credentials` is sealed; None: the installation's account takes this place. `senders`: globs over event types, and
    ``Name <address>`` of each.
    """

    tenant: str
    provider: str
    credentials: str | None
    senders: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Changed:
    """A provider of a tenant after a change, and the deliveries that this made due, by their ids."""

    shown: dict[str, Any]
    channel: str
    due: Sequence[str]


def accounts_of(connection: Connection, channel: str, tenants: Sequence[str]) -> dict[str, tuple[AccountRow, ...]]:
    """What these tenants say about the providers of a channel, in the order in which they are tried; one statement.

    A tenant that says nothing is missing: it uses the installation's providers in the installation's order.
    """
    found: dict[str, list[AccountRow]] = {}
    for row in connection.execute(OF_CHANNEL, {"tenants": list(set(tenants)), "channel": channel}):
        found.setdefault(row.tenant, []).append(AccountRow(row.tenant, row.provider, row.credentials, row.senders))
    return {tenant: tuple(rows) for tenant, rows in found.items()}


def credentials_of(connection: Connection, tenant: str, provider: str) -> dict[str, str] | None:
    """What a tenant set for its own account at a provider; None when it has none.

    Raises:
        SettingsError: the key that sealed it is no longer among BELLWIRE_SECRET_KEY.
    """
    row = connection.execute(READ, {"tenant": tenant, "provider": provider}).first()
    return None if row is None or row.credentials is None else opened_credentials(row.credentials)


def opened_credentials(stored: str) -> dict[str, str]:
    """The credentials behind `AccountRow.credentials`. Raises SettingsError, as `credentials_of`."""
    credentials: dict[str, str] = json.loads(opened(stored))
    return credentials


def list_accounts(connection: Connection, *, tenant: str) -> list[dict[str, Any]]:
    """All that a tenant has set, by channel in the order of failover, without what is secret."""
    return [_shown(row) for row in connection.execute(READ_ALL, {"tenant": tenant}) if row.provider in KNOWN]


def get_account(connection: Connection, *, tenant: str, provider: str) -> dict[str, Any] | None:
    """One of them, or None."""
    if provider not in KNOWN:
        return None
    row = connection.execute(READ, {"tenant": tenant, "provider": provider}).first()
    return None if row is None else _shown(row)


def put_account(
    connection: Connection, *, tenant: str, provider: str, body: object, actor: str, remote: str | None = None
) -> Changed | None:
    """Set a tenant's account at a provider, its place and its senders; what `body` does not name stays as it is.

    Credentials are replaced as a whole; null takes them away, and the installation's account takes the place.

    Returns:
        None when there is no such provider.

    Raises:
        InvalidInputError: naming the field, never repeating a credential.
    """
    kind = KNOWN.get(provider)
    if kind is None:
        return None
    fields = Fields(body, "", ("credentials", "position", "senders"))
    assert isinstance(body, Mapping)  # Fields has seen to it
    given = check_credentials(kind, body.get("credentials"))
    senders = check_senders(kind, body.get("senders"))
    before = connection.execute(LOCK, {"tenant": tenant, "provider": provider}).first()
    old = None if before is None else before.credentials
    keeps = "credentials" not in body
    values = {
        "tenant": tenant,
        "provider": provider,
        "channel": kind.channel,
        "credentials": old if keeps else given and sealed(json.dumps(given).encode()),
        "position": fields.number("position", before.position if before else 0, least=0, most=LAST),
        "senders": json.dumps(before.senders if before and "senders" not in body else senders),
    }
    if values["credentials"] is None:
        check_domains(json.loads(str(values["senders"])))
    row = connection.execute(PUT, values).one()
    after = _recorded(row) | ({} if keeps else {"changed": _difference(old, given)})
    return _changed(connection, "provider.put", row, actor, remote, before, after)


def delete_account(
    connection: Connection, *, tenant: str, provider: str, actor: str, remote: str | None = None
) -> Changed | None:
    """Forget what a tenant set for a provider. None when there is nothing."""
    if provider not in KNOWN:
        return None
    row = connection.execute(DELETE, {"tenant": tenant, "provider": provider}).first()
    return None if row is None else _changed(connection, "provider.delete", row, actor, remote, row, None)


def _changed(
    connection: Connection,
    action: str,
    row: Row[Any],
    actor: str,
    remote: str | None,
    before: Row[Any] | None,
    after: dict[str, Any] | None,
) -> Changed:
    """Workers learn of it, and the audit; and what waited for an account is tried at once."""
    note_change(connection, row.tenant)
    record(
        connection,
        tenant=row.tenant,
        actor=actor,
        action=action,
        subject=row.provider,
        before=None if before is None else _recorded(before),
        after=after,
        remote=remote,
    )
    values = {"channel": row.channel, "tenant": row.tenant, "reasons": WAITS_FOR_ACCOUNT}
    return Changed(_shown(row), row.channel, connection.execute(RELEASE, values).scalars().all())


def _names(stored: str | None) -> list[str]:
    """Which credentials are set. None of those that no key of ours opens any more."""
    try:
        return [] if stored is None else sorted(opened_credentials(stored))
    except SettingsError:
        log.warning("credentials_not_opened")
        return []


def _difference(stored: str | None, now: Mapping[str, str] | None) -> list[str]:
    """The names of the credentials that are new, gone or different."""
    before = {name: opened_credentials(stored)[name] for name in _names(stored)} if stored else {}
    after = now or {}
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _recorded(row: Row[Any]) -> dict[str, Any]:
    """For the audit: no value of a credential, and no address."""
    return {"position": row.position, "senders": sorted(row.senders), "credentials": _names(row.credentials)}


def _shown(row: Row[Any]) -> dict[str, Any]:
    own = row.credentials is not None
    receipts = f"{settings().public_url.rstrip('/')}/v1/receipts/{row.provider}?tenant={quote(row.tenant, safe='')}"
    return {
        "provider": row.provider,
        "channel": row.channel,
        "position": row.position,
        "account": "own" if own else "installation",
        "credentials": _names(row.credentials),
        "senders": row.senders,
        "receipts_url": receipts if own and row.provider in RECEIVERS else None,
        "updated_at": written(row.updated_at),
    }
