"""Counts by hour, channel, status and reason: what reached which end, without counting over a table."""

from __future__ import annotations

import os
from collections import Counter

from pipeline.document import document

Counts = Counter[tuple[str, str, str, str]]
"""How many by (tenant, channel, status, reason). Channel "" stands for events and for recipients as a whole."""

SHARDS = 16

# A fragment: stands as a data-modifying CTE beside the statement whose rows it counts, and takes `:counts`.
COUNT = """
    INSERT INTO statistics AS s (hour, tenant, channel, status, reason, shard, count)
    SELECT date_trunc('hour', now(), 'UTC'), tenant, channel, status, reason, shard, count
    FROM jsonb_to_recordset(cast(:counts AS jsonb)) AS c(
        tenant text, channel text, status text, reason text, shard smallint, count bigint)
    ORDER BY tenant, channel, status, reason, shard
    ON CONFLICT (hour, tenant, channel, status, reason, shard) DO UPDATE SET count = s.count + excluded.count
"""


def shard() -> int:
    """Which of the parallel rows this process adds to, so that processes seldom wait for each other's row."""
    return os.getpid() % SHARDS


def counts_document(counts: Counts) -> str:
    """The counts as the JSON that `COUNT` takes."""
    mine = shard()
    return document(
        [
            {"tenant": tenant, "channel": channel, "status": status, "reason": reason, "shard": mine, "count": count}
            for (tenant, channel, status, reason), count in counts.items()
        ]
    )
