"""Suppressed: which deliveries of an event have an address that is told no more, why, by whom and since when."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, text

from pipeline.moments import written

# What is said of all events outweighs what is said of one type.
OF_EVENT: Final = text("""
SELECT DISTINCT ON (d.id) d.id::text, s.reason, s.source, s.provider, s.event, s.created_at,
       coalesce(s.delivery_id = d.id, false) AS followed
FROM deliveries d JOIN events e ON e.id = d.event_id
JOIN suppressions s ON s.tenant = d.tenant AND s.channel = d.channel AND s.address = lower(d.address)
    AND s.event IN ('', e.type)
WHERE d.event_id = cast(:event AS uuid) AND d.address <> '' ORDER BY d.id, s.event
""")


def suppressions_of(connection: Connection, event_id: str) -> dict[str, dict[str, Any]]:
    """What the suppression list says now of the addresses of an event, by delivery.

    ``event``: the type of which the address is told no more, None: of none at all; ``followed``: it was that very
    delivery that put it there.
    """
    return {
        row.id: {
            "reason": row.reason,
            "source": row.source,
            "provider": row.provider,
            "event": row.event or None,
            "since": written(row.created_at),
            "followed": row.followed,
        }
        for row in connection.execute(OF_EVENT, {"event": event_id})
    }
