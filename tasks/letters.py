"""Opens messages from the broker: what was seen before is left out, what is no event is kept for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog
from sqlalchemy import Connection, text

from config.catalogue import shipped
from domain.errors import InvalidInputError
from domain.event import Event
from models.engine import transaction
from pipeline.envelope import parse_many
from pipeline.publish import accept_only
from pipeline.rejections import Rejected, keep, unseen
from tasks.batching import Letter
from tasks.bells import ring_ingest

log = structlog.get_logger(__name__)
T = TypeVar("T")

TENANTS = text("SELECT id FROM tenants WHERE id = ANY(:tenants)")


def accept_letters(letters: Sequence[Letter], source: str) -> None:
    """Store the events of many messages in one transaction and ring for their routing, which workers do.

    Raises:
        sqlalchemy.exc.DBAPIError: nothing was stored; the same letters may come again.
    """
    with transaction() as connection:
        events, _ = open_letters(connection, letters, source, _known_tenants)
        answers = accept_only(connection, events) if events else []
    new = [answer.id for answer in answers if answer.status == "accepted"]
    if new:
        ring_ingest(new)
    if answers:
        ids = [answer.id for answer in answers[:20]]
        log.info("events_accepted", source=source, events=len(answers), event_ids=ids)


def reject_letter(letter: Letter, source: str, problem: str) -> None:
    """Keep a message that the database itself refuses."""
    with transaction() as connection:
        unseen(connection, source, [letter.id])
        keep(connection, [Rejected(source, problem, letter.body)])
    log.warning("event_rejected", source=source, problem=problem)


def open_letters(
    connection: Connection,
    letters: Sequence[Letter],
    source: str,
    look_up: Callable[[Connection, set[str]], Mapping[str, T]],
) -> tuple[list[Event], Mapping[str, T]]:
    """The events of those letters that are new, and what `look_up` found of their tenants.

    A letter with an event that cannot be taken is kept whole, in the caller's transaction.
    """
    fresh = unseen(connection, source, [letter.id for letter in letters])
    parsed: list[tuple[Letter, list[Event]]] = []
    rejected: list[Rejected] = []
    for letter in letters:
        if letter.id not in fresh:
            continue
        fresh.discard(letter.id)
        try:
            parsed.append((letter, parse_many(letter.payload(), tenant=None, catalogue=shipped().event_types)))
        except InvalidInputError as error:
            rejected.append(Rejected(source, str(error), letter.body))
    tenants = look_up(connection, {event.tenant for _, events in parsed for event in events})
    events: list[Event] = []
    for letter, published in parsed:
        stranger = next((index for index, event in enumerate(published) if event.tenant not in tenants), None)
        if stranger is None:
            events.extend(published)
        else:
            problem = f"events[{stranger}].tenant: is not a tenant of this installation"
            rejected.append(Rejected(source, problem, letter.body))
    for one in rejected:
        log.warning("event_rejected", source=source, problem=one.error)
    keep(connection, rejected)
    return events, tenants


def _known_tenants(connection: Connection, ids: set[str]) -> dict[str, bool]:
    found = connection.execute(TENANTS, {"tenants": list(ids)}) if ids else ()
    return {tenant: True for (tenant,) in found}
