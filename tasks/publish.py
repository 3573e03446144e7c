"""`bellwire.publish` and `bellwire.ingest`: from a message to stored deliveries, then ring their channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from domain.fingerprint import canonical
from models.engine import DATABASE_AWAY, transaction
from pipeline.publish import accept_and_route, give_up, route_accepted
from pipeline.route import Bells
from tasks.app import app
from tasks.batching import Letter
from tasks.bells import ring_deliveries
from tasks.child import Child, child
from tasks.letters import open_letters, reject_letter
from tasks.live import show

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

    An event that cannot be routed holds up no other: it is marked as such, for a person.
    """
    try:
        with transaction() as connection:
            bells = route_accepted(connection, here.directory, ids, here.built)
    except DATABASE_AWAY:
        raise
    except Exception:
        if len(ids) == 1:
            log.exception("not_routed", event_id=ids[0])
            with transaction() as connection:
                give_up(connection, ids[0])
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


def keep_letters(letters: Sequence[Letter], source: str = "celery") -> None:
    """Keep messages unread that have failed again and again."""
    for letter in letters:
        reject_letter(letter, source, "could not be published, tried several times")


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
    reject_letter(letters[0], source, f"cannot be stored: {type(error).__name__}")


def _publish(connection: Connection, here: Child, letters: Sequence[Letter], source: str) -> Bells:
    events, tenants = open_letters(connection, letters, source, here.directory.look_up)
    return accept_and_route(connection, tenants, events, here.built)[1] if events else Bells()
