"""Sweep: what is due, stalled or forgotten, so that it can be rung again. Looks at live work only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

# One worker a round: compare-and-set on the time of the last one.
TAKE_ROUND = text("""
INSERT INTO rounds AS r (name, at) VALUES (:name, now())
ON CONFLICT (name) DO UPDATE SET at = now() WHERE r.at <= now() - :interval * interval '1 second'
RETURNING name
""")

# A channel's due work, counted no further than a few batches: more bells than that would ring at closed doors. Channels
# without a provider here are looked at as well where a tenant has an account of its own.
DUE = text("""
SELECT c.channel, due.count AS waiting FROM (
    SELECT unnest(cast(:channels AS text[])) AS channel
    UNION SELECT channel FROM provider_accounts WHERE credentials IS NOT NULL) AS c, LATERAL (
    SELECT count(*) FROM (
        SELECT FROM unnest(ARRAY[3, 2, 1, 0]) AS p(priority), LATERAL (
            SELECT FROM deliveries d
            WHERE d.channel = c.channel AND d.priority = p.priority AND d.due_at <= now()
              AND (d.lease_until IS NULL OR d.lease_until < now())
            LIMIT :most) AS one
        LIMIT :most) AS found) AS due
WHERE due.count > 0
""")

# Events whose bell was lost. Younger ones are left to the bell that is on its way.
FORGOTTEN = text("""
SELECT id::text FROM events WHERE status = 'accepted' AND accepted_at < now() - :age * interval '1 second'
ORDER BY accepted_at LIMIT :most
""")

UNANNOUNCED = text("SELECT EXISTS (SELECT FROM dead_letters WHERE announced_at IS NULL)")

FORGET_KEYS = text("""
DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
    ORDER BY created_at LIMIT 5000 FOR UPDATE SKIP LOCKED))
""")

# Six hours are far beyond any visibility timeout; a day of single events would be a hundred million rows.
FORGET_LETTERS = text("""
DELETE FROM letters WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM letters WHERE seen_at < now() - interval '6 hours'
    ORDER BY seen_at LIMIT 20000 FOR UPDATE SKIP LOCKED))
""")

MOST_DUE = 2_000
MOST_FORGOTTEN = 20_000


@dataclass(frozen=True, slots=True)
class Work:
    """What a sweep found.

    Attributes:
        due: how many deliveries are due by channel, counted up to `MOST_DUE`.
        forgotten: events that were accepted and not routed, the oldest first.
        unannounced: whether there are dead letters that nobody was told of.
    """

    due: dict[str, int]
    forgotten: list[str]
    unannounced: bool


def take_round(connection: Connection, name: str, interval: float) -> bool:
    """Whether this caller makes the round now; false when somebody made it less than `interval` seconds ago."""
    return connection.execute(TAKE_ROUND, {"name": name, "interval": interval}).first() is not None


def look(connection: Connection, channels: Iterable[str], age: float) -> Work:
    """What is to be rung for on these channels. Events younger than `age` seconds are not forgotten yet."""
    due = connection.execute(DUE, {"channels": sorted(channels), "most": MOST_DUE}).all()
    forgotten = connection.execute(FORGOTTEN, {"age": age, "most": MOST_FORGOTTEN}).scalars().all()
    unannounced = bool(connection.execute(UNANNOUNCED).scalar_one())
    return Work({row.channel: row.waiting for row in due}, list(forgotten), unannounced)


def forget_seen(connection: Connection) -> None:
    """Idempotency keys are kept for 24 hours, the ids of the broker's messages for six."""
    connection.execute(FORGET_KEYS)
    connection.execute(FORGET_LETTERS)
