"""Slots of a bulkhead that all workers share (A-25): the right to one send at a time, with the lease of a claim."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, text

MAKE = text("""
INSERT INTO bulkhead_slots (channel, number) SELECT :channel, n FROM generate_series(1, :slots) n
ON CONFLICT DO NOTHING RETURNING number
""")

TAKE = text("""
UPDATE bulkhead_slots s SET token = :token, held_until = now() + :lease * interval '1 second'
FROM (SELECT channel, number FROM bulkhead_slots
      WHERE channel = :channel AND number <= :slots AND (held_until IS NULL OR held_until < now())
      ORDER BY number FOR UPDATE SKIP LOCKED) free
WHERE s.channel = free.channel AND s.number = free.number
RETURNING s.number
""")

GIVE_BACK = text("""
UPDATE bulkhead_slots SET token = NULL, held_until = NULL
WHERE channel = :channel AND token = :token AND number = ANY(cast(:numbers AS smallint[]))
""")


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots that a worker holds."""

    token: int
    numbers: tuple[int, ...]


def make_slots(connection: Connection, channel: str, slots: int) -> int:
    """Make sure that the slots of a channel exist. How many were missing."""
    return len(connection.execute(MAKE, {"channel": channel, "slots": slots}).all())


def take_slots(connection: Connection, channel: str, slots: int, lease_seconds: float) -> Slots:
    """Every slot that is free now; none when other workers send on all of them. A crashed worker's fall free."""
    token = secrets.randbits(62)
    rows = connection.execute(TAKE, {"channel": channel, "slots": slots, "token": token, "lease": lease_seconds}).all()
    return Slots(token, tuple(row.number for row in rows))


def give_back_slots(connection: Connection, channel: str, held: Slots, count: int) -> Slots:
    """Give the last `count` slots back and return those that are still held."""
    keep = len(held.numbers) - count
    connection.execute(GIVE_BACK, {"channel": channel, "token": held.token, "numbers": list(held.numbers[keep:])})
    return Slots(held.token, held.numbers[:keep])
