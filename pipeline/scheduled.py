"""Scheduled: notifications that were to appear later appear in the inbox. No provider carries them, so no line does."""

from __future__ import annotations

from datetime import datetime
from time import monotonic
from typing import Final

from sqlalchemy import Connection, text

from domain.states import DeliveryStatus
from domain.verdict import Verdict
from pipeline.claim import claim
from pipeline.deliver import look_again
from pipeline.event_types import read_event_types
from pipeline.inbox import Frame
from pipeline.notification import COLUMNS, notification_of
from pipeline.number import NUMBER
from pipeline.settle import Result, settle

MOST: Final = 500  # a round; what is left waits for the next
LEASE: Final = 30.0  # seconds; claimed and settled in one transaction, so it is never seen

SHOWN: Final = Verdict(DeliveryStatus.SENT, None, None, None, 0)

APPEAR = text(f"""
WITH shown AS (
    SELECT n.id, n.tenant, n.user_id FROM notifications n
    WHERE n.id = ANY(cast(:ids AS uuid[])) AND n.user_id IS NOT NULL AND n.deleted_at IS NULL AND n.sequence IS NULL
    ORDER BY n.id FOR NO KEY UPDATE
),
{NUMBER}
UPDATE notifications n SET sequence = d.sequence FROM numbered d WHERE n.id = d.id
RETURNING n.tenant, n.user_id, n.sequence, {COLUMNS}
""")


def show_due(connection: Connection, now: datetime) -> list[Frame]:
    """Settle in-app deliveries whose time has come; what nobody wants any more ends like any other delivery.

    Returns:
        What live clients are shown once the caller has committed, in the order of each inbox.
    """
    taken = claim(connection, "in_app", MOST, LEASE, monotonic())
    if not taken.rows:
        return []
    types = read_event_types(connection, sorted({row.tenant for row in taken.rows}))
    results = [Result(row.id, look_again(row, "in_app", now, types[row.tenant]) or SHOWN) for row in taken.rows]
    settled = settle(connection, taken.token, results)
    shown = [row.notification_id for row in taken.rows if settled.get(row.id) == DeliveryStatus.SENT]
    rows = connection.execute(APPEAR, {"ids": shown}).all()
    return [
        Frame(row.tenant, row.user_id, row.sequence, notification_of(row))
        for row in sorted(rows, key=lambda row: row.sequence)
    ]
