"""Receipts: store what a provider said, then apply it to the delivery that it speaks of, each once.

It may come early, late, twice and in any order: it waits until its delivery is settled, and moves none backwards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from channels.receipts.base import Inbound, LaterReceipt
from domain.receipts import COUNTED, UNSETTLED, after_receipts, may_be_tenant
from domain.states import DeliveryStatus
from domain.vocabulary import Reason, ReceiptKind
from pipeline.bounces import Told, follow_up
from pipeline.counts import shard
from pipeline.document import document
from pipeline.moments import written

# Repeats end here. In the order of the keys, so that two calls with the same events never wait in a circle.
STORE = text("""
INSERT INTO receipts (provider, account, key, kind, permanent, message_id, tenant, delivery_id, address, detail,
                      occurred_at)
SELECT :provider, :account, key, kind, permanent, message_id, tenant, delivery_id, address, detail, occurred_at
FROM jsonb_to_recordset(cast(:receipts AS jsonb)) AS r(
    key text, kind text, permanent boolean, message_id text, tenant text, delivery_id uuid, address text, detail text,
    occurred_at timestamptz)
ORDER BY key ON CONFLICT (provider, account, key) DO NOTHING RETURNING id
""")

# Never backwards: calls overtake each other.
OPEN_SESSIONS = text("""
INSERT INTO whatsapp_sessions AS s (account, phone, at)
SELECT :account, phone, max(at) FROM jsonb_to_recordset(cast(:inbound AS jsonb)) AS i(phone text, at timestamptz)
GROUP BY phone ORDER BY phone
ON CONFLICT (account, phone) DO UPDATE SET at = excluded.at WHERE s.at < excluded.at
""")

WAITING = text("""
SELECT id, received_at FROM receipts WHERE applied_at IS NULL
  AND (received_at, id) > (coalesce(cast(:at AS timestamptz), '-infinity'), :id)
ORDER BY received_at, id LIMIT :most
""")

# What was sent along names the delivery; else the provider's own id does, once the attempt is written down. The planner
# would answer a plain `applied_at IS NULL` by walking through all that waits.
TAKE = text("""
WITH taken AS (
    SELECT * FROM receipts WHERE id = ANY(cast(:ids AS bigint[])) AND coalesce(applied_at, 'infinity') = 'infinity'
    ORDER BY id FOR UPDATE SKIP LOCKED
)
SELECT t.*, t.received_at < now() - interval '3 days' AS old, coalesce(
    (SELECT d.id FROM deliveries d WHERE d.id = t.delivery_id),
    (SELECT a.delivery_id FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
     WHERE a.message_id = t.message_id AND a.provider = t.provider AND t.account IN ('', d.tenant) LIMIT 1)
)::text AS found FROM taken t
""")

# An attempt whose worker died knows its provider only if there was one before.
LOCK = text("""
SELECT d.id::text, d.tenant, d.channel, d.status, lower(d.address) AS address, n.user_id,
       ARRAY(SELECT CASE a.outcome WHEN 'lost' THEN '' ELSE a.provider END FROM attempts a
             WHERE a.delivery_id = d.id) AS providers
FROM deliveries d LEFT JOIN notifications n ON n.id = d.notification_id
WHERE d.id = ANY(cast(:ids AS uuid[])) ORDER BY d.id FOR NO KEY UPDATE OF d
""")

MOVE = text("""
WITH m AS (
    SELECT * FROM jsonb_to_recordset(cast(:moves AS jsonb)) AS m(
        id uuid, status text, reason text, at timestamptz, detail text)
),
moved AS (
    UPDATE deliveries d SET status = m.status, reason = m.reason, due_at = NULL,
        sent_at = coalesce(d.sent_at, m.at),
        delivered_at = CASE WHEN m.status = 'delivered' THEN m.at ELSE d.delivered_at END,
        failed_at = CASE WHEN m.status = 'dead_letter' THEN m.at ELSE d.failed_at END
    FROM m WHERE d.id = m.id
    RETURNING d.id, d.tenant, d.channel, d.status, d.reason, d.notification_id, d.event_id
),
arrived AS (
    SELECT n.id FROM notifications n
    WHERE n.status = 'created' AND n.id IN (
        SELECT notification_id FROM moved WHERE status = 'delivered'
        UNION ALL SELECT f.notification_id FROM moved JOIN deliveries f ON f.folded_into = moved.id
        WHERE moved.status = 'delivered')
    ORDER BY n.id FOR NO KEY UPDATE
),
told AS (UPDATE notifications n SET status = 'delivered' FROM arrived WHERE n.id = arrived.id),
gone AS (DELETE FROM dead_letters l USING moved WHERE l.delivery_id = moved.id AND moved.status = 'delivered'),
dead AS (
    INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail)
    SELECT moved.id, moved.tenant, moved.channel, e.type, moved.reason, m.detail
    FROM moved JOIN m ON m.id = moved.id JOIN events e ON e.id = moved.event_id WHERE moved.status = 'dead_letter'
    ON CONFLICT (delivery_id) DO UPDATE SET
        reason = excluded.reason, detail = excluded.detail, created_at = excluded.created_at, announced_at = NULL
)
INSERT INTO statistics AS s (hour, tenant, channel, status, reason, shard, count)
SELECT date_trunc('hour', now(), 'UTC'), tenant, channel, status, coalesce(reason, ''), cast(:shard AS smallint),
       count(*)
FROM moved GROUP BY tenant, channel, status, reason ORDER BY tenant, channel, status, coalesce(reason, '')
ON CONFLICT (hour, tenant, channel, status, reason, shard) DO UPDATE SET count = s.count + excluded.count
""")

MARK = text("""
WITH m AS (
    SELECT * FROM jsonb_to_recordset(cast(:marks AS jsonb)) AS m(
        id bigint, tenant text, delivery_id uuid, address text)
),
marked AS (
    UPDATE receipts r SET applied_at = now(), tenant = m.tenant, delivery_id = m.delivery_id, address = m.address
    FROM m WHERE r.id = m.id
)
INSERT INTO deliverability AS d (hour, tenant, channel, provider, kind, shard, count)
SELECT date_trunc('hour', now(), 'UTC'), tenant, channel, provider, kind, cast(:shard AS smallint), count
FROM jsonb_to_recordset(cast(:counts AS jsonb)) AS c(
    tenant text, channel text, provider text, kind text, count bigint)
ORDER BY tenant, channel, provider, kind
ON CONFLICT (hour, tenant, channel, provider, kind, shard) DO UPDATE SET count = d.count + excluded.count
""")

OF_DELIVERIES = text("""
SELECT delivery_id::text, kind, occurred_at, detail FROM receipts
WHERE delivery_id = ANY(cast(:ids AS uuid[])) AND applied_at IS NOT NULL ORDER BY delivery_id, occurred_at, id
""")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a walk over the waiting receipts has come."""

    at: datetime | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of receipts: `applied` are done with, `waiting` are looked at again; `dead_letters` are new."""

    applied: int = 0
    waiting: int = 0
    dead_letters: int = 0


@dataclass(slots=True)
class _Sorted:
    """Receipts by what is to be done with them: with a delivery, without one, not yet."""

    told: list[Told] = field(default_factory=list)
    alone: list[Row[Any]] = field(default_factory=list)
    waiting: int = 0


def store(connection: Connection, provider: str, account: str, receipts: Sequence[LaterReceipt]) -> list[int]:
    """Keep receipts, in one statement. Returns the ids of those that were not there yet.

    Args:
        account: the tenant whose own account they came from; empty: the installation's.
    """
    if not receipts:
        return []
    values = {"provider": provider, "account": account, "receipts": document([asdict(one) for one in receipts])}
    return list(connection.execute(STORE, values).scalars())


def open_sessions(connection: Connection, account: str, inbound: Sequence[Inbound]) -> None:
    """Note who wrote to us; see `store` for `account`."""
    if inbound:
        values = {"account": account, "inbound": document([asdict(one) for one in inbound])}
        connection.execute(OPEN_SESSIONS, values)


def waiting(connection: Connection, after: Position, most: int = 500) -> tuple[list[int], Position]:
    """The next receipts that were not applied yet, the oldest first, and where to go on; nothing after the last."""
    rows = connection.execute(WAITING, {"at": after.at, "id": after.id, "most": most}).all()
    return [row.id for row in rows], Position(rows[-1].received_at, rows[-1].id) if rows else Position()


def apply(connection: Connection, ids: Collection[int]) -> Applied:
    """Apply what is not applied yet of these receipts, in a fixed number of statements.

    One whose delivery is not settled, or cannot be found, waits; after three days it is done with, without effect.
    """
    taken = connection.execute(TAKE, {"ids": list(ids)}).all()
    if not taken:
        return Applied()
    found = sorted({row.found for row in taken if row.found is not None})
    deliveries = {row.id: row for row in connection.execute(LOCK, {"ids": found})} if found else {}
    sorted_out = _sort_out(taken, deliveries)
    dead = _move(connection, sorted_out.told)
    _mark(connection, sorted_out)
    follow_up(connection, sorted_out.told, [row for row in sorted_out.alone if _speaks_for_itself(row)])
    return Applied(len(taken) - sorted_out.waiting, sorted_out.waiting, dead)


def receipts_of(connection: Connection, delivery_ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """What providers said of deliveries, in the order in which it happened."""
    found: dict[str, list[dict[str, Any]]] = {}
    if delivery_ids:
        for row in connection.execute(OF_DELIVERIES, {"ids": list(delivery_ids)}):
            said = {"kind": row.kind, "at": written(row.occurred_at), "detail": row.detail}
            found.setdefault(row.delivery_id, []).append(said)
    return found


def _sort_out(taken: Iterable[Row[Any]], deliveries: dict[str, Row[Any]]) -> _Sorted:
    sorted_out = _Sorted()
    for row in sorted(taken, key=lambda row: (row.occurred_at, row.id)):
        delivery = deliveries.get(row.found)
        if delivery is not None and _is_its(delivery, row) and (row.old or delivery.status not in UNSETTLED):
            sorted_out.told.append(Told(row, delivery))
        elif row.old or _speaks_for_itself(row):
            sorted_out.alone.append(row)
        else:
            sorted_out.waiting += 1
    return sorted_out


def _is_its(delivery: Row[Any], receipt: Row[Any]) -> bool:
    """Whether a receipt may speak of a delivery: of its tenant, from a provider that tried to send it."""
    return (
        receipt.account in {"", delivery.tenant}
        and may_be_tenant(receipt.tenant, delivery.tenant)
        and (receipt.provider in delivery.providers or "" in delivery.providers)
    )


def _speaks_for_itself(receipt: Row[Any]) -> bool:
    """About an address and none of our messages: somebody wrote STOP."""
    nameless = receipt.message_id is None and receipt.delivery_id is None
    return nameless and receipt.kind == ReceiptKind.UNSUBSCRIBED and bool(receipt.address)


def _move(connection: Connection, told: Sequence[Told]) -> int:
    """Move the deliveries; how many are dead letters now."""
    by_delivery: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_delivery[one.delivery.id].append(one)
    moves = [move for _, several in sorted(by_delivery.items()) if (move := _move_of(several))]
    if moves:
        connection.execute(MOVE, {"moves": document(moves), "shard": shard()})
    return sum(move["status"] == DeliveryStatus.DEAD_LETTER for move in moves)


def _move_of(several: Sequence[Told]) -> dict[str, Any] | None:
    """Where one delivery goes by its receipts, which are in the order of time; None when it stays."""
    before = DeliveryStatus(several[0].delivery.status)
    if before in UNSETTLED:
        return None
    after = after_receipts(before, [ReceiptKind(one.receipt.kind) for one in several])
    if after == before:
        return None
    # The first one that leads there, for that is when it happened.
    cause = next(
        one.receipt for one in several if after_receipts(DeliveryStatus.SENT, [ReceiptKind(one.receipt.kind)]) == after
    )
    return {
        "id": several[0].delivery.id,
        "status": after,
        "reason": Reason.BOUNCED if after is DeliveryStatus.DEAD_LETTER else None,
        "at": cause.occurred_at,
        "detail": cause.detail,
    }


def _mark(connection: Connection, sorted_out: _Sorted) -> None:
    """Done with, counted. An address is kept only where temporary bounces are counted by it."""
    marks = [
        {
            "id": one.receipt.id,
            "tenant": one.delivery.tenant,
            "delivery_id": one.delivery.id,
            "address": one.soft_bounce,
        }
        for one in sorted_out.told
    ]
    marks += [{"id": row.id} for row in sorted_out.alone]
    counts = Counter(
        (one.delivery.tenant, one.delivery.channel, one.receipt.provider, one.receipt.kind)
        for one in sorted_out.told
        if one.receipt.kind in COUNTED
    )
    if marks:
        names = ("tenant", "channel", "provider", "kind")
        counted = [dict(zip(names, key, strict=True)) | {"count": count} for key, count in counts.items()]
        connection.execute(MARK, {"marks": document(marks), "counts": document(counted), "shard": shard()})
