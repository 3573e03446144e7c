"""Rejected accounts: providers that do not accept an account, from the first refusal to the next message they take."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, text

REJECT: Final = text("""
INSERT INTO rejected_accounts (tenant, provider, channel, problem) VALUES (:tenant, :provider, :channel, :problem)
ON CONFLICT (tenant, provider) DO UPDATE SET problem = excluded.problem
""")
ACCEPT: Final = text("""
DELETE FROM rejected_accounts WHERE tenant = :tenant AND provider = :provider RETURNING channel, problem
""")
ALL: Final = text("SELECT tenant, provider, channel, problem, since FROM rejected_accounts ORDER BY tenant, provider")


def note_rejected(connection: Connection, *, tenant: str, provider: str, channel: str, problem: str) -> None:
    """Remember that an account is not accepted, and since when."""
    connection.execute(REJECT, {"tenant": tenant, "provider": provider, "channel": channel, "problem": problem})


def note_accepted(connection: Connection, *, tenant: str, provider: str) -> dict[str, Any] | None:
    """Forget it. What was wrong, for the one process that gets to say that it is over."""
    row = connection.execute(ACCEPT, {"tenant": tenant, "provider": provider}).first()
    return None if row is None else {"provider": provider, "channel": row.channel, "problem": row.problem}


def rejected_accounts(connection: Connection, tenant: str | None = None) -> list[dict[str, Any]]:
    """All of them, or a tenant's."""
    rows = connection.execute(ALL).mappings()
    return [dict(row) for row in rows if tenant in (None, row["tenant"])]
