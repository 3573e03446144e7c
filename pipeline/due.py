"""Due: what of one tenant's work waits for its bell right now."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

DELIVERIES = text("""
SELECT channel, count(*) AS waiting FROM (
    SELECT channel FROM deliveries
    WHERE due_at <= now() AND tenant = :tenant AND (lease_until IS NULL OR lease_until < now()) LIMIT :most
) AS due GROUP BY channel ORDER BY channel
""")
EVENTS = text("""
SELECT count(*) FROM (
    SELECT FROM events
    WHERE status = 'accepted' AND tenant = :tenant AND accepted_at < now() - :age * interval '1 second' LIMIT :most
) AS forgotten
""")

MOST = 2_000  # counted; more says nothing new


@dataclass(frozen=True, slots=True)
class Due:
    """How many deliveries are due by channel, and how many events were accepted and not routed."""

    deliveries: dict[str, int]
    events: int


def due_of(connection: Connection, tenant: str, age: float) -> Due:
    """What is due of a tenant. Events younger than `age` seconds have a bell on its way."""
    rows = connection.execute(DELIVERIES, {"tenant": tenant, "most": MOST})
    events = connection.execute(EVENTS, {"tenant": tenant, "age": age, "most": MOST}).scalar_one()
    return Due({row.channel: row.waiting for row in rows}, events)
