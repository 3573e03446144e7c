"""Replay: a person sends dead letters again (B-12). Each is looked at once more first, and sent once however often."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.fields import check_list
from domain.errors import InvalidInputError
from domain.states import DeliveryStatus
from domain.vocabulary import Reason
from pipeline.audit import record
from pipeline.counts import COUNT, Counts, counts_document
from pipeline.deliver import look_again
from pipeline.event_types import EventTypes, read_event_types
from pipeline.filters import DEAD_LETTER_FILTERS, Conditions, conditions
from pipeline.identifiers import check_uuid
from pipeline.suppressions import why_suppressed

MOST_AT_ONCE: Final = 1_000
# What may be undone; until then the dead letter waits on.
KEPT: Final = frozenset(
    {Reason.USER_SUPPRESSED, Reason.EMAIL_DISABLED, Reason.SMS_DISABLED, Reason.PUSH_DISABLED, Reason.PREFERENCE}
)
NOT_A_DEAD_LETTER: Final = "not_a_dead_letter"

# Who replays the same delivery at the same time waits for the lock and then finds that it is no dead letter any more.
TAKE = """
SELECT d.id::text, d.tenant, d.channel, d.failures, d.webhook_id::text, d.address, e.type, e.customer_id::text,
       e.expires_at, h.url,
       (SELECT jsonb_agg(jsonb_build_array(p.group_name, p.event, p.customer_id, p.channels)) FROM preferences p
        WHERE p.tenant = d.tenant AND p.user_id = n.user_id) AS preferences,
       EXISTS (SELECT FROM acknowledgements a WHERE a.tenant = d.tenant AND a.fingerprint = e.fingerprint
               AND a.user_id IN ('', coalesce(n.user_id, '')) AND a.until > now() AND e.condition = 'firing')
       AS acknowledged,
       false AS resolved, false AS cancelled, -- a person wants it sent all the same
       coalesce(d.channel = ANY(u.disabled_channels), false) AS disabled,
       {suppressed} AS suppressed,
       (SELECT t.is_active AND t.user_id = n.user_id FROM push_tokens t
        WHERE t.id = CASE WHEN d.channel = 'push' THEN cast(nullif(d.address, '') AS uuid) END) AS token_is_good
FROM dead_letters l
JOIN deliveries d ON d.id = l.delivery_id
JOIN events e ON e.id = d.event_id
LEFT JOIN notifications n ON n.id = d.notification_id
LEFT JOIN users u ON u.tenant = d.tenant AND u.id = n.user_id
LEFT JOIN webhooks h ON h.id = d.webhook_id
WHERE d.status = 'dead_letter' AND {conditions}
ORDER BY l.delivery_id LIMIT :most FOR NO KEY UPDATE OF d
"""

MOVE = text(f"""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:moves AS jsonb)) AS r(id uuid, status text, reason text)
),
forgotten AS (DELETE FROM dead_letters l USING r WHERE l.delivery_id = r.id),
counted AS ({COUNT})
UPDATE deliveries d SET status = r.status, reason = r.reason, failures = 0, crashes = 0, lease_until = NULL,
       lease_token = NULL, due_at = CASE WHEN r.status = 'queued' THEN now() END,
       replayed_at = CASE WHEN r.status = 'queued' THEN now() END
FROM r WHERE d.id = r.id AND d.status = 'dead_letter' RETURNING d.id::text, d.status
""")

DUE = text("SELECT id::text, channel FROM deliveries WHERE id = ANY(cast(:ids AS uuid[])) AND status = 'queued'")


def replay(
    connection: Connection,
    *,
    tenant: str | None,
    ids: Sequence[str] | None = None,
    filters: Mapping[str, Any] | None = None,
    actor: str,
    remote: str | None = None,
) -> dict[str, Any]:
    """Queue dead letters again: those of `ids`, or the oldest thousand that `filters` leave.

    The filters are `DEAD_LETTER_FILTERS`.

    What nobody wants any more ends instead: `expired` or `cancelled`. What must not be sent now, because the address is
    suppressed or the user has switched it off, stays a dead letter: that may be undone, and then it can be replayed.

    Returns:
        ``replayed``: the ids that will be sent; ``left_out``: the others, each with its reason; ``more``: whether the
        filters leave further ones for another call.

    Raises:
        InvalidInputError: neither or both of `ids` and `filters`, or one that cannot be used.
    """
    if (ids is None) == (filters is None):
        raise InvalidInputError("", "must have either ids or filter")
    wanted = None if ids is None else _check_ids(ids)
    rows = _take(connection, tenant, wanted, filters)
    types = read_event_types(connection, sorted({row.tenant for row in rows}))
    looked = [(row, *_destination(row, types[row.tenant])) for row in rows[:MOST_AT_ONCE]]
    kept = [(row.id, reason.value) for row, _, reason in looked if reason in KEPT]
    moves = [move for move in looked if move[2] not in KEPT]
    moved = _move(connection, moves)
    replayed = [row.id for row, status, _ in moves if status is DeliveryStatus.QUEUED and row.id in moved]
    left_out = [
        {"id": row.id, "reason": reason.value}
        for row, status, reason in moves
        if status is not DeliveryStatus.QUEUED and row.id in moved
    ]
    left_out += [{"id": id_, "reason": reason} for id_, reason in kept]
    known = moved | {id_ for id_, _ in kept}
    left_out += [{"id": id_, "reason": NOT_A_DEAD_LETTER} for id_ in wanted or () if id_ not in known]
    _note(connection, moves, moved, actor, remote)
    return {"replayed": replayed, "left_out": left_out, "more": len(rows) > MOST_AT_ONCE and bool(moved)}


def due_by_channel(connection: Connection, ids: Sequence[str]) -> dict[str, list[str]]:
    """Replayed deliveries by channel: whose bells are to be rung once the transaction has committed."""
    due: dict[str, list[str]] = {}
    for id_, channel in connection.execute(DUE, {"ids": list(ids)}):
        due.setdefault(channel, []).append(id_)
    return due


def _check_ids(ids: object) -> list[str]:
    checked = [check_uuid(one, at) for at, one in check_list(ids, "ids", length=MOST_AT_ONCE)]
    if not checked:
        raise InvalidInputError("ids", "must name at least one")
    return list(dict.fromkeys(checked))


def _take(
    connection: Connection, tenant: str | None, ids: list[str] | None, filters: Mapping[str, Any] | None
) -> Sequence[Row[Any]]:
    asked = Conditions() if ids is not None else conditions(filters, DEAD_LETTER_FILTERS)
    wanted = ["true", *asked.range, *asked.rest]
    values: dict[str, Any] = {**asked.values, "most": MOST_AT_ONCE + 1}
    if tenant is not None:
        wanted.append("l.tenant = :tenant")
        values["tenant"] = tenant
    if ids is not None:
        wanted.append("l.delivery_id = ANY(cast(:ids AS uuid[]))")
        values["ids"] = ids
    return connection.execute(
        text(TAKE.format(conditions=" AND ".join(wanted), suppressed=why_suppressed("d"))), values
    ).all()


def _destination(row: Row[Any], event_types: EventTypes) -> tuple[DeliveryStatus, Reason]:
    verdict = look_again(row, row.channel, datetime.now(UTC), event_types)
    if verdict is None:
        return DeliveryStatus.QUEUED, Reason.REPLAYED
    assert verdict.reason is not None  # whatever ends a delivery without an attempt has one
    return verdict.status, verdict.reason


def _move(connection: Connection, moves: Sequence[tuple[Row[Any], DeliveryStatus, Reason]]) -> set[str]:
    if not moves:
        return set()
    counts: Counts = Counts()
    for row, status, reason in moves:
        counts[row.tenant, row.channel, status.value, reason.value] += 1
    document = json.dumps([{"id": row.id, "status": status, "reason": reason} for row, status, reason in moves])
    return {row.id for row in connection.execute(MOVE, {"moves": document, "counts": counts_document(counts)})}


def _note(
    connection: Connection,
    moves: Sequence[tuple[Row[Any], DeliveryStatus, Reason]],
    moved: set[str],
    actor: str,
    remote: str | None,
) -> None:
    """One row a tenant: which deliveries, and where each went."""
    tenants: dict[str, dict[str, list[str]]] = {}
    for row, status, _ in moves:
        if row.id in moved:
            tenants.setdefault(row.tenant, {}).setdefault(status.value, []).append(row.id)
    for tenant, after in tenants.items():
        subject = f"{sum(map(len, after.values()))} dead letters"
        record(
            connection,
            tenant=tenant,
            actor=actor,
            action="dead_letters.replay",
            subject=subject,
            after=after,
            remote=remote,
        )
