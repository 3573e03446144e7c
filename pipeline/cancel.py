"""Cancel: a publisher takes an event back; what was not sent of it is withdrawn."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, text

from domain.states import DeliveryStatus, EventStatus
from domain.vocabulary import Reason
from pipeline.audit import record
from pipeline.counts import COUNT, Counts, counts_document

# Whether anything of it may yet be sent: by itself, or told along in another's message.
LEFT = """
(e.status = 'accepted' OR EXISTS (
    SELECT FROM deliveries d LEFT JOIN deliveries carrier ON carrier.id = d.folded_into
    WHERE d.event_id = e.id AND coalesce(carrier.status, d.status) IN ('queued', 'held', 'processing', 'failed')))
"""
# First the issue, then the event, as accepting locks them. Nothing is folded into an event that was taken back.
END_WINDOW = text(f"""
UPDATE issues i SET window_until = least(window_until, now()) FROM events e
WHERE e.id = cast(:id AS uuid) AND e.tenant = :tenant
  AND i.tenant = e.tenant AND i.fingerprint = e.fingerprint AND i.event_id = e.id AND {LEFT}
""")
LOCK = text("SELECT status FROM events WHERE id = cast(:id AS uuid) AND tenant = :tenant FOR NO KEY UPDATE")
# A statement of its own: what was routed while it waited for the lock is seen only by the next.
MARK = text(f"UPDATE events e SET status = 'cancelled', reason = :reason WHERE id = cast(:id AS uuid) AND {LEFT}")
WITHDRAW = text("""
WITH unsent AS (
    SELECT id FROM deliveries
    WHERE event_id = cast(:id AS uuid) AND status IN ('queued', 'held', 'failed')
      AND (SELECT true FROM deliveries f WHERE f.folded_into = deliveries.id LIMIT 1) IS NULL  -- it tells of others too
    ORDER BY id FOR NO KEY UPDATE
)
UPDATE deliveries d SET status = 'cancelled', reason = :reason, due_at = NULL FROM unsent u WHERE d.id = u.id
RETURNING d.channel
""")
NOTE_COUNTS = text(COUNT)

OPEN = (EventStatus.ACCEPTED, EventStatus.ROUTED, EventStatus.RESOLVED)


def cancel_event(
    connection: Connection, *, tenant: str, event_id: str, actor: str, remote: str | None = None
) -> dict[str, Any] | None:
    """Take an event back. Doing it again changes nothing; a delivery that is being sent right now is sent.

    An event of which everything was sent, or has ended, keeps its status: nothing is left to withdraw.

    Args:
        event_id: a UUID.

    Returns:
        ``id``, ``status`` and how many deliveries were ``withdrawn``; None when there is no such event.
    """
    values = {"id": event_id, "tenant": tenant, "reason": Reason.CANCELLED.value}
    connection.execute(END_WINDOW, values)
    status = connection.execute(LOCK, values).scalar()
    if status is None:
        return None
    if status not in OPEN:
        return {"id": event_id, "status": status, "withdrawn": 0}
    if connection.execute(MARK, values).rowcount == 0:
        return {"id": event_id, "status": status, "withdrawn": 0}
    withdrawn = Counter(connection.execute(WITHDRAW, values).scalars())
    _count(connection, tenant, withdrawn)
    after = {"withdrawn": withdrawn.total()}
    record(connection, tenant=tenant, actor=actor, action="event.cancel", subject=event_id, after=after, remote=remote)
    return {"id": event_id, "status": EventStatus.CANCELLED.value, **after}


def _count(connection: Connection, tenant: str, withdrawn: Counter[str]) -> None:
    counts: Counts = Counter()
    for channel, count in withdrawn.items():
        counts[tenant, channel, DeliveryStatus.CANCELLED.value, Reason.CANCELLED.value] = count
    if counts:
        connection.execute(NOTE_COUNTS, {"counts": counts_document(counts)})
