"""Opens messages from the broker: what was seen before is left out, what is no event is kept for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from domain.errors import InvalidInputError
from domain.event import Event
from models.engine import transaction
from pipeline.envelope import named_tenants, parse_many
from pipeline.event_types import SHIPPED_TYPES, EventTypes, KnownTypes
from pipeline.publish import accept_only
from pipeline.rejections import Rejected, keep, unseen
from tasks.batching import Letter
from tasks.bells import ring_ingest

log = structlog.get_logger(__name__)


class HasTypes(Protocol):
    """Whatever knows the event types of a tenant."""

    @property
    def event_types(self) -> EventTypes:
        """Those in force."""


T = TypeVar("T", bound=HasTypes)

TYPES: Final = KnownTypes()


def accept_letters(letters: Sequence[Letter], source: str) -> None:
    """Store the events of many messages in one transaction and ring for their routing, which workers do.

    Raises:
        sqlalchemy.exc.DBAPIError: nothing was stored; the same letters may come again.
    """
    with transaction() as connection:
        events, _ = open_letters(connection, letters, source, TYPES.look_up)
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
    read: list[tuple[Letter, Any]] = []
    parsed: list[tuple[Letter, list[Event]]] = []
    rejected: list[Rejected] = []
    for letter in letters:
        if letter.id not in fresh:
            continue
        fresh.discard(letter.id)
        try:
            read.append((letter, letter.payload()))
        except InvalidInputError as error:
            rejected.append(Rejected(source, str(error), letter.body))
    tenants = look_up(connection, named_tenants(content for _, content in read))

    def listing(tenant: str) -> EventTypes:
        return tenants[tenant].event_types if tenant in tenants else SHIPPED_TYPES

    for letter, content in read:
        try:
            parsed.append((letter, parse_many(content, tenant=None, catalogue=listing)))
        except InvalidInputError as error:
            rejected.append(Rejected(source, str(error), letter.body))
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
