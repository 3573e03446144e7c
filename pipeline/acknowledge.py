"""Acknowledge: a person took the issue; the rest of it stops, and the others see who took it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.settings import settings
from domain.errors import InvalidInputError
from domain.event import Condition
from domain.plan import EVERYONE
from domain.vocabulary import Reason
from pipeline.audit import record
from pipeline.identifiers import is_uuid
from pipeline.notification import COLUMNS, notification_of
from pipeline.withdraw import withdraw_issue

MOST_NOTE: Final = 2000  # characters

FIND = text(f"""
SELECT {COLUMNS}, n.user_id, n.audience, e.id::text AS event_id, e.fingerprint
FROM notifications n JOIN events e ON e.id = n.event_id
WHERE n.id = cast(:id AS uuid) AND n.tenant = :tenant AND n.deleted_at IS NULL
""")

# Whoever acknowledges the same issue at the same time waits here, before anything else is locked.
LOCK_ISSUE = text("""
SELECT event_id::text FROM issues WHERE tenant = :tenant AND fingerprint = :fingerprint FOR NO KEY UPDATE
""")

# The events of the issue as it is now: from its latest one back to when it was last resolved.
CURRENT = text("""
WITH RECURSIVE chain AS (
    SELECT e.id, e.previous_id, 1 AS depth FROM events e
    WHERE e.id = cast(:latest AS uuid) AND e.tenant = :tenant AND e.condition = :firing
    UNION ALL
    SELECT e.id, e.previous_id, c.depth + 1 FROM chain c JOIN events e ON e.id = c.previous_id
    WHERE e.tenant = :tenant AND e.condition = :firing AND c.depth < 1000
)
SELECT id::text FROM chain
""")

SILENCE = text("""
INSERT INTO acknowledgements (tenant, fingerprint, user_id, notification_id, by_user_id, note, until)
VALUES (:tenant, :fingerprint, :user_id, :id, :by, :note, now() + :seconds * interval '1 second')
ON CONFLICT (tenant, fingerprint, user_id) DO UPDATE SET
    notification_id = excluded.notification_id, by_user_id = excluded.by_user_id, note = excluded.note, at = now(),
    until = excluded.until
WHERE acknowledgements.until <= now()
""")

# In the order of their ids, as settling locks them. Who acknowledges has read; the others have not. The tenant is
# compared so that no index has it: a plan made while the table was small would go through all that the tenant was told.
MARK = text("""
UPDATE notifications n SET ack_by_user_id = :by, ack_at = now(), ack_note = :note,
    read_at = CASE WHEN n.user_id = :by THEN coalesce(n.read_at, now()) ELSE n.read_at END
FROM (SELECT id FROM notifications
      WHERE event_id = ANY(cast(:events AS uuid[])) AND tenant || '' = :tenant AND ack_at IS NULL
        AND (id = cast(:id AS uuid) OR cast(:user_id AS text) = '' OR user_id = :user_id)
      ORDER BY id FOR NO KEY UPDATE) untaken
WHERE n.id = untaken.id RETURNING n.id::text, n.user_id, n.customer_id::text
""")


@dataclass(frozen=True, slots=True)
class Marked:
    """A notification in a user's inbox that says now who took the issue."""

    id: str
    user_id: str
    customer_id: str | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What came of it.

    Attributes:
        notification: N as it is now.
        just_now: whether this call took it; False: somebody was faster, and nothing changed.
        marked: what says now who took it, in whose inbox ever it is; empty unless `just_now`.
    """

    notification: dict[str, Any]
    just_now: bool
    marked: tuple[Marked, ...] = ()


def acknowledge(
    connection: Connection,
    *,
    tenant: str,
    notification_id: str,
    by_user_id: str,
    everyone: bool | None,
    note: str | None,
    actor: str,
    remote: str | None = None,
) -> Acknowledged | None:
    """Take the issue that a notification told of.

    Args:
        everyone: None for a user, whose notification it must be and whose part in the event decides: told as `admin`
            he silences the issue for everyone, told as `customer` for himself. An operator says true (for everyone)
            or false (for the recipient; a recipient who is no user cannot be silenced alone).

    Returns:
        The notification; None when there is no such notification, or it is somebody else's.

    Raises:
        InvalidInputError: on ``note``.
    """
    _check_note(note)
    found = _find(connection, tenant, notification_id)
    if found is None or (everyone is None and found.user_id != by_user_id):
        return None
    issue = connection.execute(LOCK_ISSUE, {"tenant": tenant, "fingerprint": found.fingerprint}).scalar()
    taken = None
    if found.ack_at is None:
        for_all = found.user_id is None or (found.audience == "admin" if everyone is None else everyone)
        whom = EVERYONE if for_all else found.user_id
        taken = _take(connection, tenant, found, issue, whom, by_user_id, note)
        if taken is not None:
            subject, action = found.id, "issue.acknowledge"
            after, _ = taken
            record(connection, tenant=tenant, actor=actor, action=action, subject=subject, after=after, remote=remote)
    now = _find(connection, tenant, notification_id)
    marked = () if taken is None else taken[1]
    return None if now is None else Acknowledged(notification_of(now), taken is not None, marked)


def _check_note(note: str | None) -> None:
    if note is None:
        return
    if not isinstance(note, str):
        raise InvalidInputError("note", "must be text")
    if len(note) > MOST_NOTE:
        raise InvalidInputError("note", f"must have at most {MOST_NOTE} characters")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in note):
        raise InvalidInputError("note", "has characters that cannot be stored")


def _find(connection: Connection, tenant: str, notification_id: str) -> Row[Any] | None:
    if not is_uuid(notification_id):
        return None
    return connection.execute(FIND, {"tenant": tenant, "id": notification_id}).first()


def _take(
    connection: Connection, tenant: str, found: Row[Any], issue: str | None, whom: str, by: str, note: str | None
) -> tuple[dict[str, Any], tuple[Marked, ...]] | None:
    """Withdraw, mark and silence. What the audit says of it and what was marked; None when somebody was faster.

    Deliveries before notifications, as settling locks them.
    """
    current = _current(connection, tenant, issue)
    ongoing = found.event_id in current
    events = current if ongoing else [found.event_id]
    withdrawn = withdraw_issue(connection, tenant, events, Reason.ACKNOWLEDGED, whom or None)
    values = {"tenant": tenant, "id": found.id, "by": by, "note": note, "user_id": whom}
    marked = connection.execute(MARK, {**values, "events": events}).all()
    if found.id not in {one.id for one in marked}:
        return None
    if ongoing:
        # An issue that is over, or whose events are never folded, has nothing to come that could be kept silent.
        silence = {**values, "fingerprint": found.fingerprint, "seconds": settings().ack_ttl}
        connection.execute(SILENCE, silence)
    after = {"by": by, "event_id": found.event_id, "everyone": whom == EVERYONE, "withdrawn": withdrawn}
    return after, tuple(Marked(*one) for one in marked if one.user_id is not None)


def _current(connection: Connection, tenant: str, latest: str | None) -> list[str]:
    """The events of the ongoing issue, the latest first; empty when it is resolved or there is none."""
    values = {"tenant": tenant, "latest": latest, "firing": Condition.FIRING.value}
    return [] if latest is None else list(connection.execute(CURRENT, values).scalars())
