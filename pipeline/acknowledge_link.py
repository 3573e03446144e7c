"""Acknowledge by a link in a message: in the name of whom the message told, and of nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from pipeline.acknowledge import Acknowledged, acknowledge
from pipeline.links import Acknowledge

ACTOR: Final = "acknowledge link"

FIND = text("""
SELECT n.id::text, n.user_id, n.recipient, n.audience, n.title, n.event, n.severity, n.created_at, n.ack_by_user_id,
       n.ack_at, n.ack_note
FROM notifications n WHERE n.id = cast(:id AS uuid) AND n.tenant = :tenant AND n.deleted_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class Told:
    """A notification as the page shows it.

    Attributes:
        user_id: whom it told; None: an address without a user.
        for_everyone: acknowledging it silences the issue for all who were told, not for this recipient alone.
        taken_by: who has acknowledged it; None: nobody yet.
    """

    tenant: str
    user_id: str | None
    title: str
    event: str
    severity: str
    created_at: datetime
    for_everyone: bool
    taken_by: str | None
    taken_at: datetime | None
    note: str | None


def read_told(connection: Connection, link: Acknowledge) -> Told | None:
    """What a link is about; None when the notification was deleted. Changes nothing."""
    row = _find(connection, link)
    return None if row is None else _told(link, row)


def acknowledge_by_link(
    connection: Connection, link: Acknowledge, *, note: str | None, remote: str | None = None
) -> tuple[Told | None, Acknowledged | None]:
    """Take the issue as whoever was told would. If somebody took it before, nothing changes.

    Returns:
        The notification as it is now, None when it was deleted; and what came of it, None when nothing was
        taken just now.

    Raises:
        InvalidInputError: on ``note``.
    """
    found = _find(connection, link)
    if found is None:
        return None, None
    by = found.recipient if found.user_id is None else found.user_id
    taken = acknowledge(
        connection,
        tenant=link.tenant,
        notification_id=link.notification_id,
        by_user_id=by,
        everyone=True if found.user_id is None else None,
        note=note,
        actor=ACTOR,
        remote=remote,
    )
    return read_told(connection, link), taken if taken is not None and taken.just_now else None


def _find(connection: Connection, link: Acknowledge) -> Row[Any] | None:
    return connection.execute(FIND, {"id": link.notification_id, "tenant": link.tenant}).first()


def _told(link: Acknowledge, row: Row[Any]) -> Told:
    return Told(
        tenant=link.tenant,
        user_id=row.user_id,
        title=row.title,
        event=row.event,
        severity=row.severity,
        created_at=row.created_at,
        for_everyone=row.user_id is None or row.audience == "admin",
        taken_by=row.ack_by_user_id,
        taken_at=row.ack_at,
        note=row.ack_note,
    )
