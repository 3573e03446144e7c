"""Fold: what a recipient had no room for goes out as one message, "and N more", when the window has ended.

One delivery carries the others; they end as `cancelled`, `folded`, and name it. Nothing is dropped without being told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.digest import DIGEST
from domain.vocabulary import Reason, Severity
from pipeline.counts import shard
from pipeline.document import document
from pipeline.suppressions import why_suppressed

MOST_TITLES: Final = 20
MOST_ALONG: Final = 1_000  # that one claim folds beside those that it claimed

# What came beyond the cap was held until the same moment, give or take the time that settling took; a minute joins it.
# The third part keeps them together when a delivery that carries others is folded itself. Ours are locked by the claim,
# and nobody waits for the rest, so this can be part of no deadlock.
FOLD = text(f"""
WITH claimed AS (
    SELECT * FROM jsonb_to_recordset(cast(:folded AS jsonb)) AS f(id uuid, carrier uuid)
),
carriers AS (
    SELECT * FROM jsonb_to_recordset(cast(:carriers AS jsonb)) AS c(id uuid, tenant text, address text, user_id text)
),
along AS (
    SELECT d.id, c.id AS carrier
    FROM deliveries d
    JOIN carriers c ON c.tenant = d.tenant AND c.address = d.address
    JOIN events e ON e.id = d.event_id
    LEFT JOIN notifications n ON n.id = d.notification_id
    WHERE d.channel = (SELECT channel FROM deliveries WHERE id = cast(:one AS uuid)) AND d.priority = ANY('{{0,1,2,3}}')
      AND d.due_at <= now() + interval '1 minute' AND d.status = 'held' AND d.reason = 'too_many' AND e.type <> 'digest'
      AND n.user_id IS NOT DISTINCT FROM c.user_id AND (e.expires_at IS NULL OR e.expires_at > now())
      AND {why_suppressed("d")} IS NULL
      AND (SELECT true FROM acknowledgements a WHERE a.tenant = d.tenant AND a.fingerprint = e.fingerprint
           AND a.user_id IN ('', coalesce(n.user_id, '')) AND a.until > now() AND e.condition = 'firing'
           LIMIT 1) IS NULL
      -- On a condition, and of whoever has switched anything off here, only what was claimed and looked at is told.
      AND d.only_if IS NULL
      -- What an email alone may say, no other message says for it.
      AND (SELECT d.channel = 'email' FROM event_secrets x WHERE x.event_id = d.event_id) IS NOT TRUE
      AND (SELECT true FROM preferences p WHERE p.tenant = d.tenant AND p.user_id = n.user_id
           AND p.channels ->> d.channel = 'false' LIMIT 1) IS NULL
    ORDER BY d.due_at LIMIT :most FOR NO KEY UPDATE OF d SKIP LOCKED
),
going AS (SELECT id, carrier FROM claimed UNION ALL SELECT id, carrier FROM along),
folded AS (
    UPDATE deliveries d SET status = 'cancelled', reason = 'folded', folded_into = g.carrier, due_at = NULL,
        lease_until = NULL, lease_token = NULL
    FROM going g
    WHERE d.id = g.id AND (d.status = 'held' OR (d.status = 'processing' AND d.lease_token = :token))
    RETURNING d.id, d.tenant, d.channel
),
passed_on AS (UPDATE deliveries d SET folded_into = g.carrier FROM going g WHERE d.folded_into = g.id),
counted AS (
    INSERT INTO statistics AS s (hour, tenant, channel, status, reason, shard, count)
    SELECT date_trunc('hour', now(), 'UTC'), tenant, channel, 'cancelled', 'folded', cast(:shard AS smallint), count(*)
    FROM folded GROUP BY tenant, channel ORDER BY tenant, channel
    ON CONFLICT (hour, tenant, channel, status, reason, shard) DO UPDATE SET count = s.count + excluded.count
)
SELECT id::text FROM folded
""")

CARRIED = text(f"""
SELECT c.id::text AS carrier, m.others, m.titles
FROM unnest(cast(:ids AS uuid[])) AS c(id)
CROSS JOIN LATERAL (
    SELECT count(*) AS others,
           (array_agg(n.title ORDER BY d.id DESC) FILTER (WHERE n.id IS NOT NULL))[1 : {MOST_TITLES}] AS titles
    FROM deliveries d LEFT JOIN notifications n ON n.id = d.notification_id WHERE d.folded_into = c.id
) m
WHERE m.others > 0
""")


@dataclass(frozen=True, slots=True)
class More:
    """What a message tells beside its own news: how many others, and the titles of the newest, at most twenty."""

    count: int
    titles: tuple[str, ...]


def still_wanted(row: Row[Any]) -> bool:
    """Whether a claimed delivery is to be sent, by what its row says; preferences are not looked at."""
    if row.acknowledged or row.resolved or row.disabled or row.suppressed is not None:
        return False
    return row.expires_at is None or row.expires_at > datetime.now(UTC)


def fold(
    connection: Connection,
    token: int,
    rows: Sequence[Row[Any]],
    wanted: Callable[[Row[Any]], bool] = still_wanted,
) -> tuple[set[str], dict[str, More]]:
    """Fold what waited for the end of a recipient's window; two statements at most, none for deliveries that are new.

    To be called in the transaction of the claim, with its rows. Of several for one recipient the gravest and newest
    carries the others, among them what is due by now and was not claimed. One that is not wanted any more carries
    nothing and is not folded either: looking again ends it with its own reason.

    Nobody withdraws a carrier, and its own news being over does not end it: it goes out for those that it carries. One
    that ends all the same (its address is suppressed, the channel switched off) takes them along: they stay
    `cancelled`, `folded`, and are found in the recipient's inbox. As a dead letter it is replayed with them.

    Args:
        token: of the claim; a delivery whose lease is not ours is not changed.
        wanted: what looking again will say of a row: whoever is not sent must not carry others.

    Returns:
        The ids among `rows` that are not to be sent, and what the others carry, whenever it was folded.
    """
    waited = [row for row in rows if row.earlier_reason == Reason.TOO_MANY and _may_be_folded(row)]
    into, carriers = _choose([row for row in waited if wanted(row)])
    gone: set[str] = set()
    if carriers:
        values = {
            "folded": document([{"id": id_, "carrier": carrier} for id_, carrier in into.items()]),
            "carriers": document(
                [
                    {"id": row.id, "tenant": row.tenant, "address": row.address, "user_id": row.user_id}
                    for row in carriers
                ]
            ),
            "one": carriers[0].id,
            "most": MOST_ALONG,
            "token": token,
            "shard": shard(),
        }
        gone = set(connection.execute(FOLD, values).scalars()) & into.keys()
    seen = [row.id for row in rows if row.id not in gone and _may_carry(row)]
    return gone, _carried(connection, seen) if seen else {}


def _choose(rows: Sequence[Row[Any]]) -> tuple[dict[str, str], list[Row[Any]]]:
    """Which carries which, by their ids, and who carries or might."""
    groups: dict[tuple[str, str, str | None], list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault((row.tenant, row.address, row.user_id), []).append(row)
    carriers = [max(group, key=lambda row: (Severity(row.severity).rank, row.id)) for group in groups.values()]
    into = {
        row.id: carrier.id
        for carrier, group in zip(carriers, groups.values(), strict=True)
        for row in group
        if row.id != carrier.id
    }
    return into, carriers


def _may_be_folded(row: Row[Any]) -> bool:
    """A digest tells of many already, and what an email alone may say no other message says for it."""
    return row.type != DIGEST and getattr(row, "sealed", None) is None


def _may_carry(row: Row[Any]) -> bool:
    """Something happened to it before: a delivery that is claimed for the first time carries nothing.

    A digest names what it tells by itself.
    """
    happened: bool = row.earlier_reason is not None or row.was_lost
    return happened and row.type != DIGEST


def _carried(connection: Connection, ids: list[str]) -> dict[str, More]:
    return {row.carrier: More(row.others, tuple(row.titles or ())) for row in connection.execute(CARRIED, {"ids": ids})}
