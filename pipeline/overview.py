"""Overview: how much work waits, how long the oldest has, and what reached which end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

# Live work only: it is what the partial index over due_at holds, however large the table is.
LIVE = """
SELECT channel, status, count(*) AS count,
       coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE due_at <= now())), 0)::float AS oldest,
       extract(epoch FROM min(due_at) FILTER (WHERE due_at > now()) - now())::float AS next
FROM deliveries WHERE due_at IS NOT NULL AND {owner} GROUP BY channel, status ORDER BY channel, status
"""
WAITING = """
SELECT count(*) AS count, coalesce(extract(epoch FROM now() - min(accepted_at)), 0)::float AS oldest
FROM events WHERE status = 'accepted' AND {owner}
"""
DEAD = "SELECT channel, reason, count(*) AS count FROM dead_letters WHERE {owner} GROUP BY 1, 2 ORDER BY 1, 2"
FINALS = """
SELECT channel, status, reason, sum(count)::bigint AS count FROM statistics WHERE {owner} AND hour >= :since
GROUP BY channel, status, reason ORDER BY channel, status, reason
"""
BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def overview(connection: Connection, *, tenant: str | None = None, since: datetime | None = None) -> dict[str, Any]:
    """Counts for `status` and the metrics, of one tenant or of all.

    Args:
        since: how far back ``finals`` and ``skipped`` go, in whole hours; None: to the beginning.

    Returns:
        ``events``: accepted and not yet routed, and the age of the oldest in seconds; ``live``: deliveries by channel
        and status; ``oldest_due_seconds``: for how long the oldest due delivery waits, by channel and over all;
        ``next_due_seconds``: in how long the next one that is not due yet will be, None when there is none;
        ``dead_letters``: what waits for a person; ``finals``: what deliveries came to, by channel, status and reason;
        ``skipped``: who or what was left out at routing.
    """
    values = {} if tenant is None else {"tenant": tenant}
    owner = "true" if tenant is None else "tenant = :tenant"

    def ask(statement: str, **more: Any) -> Any:
        return connection.execute(text(statement.format(owner=owner)), {**values, **more}).mappings().all()

    live = ask(LIVE)
    waiting = ask(WAITING)[0]
    finals = [dict(row) for row in ask(FINALS, since=since or BEGINNING)]
    oldest: dict[str, float] = {}
    following = [row["next"] for row in live if row["next"] is not None]
    for row in live:
        oldest[row["channel"]] = max(row["oldest"], oldest.get(row["channel"], 0.0))
    return {
        "events": {"accepted": waiting["count"], "oldest_seconds": waiting["oldest"]},
        "live": [{name: row[name] for name in ("channel", "status", "count")} for row in live],
        "oldest_due_seconds": {"all": max(oldest.values(), default=0.0), "by_channel": oldest},
        "next_due_seconds": min(following, default=None),
        "dead_letters": [dict(row) for row in ask(DEAD)],
        "finals": [row for row in finals if row["status"] != "skipped"],
        "skipped": [row for row in finals if row["status"] == "skipped"],
    }
