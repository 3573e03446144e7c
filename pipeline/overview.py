"""Overview: how much work waits, how long the oldest has, and what reached which end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from domain.errors import InvalidInputError
from pipeline.deliverability import figures
from pipeline.moments import written

# Live work only: what the partial index over due_at has, however large the table is, and what is held.
LIVE = """
SELECT channel, status, count(*) AS count,
       coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE due_at <= now())), 0)::float AS oldest,
       extract(epoch FROM min(due_at) FILTER (WHERE due_at > now()) - now())::float AS next
FROM (SELECT channel, status, due_at FROM deliveries WHERE due_at IS NOT NULL AND {owner}
      UNION ALL SELECT channel, 'held', release_at FROM holds WHERE {owner}) AS live
GROUP BY channel, status ORDER BY channel, status
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
REACHED = """
SELECT {hour} channel, status, reason, sum(count)::bigint AS count FROM statistics
WHERE {owner} AND hour >= date_trunc('hour', cast(:since AS timestamptz), 'UTC')
GROUP BY {hour} channel, status, reason ORDER BY {hour} channel, status, reason
"""
DAY: Final = timedelta(days=1)
MOST_DAYS_BY_HOUR: Final = 31  # some 30 rows an hour; a page of them is enough for a chart
BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


def overview(connection: Connection, *, tenant: str | None = None, since: datetime | None = None) -> dict[str, Any]:
    """Counts for `status` and the metrics, of one tenant or of all.

    Args:
        since: how far back ``finals``, ``skipped`` and ``deliverability`` go, in whole hours; None: to the beginning,
            and a day for ``deliverability``.

    Returns:
        ``events``: accepted and not yet routed, and the age of the oldest in seconds; ``live``: deliveries by channel
        and status; ``oldest_due_seconds``: for how long the oldest due delivery waits, by channel and over all;
        ``next_due_seconds``: in how long the next one that is not due yet will be, None when there is none;
        ``dead_letters``: what waits for a person; ``finals``: what deliveries came to, by channel, status and reason;
        ``skipped``: who or what was left out at routing; ``deliverability``: what became of it at each provider.
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
        "deliverability": figures(connection, tenant=tenant, since=since or datetime.now(UTC) - DAY),
    }


def reached(connection: Connection, *, tenant: str, since: datetime, by_hour: bool) -> list[dict[str, Any]]:
    """What deliveries of a tenant came to, by channel, status and reason; by hour too, the oldest first, if asked.

    Args:
        since: in whole hours; the one that it lies in is counted.

    Raises:
        InvalidInputError: on ``since``, when that would be too many hours.
    """
    if by_hour and since < datetime.now(UTC) - timedelta(days=MOST_DAYS_BY_HOUR):
        raise InvalidInputError("since", f"must be within {MOST_DAYS_BY_HOUR} days when it is asked by the hour")
    statement = REACHED.format(owner="tenant = :tenant AND channel <> ''", hour="hour," if by_hour else "")
    rows = connection.execute(text(statement), {"tenant": tenant, "since": since}).mappings()
    return [{name: written(value) if name == "hour" else value for name, value in row.items()} for row in rows]
