"""Publishing by request: events are read with the tenant's event types and stored only while those are in force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from api.access import Caller
from api.intake import Intake
from models.scope import transaction_of
from pipeline.event_types import EventTypes, Known, KnownTypes
from pipeline.intake import Refusal, Submission, Taken

TYPES: Final = KnownTypes()
TRIES: Final = 3


async def submit(
    request: Request, caller: Caller, read: Callable[[EventTypes], Awaitable[Submission]], size: int
) -> Taken | Refusal:
    """Store what `read` makes of a request with the event types of its tenant, and return once it is committed.

    They are remembered, so that publishing costs no statement for them: the transaction that stores sees whether they
    still are those. They are read anew when the tenant has changed anything, and the events with them.

    Args:
        size: bytes of the request's body.
    """
    intake: Intake = request.app.state.intake
    outcome: Taken | Refusal = Refusal.STALE
    for attempt in range(TRIES):
        known = TYPES.find(caller.tenant) if attempt == 0 else None
        if known is None:
            known = await run_in_threadpool(_read, caller.tenant)
        submission = await read(known.event_types)
        # Whoever changes his settings without end does not keep his own events from being stored.
        version = None if attempt == TRIES - 1 else known.version
        outcome = await intake.submit(replace(submission, version=version), size, caller.publisher)
        if outcome is not Refusal.STALE:
            break
    return outcome


def _read(tenant: str) -> Known:
    with transaction_of(tenant) as connection:
        found = TYPES.look_up(connection, [tenant])
    return found.get(tenant) or Known(0, EventTypes())
