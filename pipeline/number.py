"""Number: the place of notifications in their users' inboxes, by which live clients know that they missed nothing."""

from __future__ import annotations

from typing import Final

# A fragment: stands as data-modifying CTEs before the statement that takes `numbered` (id, sequence), over a CTE
# `shown` (id, tenant, user_id) of what appears now. Locked in the order of tenant and user, so that two batches never
# wait for each other in a circle; numbers become visible in their order, because whoever comes later waits here.
NUMBER: Final = """
inbox AS (
    INSERT INTO inboxes AS i (tenant, user_id, last)
    SELECT tenant, user_id, count(*) FROM shown GROUP BY tenant, user_id ORDER BY tenant, user_id
    ON CONFLICT (tenant, user_id) DO UPDATE SET last = i.last + excluded.last
    RETURNING tenant, user_id, last
),
numbered AS (
    SELECT s.id, i.last - count(*) OVER (PARTITION BY s.tenant, s.user_id)
           + row_number() OVER (PARTITION BY s.tenant, s.user_id ORDER BY s.id) AS sequence
    FROM shown s JOIN inbox i ON i.tenant = s.tenant AND i.user_id = s.user_id
)"""
