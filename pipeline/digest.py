"""Digest: what is held and may go out now is gathered by recipient and channel, and told in one message.

A fixed number of statements for many recipients. Whoever changes a hold has locked its delivery before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.digest import DIGEST, carrier
from domain.hold import HOLDABLE
from domain.plan import DISABLED
from domain.preferences import wants
from domain.recheck import no_longer_wanted
from domain.states import DeliveryStatus
from domain.vocabulary import Reason, Severity
from pipeline.counts import shard
from pipeline.digest_message import DigestOf, store_digests
from pipeline.document import document
from pipeline.people import preference_entries
from pipeline.rehold import put_off
from pipeline.suppressions import why_suppressed

# The database ends a transaction that is silent for ten seconds, and all that is gathered is looked at in one: a round
# that is too large for a busy machine would fail, and the next one with it, for ever.
MOST: Final = 500  # due holds a round, and all that belong to the same recipients
MOST_ROWS: Final = 20_000  # of these; whoever has no room waits for the next round

# One at a time in the whole installation: what goes to one recipient is told by one message, and two would each tell a
# part. It is given back with the end of the transaction, however that ends.
ALONE: Final = text("SELECT pg_try_advisory_xact_lock(hashtextextended('bellwire.digest', 0))")

# Of emails that are gathered for some minutes the first one that is due takes those after it along, but for those that
# may stay unread until then.
TAKE: Final = text(f"""
WITH due AS MATERIALIZED (
    SELECT DISTINCT tenant, user_id, channel, address, reason FROM (
        SELECT * FROM holds WHERE release_at <= now() ORDER BY release_at LIMIT :most) AS first
),
held AS MATERIALIZED (
    SELECT one.*, together = count(*) OVER (PARTITION BY tenant, user_id, channel, address, reason) AS is_whole FROM (
        SELECT h.*, count(*) OVER (PARTITION BY h.tenant, h.user_id, h.channel, h.address, h.reason) AS together
        FROM due JOIN holds h ON h.tenant = due.tenant AND h.user_id = due.user_id AND h.channel = due.channel
            AND h.address = due.address AND h.reason = due.reason AND (
                h.release_at <= now() OR (h.reason = 'batch' AND coalesce(h.not_before <= now(), true)))
        ORDER BY h.tenant, h.user_id, h.channel, h.address, h.reason LIMIT :rows) AS one
)
SELECT d.id::text, h.tenant, h.user_id, h.channel, h.address, h.reason, h.release_at, h.is_whole, d.created_at,
       e.type, e.severity, e.customer_id::text, e.fingerprint, e.repeats, e.occurred_at, e.expires_at,
       n.title, n.group_name, n.link_url, e.status = 'cancelled' AS cancelled,
       coalesce(n.read_at, n.ack_at, n.deleted_at) IS NOT NULL AS seen,
       (SELECT true FROM acknowledgements a WHERE a.tenant = d.tenant AND a.fingerprint = e.fingerprint
           AND a.user_id IN ('', h.user_id) AND a.until > now() AND e.condition = 'firing' LIMIT 1) AS acknowledged,
       e.condition = 'firing' AND (SELECT i.status = 'resolved' FROM issues i
           WHERE i.tenant = d.tenant AND i.fingerprint = e.fingerprint) AS resolved,
       {why_suppressed("d")} AS suppressed,
       CASE WHEN h.channel = 'push' THEN (SELECT t.is_active AND t.user_id = h.user_id FROM push_tokens t
           WHERE t.id = cast(nullif(h.address, '') AS uuid)) END AS token_is_good
FROM held h
JOIN deliveries d ON d.id = h.delivery_id AND d.status = 'held' AND d.due_at IS NULL
JOIN events e ON e.id = d.event_id
JOIN notifications n ON n.id = d.notification_id
ORDER BY d.id FOR NO KEY UPDATE OF d
""")

# Entries that only say yes decide something where they are more specific than one that says no.
WHO: Final = text("""
SELECT u.tenant, u.id, u.name, u.locale, u.time_zone, u.disabled_channels,
       (SELECT jsonb_agg(jsonb_build_array(p.group_name, p.event, p.customer_id, p.channels)) FROM preferences p
        WHERE p.tenant = u.tenant AND p.user_id = u.id
          AND (p.event IS NOT NULL OR p.customer_id IS NOT NULL OR p.channels @? '$.* ? (@ == false)')) AS preferences
FROM jsonb_to_recordset(cast(:users AS jsonb)) AS r(tenant text, id text)
JOIN users u ON u.tenant = r.tenant AND u.id = r.id
""")

APPLY: Final = text("""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:ends AS jsonb)) AS r(id uuid, status text, reason text, folded_into uuid)
),
free AS (DELETE FROM holds h USING r WHERE h.delivery_id = r.id),
ended AS (
    UPDATE deliveries d SET status = r.status, reason = r.reason, folded_into = r.folded_into,
        due_at = CASE WHEN r.status = 'queued' THEN now() END
    FROM r WHERE d.id = r.id RETURNING d.tenant, d.channel, d.status, d.reason
)
INSERT INTO statistics AS s (hour, tenant, channel, status, reason, shard, count)
SELECT date_trunc('hour', now(), 'UTC'), tenant, channel, status, reason, cast(:shard AS smallint), count(*)
FROM ended WHERE status <> 'queued' GROUP BY tenant, channel, status, reason ORDER BY tenant, channel, status, reason
ON CONFLICT (hour, tenant, channel, status, reason, shard) DO UPDATE SET count = s.count + excluded.count
""")

# Of deliveries that were deleted meanwhile; they must not take the places of others in every round.
FORGET: Final = text("""
DELETE FROM holds h WHERE h.release_at <= now()
AND NOT EXISTS (SELECT FROM deliveries d WHERE d.id = h.delivery_id AND d.status = 'held' AND d.due_at IS NULL)
""")


@dataclass(slots=True)
class Gathered:
    """What a round came to. `due`: deliveries that may be sent, by channel; `more`: whether there may be others."""

    due: dict[str, list[str]] = field(default_factory=dict)
    more: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    """Where a delivery that was held goes."""

    id: str
    status: DeliveryStatus
    reason: Reason
    folded_into: str | None = None


_Group = tuple[str, str, str, str, str]  # tenant, user, channel, address, reason


def gather(
    connection: Connection, now: datetime | None = None, most: int = MOST, most_rows: int = MOST_ROWS
) -> Gathered:
    """Release what is due, all of a recipient's together or nothing; five statements, or seven.

    One delivery that waited for the end of quiet hours goes out as it is; of several the gravest carries the others.
    What is due for a digest becomes a digest, be it one item. What nobody needs any more ends with its own reason.
    """
    if not connection.execute(ALONE).scalar():
        return Gathered()
    taken = connection.execute(TAKE, {"most": most, "rows": most_rows}).all()
    rows = [row for row in taken if row.is_whole] or taken  # who has no room in any round is told in parts
    if not rows:
        connection.execute(FORGET)
        return Gathered()
    people = _people(connection, rows)
    groups: dict[_Group, list[Row[Any]]] = {}
    ends: list[_End] = []
    wishes = {owner: _wishes(person) for owner, person in people.items()}
    now = now or datetime.now(UTC)
    for row in rows:
        owner = row.tenant, row.user_id
        over = _over(row, people.get(owner), wishes.get(owner), now)
        if over is not None:
            ends.append(_End(row.id, *over))
        else:
            groups.setdefault((row.tenant, row.user_id, row.channel, row.address, row.reason), []).append(row)
    result = Gathered(more=len(taken) >= min(most, most_rows))
    late = _digests(connection, groups, people, ends, result)
    for group, told in groups.items():
        if group[-1] != Reason.DIGEST:
            _release(told, ends, result)
    values = document(
        [{"id": e.id, "status": e.status, "reason": e.reason, "folded_into": e.folded_into} for e in ends]
    )
    connection.execute(APPLY, {"ends": values, "shard": shard()})
    if late:
        put_off(connection, late)
    return result


def _people(connection: Connection, rows: Iterable[Row[Any]]) -> dict[tuple[str, str], Row[Any]]:
    asked = {(row.tenant, row.user_id) for row in rows}
    users = document([{"tenant": tenant, "id": user} for tenant, user in asked])
    return {(row.tenant, row.id): row for row in connection.execute(WHO, {"users": users})}


def _wishes(person: Row[Any]) -> Callable[..., bool]:
    """What a user wants; asked once for everything of a kind."""
    entries = preference_entries(person.preferences)

    @cache
    def wanted(group: str, event: str, customer_id: str | None, channel: str) -> bool:
        return wants(entries, group=group, event=event, customer_id=customer_id, channel=channel)

    return wanted


def _over(
    row: Row[Any], person: Row[Any] | None, wishes: Callable[..., bool] | None, now: datetime
) -> tuple[DeliveryStatus, Reason] | None:
    """Why a delivery need not be told any more."""
    if person is None or wishes is None:
        return DeliveryStatus.CANCELLED, Reason.CANCELLED
    if not row.address:
        return DeliveryStatus.SUPPRESSED, Reason.NO_ADDRESS
    is_wanted = wishes(row.group_name, row.type, row.customer_id, row.channel)  # what is owed is never held
    if row.reason == Reason.DIGEST:
        is_wanted = is_wanted and wishes(DIGEST, DIGEST, None, row.channel)
    over = no_longer_wanted(
        now=now,
        expires_at=row.expires_at,
        resolved=bool(row.resolved),
        cancelled=row.cancelled,
        acknowledged=bool(row.acknowledged),
        wanted=is_wanted,
        refused=_refused(row, person),
    )
    if over is None and row.seen:
        return DeliveryStatus.SUPPRESSED, Reason.SEEN
    return over


def _refused(row: Row[Any], person: Row[Any]) -> Reason | None:
    assert row.channel in HOLDABLE
    if row.channel in person.disabled_channels:
        return DISABLED.get(row.channel, Reason.PREFERENCE)
    if row.suppressed is not None:
        return Reason.USER_SUPPRESSED
    return Reason.NO_TOKENS if row.channel == "push" and not row.token_is_good else None


def _release(told: Sequence[Row[Any]], ends: list[_End], result: Gathered) -> None:
    """Queue one of them; it carries the others as a message carries what was folded into it."""
    chosen = told[carrier([(Severity(row.severity), row.id) for row in told])]
    result.due.setdefault(chosen.channel, []).append(chosen.id)
    ends.append(_End(chosen.id, DeliveryStatus.QUEUED, Reason.RELEASED))
    ends += [_End(row.id, DeliveryStatus.CANCELLED, Reason.FOLDED, chosen.id) for row in told if row.id != chosen.id]


def _digests(
    connection: Connection,
    groups: Mapping[_Group, Sequence[Row[Any]]],
    people: Mapping[tuple[str, str], Row[Any]],
    ends: list[_End],
    result: Gathered,
) -> list[str]:
    """Make the digests. Returns what came late: whoever has one of the same period already waits for the next."""
    wanted = [
        DigestOf(people[group[:2]], group[2], group[3], told)
        for group, told in groups.items()
        if group[-1] == Reason.DIGEST
    ]
    late = []
    made = store_digests(connection, wanted) if wanted else set()
    for one in wanted:
        if one.delivery_id not in made:
            late += [row.id for row in one.rows]
            continue
        result.due.setdefault(one.channel, []).append(one.delivery_id)
        ends += [_End(row.id, DeliveryStatus.CANCELLED, Reason.FOLDED, one.delivery_id) for row in one.rows]
    return late
