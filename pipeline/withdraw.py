"""Withdraw: what has not been sent of an issue is cancelled, with the reason."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from domain.vocabulary import Reason
from pipeline.counts import shard

# The events of one issue are a chain; a chain of a thousand has long been sent or given up at its far end.
ISSUE_CHAIN = """
WITH RECURSIVE chain AS (
    SELECT e.id, e.previous_id, e.tenant, 1 AS depth
    FROM jsonb_to_recordset(cast(:events AS jsonb)) AS r(tenant text, id uuid)
    JOIN events e ON e.id = r.id AND e.tenant = r.tenant
    UNION
    SELECT e.id, e.previous_id, e.tenant, c.depth + 1
    FROM chain c JOIN events e ON e.id = c.previous_id AND e.tenant = c.tenant WHERE c.depth < 1000
)
"""

# What somebody holds locked is being claimed, settled or withdrawn just now; the claim looks again by itself.
WITHDRAW = text(
    ISSUE_CHAIN
    + """
, unsent AS (
    SELECT d.id FROM deliveries d JOIN chain c ON c.id = d.event_id
    LEFT JOIN notifications n ON n.id = d.notification_id
    WHERE d.status IN ('queued', 'held', 'failed') AND (cast(:user_id AS text) IS NULL OR n.user_id = :user_id)
      AND (SELECT true FROM deliveries f WHERE f.folded_into = d.id LIMIT 1) IS NULL  -- it tells of others as well
    FOR NO KEY UPDATE OF d SKIP LOCKED
),
withdrawn AS (
    UPDATE deliveries d SET status = 'cancelled', reason = :reason, due_at = NULL
    FROM unsent u WHERE d.id = u.id RETURNING d.id, d.tenant, d.channel
),
counted AS (
    INSERT INTO statistics AS s (hour, tenant, channel, status, reason, shard, count)
    SELECT date_trunc('hour', now(), 'UTC'), tenant, channel, 'cancelled', :reason, cast(:shard AS smallint), count(*)
    FROM withdrawn GROUP BY tenant, channel ORDER BY tenant, channel
    ON CONFLICT (hour, tenant, channel, status, reason, shard) DO UPDATE SET count = s.count + excluded.count
)
SELECT id FROM withdrawn
"""
)


def withdraw_issue(
    connection: Connection, tenant: str, event_ids: Sequence[str], reason: Reason, user_id: str | None = None
) -> int:
    """Cancel what is not sent yet of these events and of those before them in the same issue.

    Args:
        user_id: only what goes to this user; None for everybody.

    Returns:
        How many deliveries were withdrawn. One that a worker is sending right now is not among them.
    """
    return withdraw_issues(connection, [(tenant, id_) for id_ in event_ids], reason, user_id)


def withdraw_issues(
    connection: Connection, events: Sequence[tuple[str, str]], reason: Reason, user_id: str | None = None
) -> int:
    """The same for several issues at once, each named by its tenant and an event; one statement."""
    document = json.dumps([{"tenant": tenant, "id": id_} for tenant, id_ in events])
    values = {"events": document, "reason": reason.value, "user_id": user_id, "shard": shard()}
    return len(connection.execute(WITHDRAW, values).all())
