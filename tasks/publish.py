"""`bellwire.publish` and `bellwire.ingest`: from a message to stored deliveries, then ring their channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from config.catalogue import shipped
from domain.errors import InvalidInputError
from domain.event import Event
from domain.fingerprint import canonical
from models.engine import transaction
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route, route_accepted
from pipeline.rejections import Rejected, keep, unseen
from pipeline.route import Bells
from tasks.app import app
from tasks.batching import Letter
from tasks.bells import ring_deliveries
from tasks.child import Child, child
from tasks.live import show
from tasks.sending import DATABASE_AWAY

log = structlog.get_logger(__name__)

# What one message's data can bring about, and another try cannot mend.
SPOILT = (DataError, IntegrityError, ValueError)


@app.task(name="bellwire.publish", Strategy="tasks.batching:strategy")
def publish(events: Any) -> None:
    """Accept and route one event or a list. Workers take many of these messages as one batch and do not come here."""
    publish_letters([Letter(publish.request.id, canonical([[events], {}, {}]).encode())])


@app.task(name="bellwire.ingest")
def ingest(ids: list[str]) -> None:
    """Route events that the API has accepted."""
    route_waiting(child(), ids)


def route_waiting(here: Child, ids: Sequence[str]) -> list[str]:
    """Route accepted events and ring. The channels that were rung.

    An event that cannot be routed holds up no other: it stays accepted, and every sweep comes back to it.
    """
    try:
        with transaction() as connection:
            bells = route_accepted(connection, here.directory, ids, here.built)
    except DATABASE_AWAY:
        raise
    except Exception:
        if len(ids) == 1:
            log.exception("not_routed", event_id=ids[0])
            return []
        middle = len(ids) // 2
        return route_waiting(here, ids[:middle]) + route_waiting(here, ids[middle:])
    ring(bells)
    return list(bells.due)


def publish_letters(letters: Sequence[Letter], source: str = "celery") -> None:
    """Accept and route the events of many messages in one transaction; what is no event is kept for a person.

    Raises:
        sqlalchemy.exc.DBAPIError: nothing was stored; the same letters may come again.
    """
    here = child()
    try:
        with transaction() as connection:
            bells = _publish(connection, here, letters, source)
    except SPOILT as error:
        _apart(letters, source, error)
        return
    ring(bells)


def ring(bells: Bells) -> None:
    """What follows a commit: live clients are shown their notifications, and the channels are rung."""
    show(bells.frames)
    for channel, ids in bells.due.items():
        ring_deliveries(channel, ids)


def _apart(letters: Sequence[Letter], source: str, error: Exception) -> None:
    """A message that the database refuses is kept for a person; those that came with it are published without it."""
    if len(letters) > 1:
        middle = len(letters) // 2
        publish_letters(letters[:middle], source)
        publish_letters(letters[middle:], source)
        return
    problem = f"cannot be stored: {type(error).__name__}"
    log.warning("event_rejected", source=source, problem=problem)
    with transaction() as connection:
        if unseen(connection, source, [letters[0].id]):
            keep(connection, [Rejected(source, problem, letters[0].body)])


def _publish(connection: Connection, here: Child, letters: Sequence[Letter], source: str) -> Bells:
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
    tenants = here.directory.look_up(connection, {event.tenant for _, events in parsed for event in events})
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
    return accept_and_route(connection, tenants, events, here.built)[1] if events else Bells()
