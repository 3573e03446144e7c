"""Outbox: what callers published inside their own transactions, taken, accepted and routed in one of ours.

A row is deleted in the transaction that stores its event, so it becomes one event, however often anything dies.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from domain.errors import InvalidInputError
from domain.event import Event
from pipeline.directory import Directory
from pipeline.envelope import MOST_BODY_BYTES, loads, parse_many
from pipeline.publish import Answer, accept_and_route
from pipeline.rejections import Rejected, keep
from pipeline.route import Bells

SOURCE: Final = "outbox"
MOST_ROWS: Final = 200  # in one transaction
MOST_BYTES: Final = 4 * 1024 * 1024  # the same; a single larger row goes alone

# What another worker holds is left to it. As text, for a number that Python cannot hold must not stop its batch.
TAKE = """
WITH held AS (
    SELECT id, tenant, event::text AS event FROM outbox WHERE {wanted} ORDER BY id LIMIT :rows FOR UPDATE SKIP LOCKED
),
sized AS (SELECT *, sum(octet_length(event)) OVER (ORDER BY id) - octet_length(event) AS before FROM held)
DELETE FROM outbox o USING sized s WHERE o.id = s.id AND s.before <= :bytes
RETURNING o.id, s.tenant, left(s.event, :longest) AS event
"""
TAKE_NEXT = text(TAKE.format(wanted="true"))
TAKE_THESE = text(TAKE.format(wanted="id = ANY(:ids)"))


@dataclass(frozen=True, slots=True)
class Row:
    """One call of `bellwire_publish`. `body`: JSON of an event or of several."""

    id: int
    tenant: str
    body: bytes


def take(connection: Connection, ids: Collection[int] | None = None) -> list[Row]:
    """Take the oldest rows, or those of `ids` that are left. They are gone once the caller's transaction commits."""
    values = {"rows": MOST_ROWS, "bytes": MOST_BYTES, "longest": MOST_BODY_BYTES + 1}
    if ids is None:
        found = connection.execute(TAKE_NEXT, values)
    else:
        found = connection.execute(TAKE_THESE, {**values, "ids": list(ids)})
    return sorted((Row(row.id, row.tenant, row.event.encode()) for row in found), key=lambda row: row.id)


def publish(
    connection: Connection, directory: Directory, rows: Sequence[Row], built: Mapping[str, bool]
) -> tuple[list[Answer], Bells]:
    """Accept and route the events of `rows`; what is no event is kept for a person.

    Args:
        built: see `pipeline.route.route`.
    """
    tenants = directory.look_up(connection, {row.tenant for row in rows})
    events: list[Event] = []
    rejected: list[Rejected] = []
    for row in rows:
        try:
            if row.tenant not in tenants:
                raise InvalidInputError("tenant", "is not a tenant of this installation")
            events += parse_many(loads(row.body), tenant=row.tenant, catalogue=tenants[row.tenant].event_types)
        except InvalidInputError as error:
            rejected.append(_rejected(row, str(error)))
    keep(connection, rejected)
    return accept_and_route(connection, tenants, events, built) if events else ([], Bells())


def refuse(connection: Connection, row_id: int, problem: str) -> None:
    """Keep a row for a person that cannot be accepted or routed, whatever is tried."""
    keep(connection, [_rejected(row, problem) for row in take(connection, [row_id])])


def _rejected(row: Row, problem: str) -> Rejected:
    return Rejected(SOURCE, problem, row.body, row.tenant)
