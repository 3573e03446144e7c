"""Deliverability: what providers accepted and what became of it, by channel and provider, over any time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.deliverability import (
    ACCEPTED,
    BOUNCED,
    COMPLAINED,
    COUNTED,
    DELIVERED,
    LEAST_ACCEPTED,
    is_poor,
    rate,
)

HOURS: Final = 24  # that decide on the order of providers

_SUMS: Final = ", ".join(
    f"coalesce(sum(count) FILTER (WHERE kind = '{kind}'), 0)::bigint AS {kind}" for kind in COUNTED
)

FIGURES: Final = f"""
SELECT channel, provider, {_SUMS}, coalesce(sum(cost), 0) AS cost
FROM deliverability WHERE {{owner}} AND hour >= date_trunc('hour', cast(:since AS timestamptz), 'UTC')
GROUP BY channel, provider ORDER BY channel, provider
"""

OF_TENANTS = text(f"""
SELECT tenant, channel, provider, {_SUMS}
FROM deliverability
WHERE hour > now() - :hours * interval '1 hour' AND tenant = ANY(:tenants)
  AND (cast(:channel AS text) IS NULL OR channel = :channel)
GROUP BY tenant, channel, provider
HAVING sum(count) FILTER (WHERE kind = '{ACCEPTED}') >= :least
ORDER BY tenant, channel, provider
""")


def figures(connection: Connection, *, tenant: str | None, since: datetime) -> list[dict[str, Any]]:
    """What was accepted, delivered, bounced and complained about, by channel and provider.

    Args:
        tenant: None for all together.
        since: in whole hours; the one that it lies in is counted.

    Returns:
        Also ``deactivated`` (push tokens), ``segments`` (of text messages), ``cost`` in units of the currency that is
        configured, and ``delivery_rate``, ``bounce_rate``, ``complaint_rate`` as parts of 1, None where nothing was
        accepted. Receipts count in the hour in which they come, so a rate over a short time may exceed 1.
    """
    owner = "true" if tenant is None else "tenant = :tenant"
    values = {"since": since} if tenant is None else {"since": since, "tenant": tenant}
    return [_figure(row) for row in connection.execute(text(FIGURES.format(owner=owner)), values)]


def demoted(connection: Connection, channel: str, tenants: Collection[str]) -> dict[str, frozenset[str]]:
    """Which providers of a channel are to be tried last, by tenant; tenants for whom all are well are missing.

    Decided by the last 24 hours of the tenant's own messages (E-20). One statement; what it says changes slowly, so
    whoever sends may remember it for a minute.
    """
    found: dict[str, set[str]] = {}
    for row in _poor(connection, channel, tenants):
        found.setdefault(row.tenant, set()).add(row.provider)
    return {tenant: frozenset(providers) for tenant, providers in found.items()}


def demoted_of(connection: Connection, tenant: str) -> list[dict[str, str]]:
    """The same over all channels of one tenant, for people."""
    return [{"channel": row.channel, "provider": row.provider} for row in _poor(connection, None, [tenant])]


def _poor(connection: Connection, channel: str | None, tenants: Collection[str]) -> list[Row[Any]]:
    values = {"hours": HOURS, "tenants": list(tenants), "channel": channel, "least": LEAST_ACCEPTED}
    rows = connection.execute(OF_TENANTS, values)
    return [row for row in rows if is_poor(row.accepted, row.bounced, row.complained)]


def _figure(row: Row[Any]) -> dict[str, Any]:
    found = {"channel": row.channel, "provider": row.provider}
    counts = {kind: getattr(row, kind) for kind in COUNTED}
    return {
        **found,
        **counts,
        "cost": float(row.cost),
        "delivery_rate": rate(counts[DELIVERED], row.accepted),
        "bounce_rate": rate(counts[BOUNCED], row.accepted),
        "complaint_rate": rate(counts[COMPLAINED], row.accepted),
    }
