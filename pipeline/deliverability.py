"""Deliverability: what providers accepted and what became of it, by channel and provider, over any time."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from channels.registry import PROVIDERS
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
STILL_OPEN: Final = timedelta(hours=1)  # for which the hour before is still written to by those whose clock is late
BEGINNING: Final = datetime.fromisoformat("2000-01-01T00:00:00+00:00")

Sums = dict[tuple[str, str, str], tuple[int, Decimal]]
"""Count and cost by channel, provider and kind."""

REPORTING: Final = frozenset(
    name for table in PROVIDERS.values() for name, kind in table.items() if kind.capabilities.receipts
)
_SUMS: Final = ", ".join(
    f"coalesce(sum(count) FILTER (WHERE kind = '{kind}'), 0)::bigint AS {kind}" for kind in COUNTED
)

FIGURES: Final = f"""
SELECT channel, provider, {_SUMS}, coalesce(sum(cost), 0) AS cost
FROM deliverability WHERE {{owner}} AND hour >= date_trunc('hour', cast(:since AS timestamptz), 'UTC')
GROUP BY channel, provider ORDER BY channel, provider
"""

SUMS = text("""
SELECT channel, provider, kind, hour < :settled AS settled, sum(count)::bigint AS messages, sum(cost) AS cost
FROM deliverability WHERE hour >= :since GROUP BY 1, 2, 3, 4
""")

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
        accepted or the provider never says what became of it. Receipts count in the hour in which they come, so a rate
        over a short time may exceed 1.
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


class Totals:
    """Sums over everything and everybody, for counters that are asked for every few seconds. For one thread.

    Hours that are over change no more, so they are read once; the sums do not fall when old hours are deleted.
    """

    def __init__(self) -> None:
        self._until = BEGINNING
        self._settled: Sums = {}

    def read(self, connection: Connection, now: datetime) -> Sums:
        """How many and their cost, by channel, provider and kind."""
        until = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - STILL_OPEN
        rows = connection.execute(SUMS, {"since": self._until, "settled": until}).all()
        self._settled = _added(self._settled, [row for row in rows if row.settled])
        self._until = until
        return _added(self._settled, [row for row in rows if not row.settled])


def _added(sums: Sums, rows: Iterable[Row[Any]]) -> Sums:
    found = dict(sums)
    for row in rows:
        place = (row.channel, row.provider, row.kind)
        count, cost = found.get(place, (0, Decimal(0)))
        found[place] = (count + row.messages, cost + row.cost)
    return found


def _poor(connection: Connection, channel: str | None, tenants: Collection[str]) -> list[Row[Any]]:
    values = {"hours": HOURS, "tenants": list(tenants), "channel": channel, "least": LEAST_ACCEPTED}
    rows = connection.execute(OF_TENANTS, values)
    return [row for row in rows if is_poor(row.accepted, row.bounced, row.complained)]


def _figure(row: Row[Any]) -> dict[str, Any]:
    found = {"channel": row.channel, "provider": row.provider}
    counts = {kind: getattr(row, kind) for kind in COUNTED}
    # Silence is no good news: of a provider that reports nothing, nobody knows how much arrived.
    known = row.accepted if row.provider in REPORTING else 0
    return {
        **found,
        **counts,
        "cost": float(row.cost),
        "delivery_rate": rate(counts[DELIVERED], known),
        "bounce_rate": rate(counts[BOUNCED], known),
        "complaint_rate": rate(counts[COMPLAINED], known),
    }
