"""Events: published, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.access import Caller, Operator, Publisher, publisher_of, revoked
from api.answers import Json
from api.body import LARGE, described, parsed, read_body
from api.errors import Problem, not_found
from api.examples import ACCEPTED, CANCELLED, LEDGER, answered, listed
from api.examples import EVENT as AN_EVENT
from api.publishing import submit
from api.query import Optional, Page, uuid_in_path
from domain.event import Event
from models.scope import transaction_of
from pipeline.cancel import cancel_event
from pipeline.envelope import MOST_EVENTS, EventIn, parse_many
from pipeline.event_types import EventTypes
from pipeline.idempotency import Slot
from pipeline.intake import Refusal, Submission
from pipeline.ledger import explain_event, list_events, read_event
from pipeline.publish import Answer
from pipeline.sealing import keyed

router = APIRouter(tags=["events"])

ENDPOINT: Final = "POST /v1/events"  # the name under which its idempotency keys are kept
MOST_KEY: Final = 255  # characters

ONE: Final = EventIn.model_config["json_schema_extra"]["example"]  # type: ignore[index]
EVENT: Final = {"$ref": "#/components/schemas/EventIn"}
MANY: Final = {
    "type": "object",
    "required": ["events"],
    "properties": {"events": {"type": "array", "items": EVENT, "minItems": 1, "maxItems": MOST_EVENTS}},
}
EXAMPLES: Final = {
    "one event": ONE,
    "several": {"events": [{"type": "ssl_expiry", "data": {"host": "a.example.org"}}, {"type": "obligation_due"}]},
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": MOST_KEY},
    "description": "For 24 hours the same key with the same body gets the first answer, and with another body 409.",
}


@router.post(
    "/v1/events",
    status_code=202,
    responses=answered(ACCEPTED, 202),
    openapi_extra={**described({"oneOf": [EVENT, MANY]}, examples=EXAMPLES), "parameters": [IDEMPOTENCY_KEY]},
)
async def publish_events(request: Request) -> Response:
    """Publish one event, or up to 1,000 of which all or none are taken. 202 means: stored in PostgreSQL.

    A key that publishes more in a minute than it may gets 429 and, in ``Retry-After``, when to send the request again.
    """
    caller = await publisher_of(request)
    key = _idempotency_key(request)
    body = await read_body(request)
    content = await parsed(body)
    single = isinstance(content, Mapping) and "type" in content

    async def read(types: EventTypes) -> Submission:
        if len(body) > LARGE:
            events = await run_in_threadpool(parse_many, content, tenant=caller.tenant, catalogue=types)
        else:
            events = parse_many(content, tenant=caller.tenant, catalogue=types)
        return _submission(caller, events, key, body)

    taken = await submit(request, caller, read, len(body))
    if taken is Refusal.REVOKED:
        raise revoked(request)
    if taken is Refusal.OTHER_BODY:
        raise Problem(409, "bellwire.idempotency_key_reused", "The Idempotency-Key came with another body before.")
    assert not isinstance(taken, Refusal)
    return Json(_answer(taken.answers, single), 202, None if taken.fresh else {"Idempotency-Replayed": "true"})


class EventFilters(Page):
    """Which events are listed; the newest come first."""

    type: Optional = None
    status: Optional = None
    severity: Optional = None
    branch: Optional = None
    customer_id: Optional = None
    fingerprint: Optional = None
    since: Optional = None


@router.get("/v1/events", responses=listed("events", AN_EVENT))
def list_of_events(caller: Operator, query: Annotated[EventFilters, Query()]) -> Response:
    """Events, the newest first."""
    with transaction_of(caller.tenant) as connection:
        events, following = list_events(
            connection, tenant=caller.tenant, filters=query.filters(), cursor=query.cursor, limit=query.limit
        )
    return Json({"events": events, "next_cursor": following})


@router.get("/v1/events/{event_id}", responses=answered(LEDGER))
def one_event(caller: Publisher, event_id: str) -> Response:
    """The ledger of an event: its routes, whom it told, and every delivery with its attempts."""
    identity = uuid_in_path(event_id, "an event")
    with transaction_of(caller.tenant) as connection:
        found = read_event(connection, tenant=caller.tenant, event_id=identity)
    if found is None:
        raise not_found("event")
    return Json(found)


@router.get("/v1/events/{event_id}/explain")
def why(caller: Operator, event_id: str) -> Response:
    """Why an event told whom, and whom not: the stored reasons, in words."""
    identity = uuid_in_path(event_id, "an event")
    with transaction_of(caller.tenant) as connection:
        found = explain_event(connection, tenant=caller.tenant, event_id=identity)
    if found is None:
        raise not_found("event")
    return Json(found)


@router.post("/v1/events/{event_id}/cancel", responses=answered(CANCELLED))
def take_back(caller: Publisher, event_id: str) -> Response:
    """Withdraw what has not been sent of an event; the same thing may then be reported anew.

    An event of which nothing is left to withdraw keeps its status: `"status": "routed", "withdrawn": 0`.
    """
    identity = uuid_in_path(event_id, "an event")
    with transaction_of(caller.tenant) as connection:
        cancelled = cancel_event(
            connection, tenant=caller.tenant, event_id=identity, actor=caller.actor, remote=caller.remote
        )
    if cancelled is None:
        raise not_found("event")
    return Json(cancelled)


def _submission(caller: Caller, events: Sequence[Event], key: str | None, body: bytes) -> Submission:
    if key is None:
        return Submission(events, caller.key_id)
    # A hash of a body with a secret must not be of use to who guesses at it.
    digest = keyed(body) if any(one.sealed for one in events) else sha256(body).digest()
    return Submission(events, caller.key_id, Slot(caller.tenant, ENDPOINT, key), digest)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= MOST_KEY or not key.isprintable():
        raise Problem(
            400,
            "bellwire.invalid_idempotency_key",
            f"Idempotency-Key must be 1 to {MOST_KEY} printable characters.",
            field="Idempotency-Key",
        )
    return key


def _answer(answers: Sequence[Answer], single: bool) -> dict[str, Any]:
    return _shown(answers[0]) if single else {"results": [_shown(answer) for answer in answers]}


def _shown(one: Answer) -> dict[str, Any]:
    return {
        "id": one.id,
        "status": one.status,
        "duplicate_of": one.duplicate_of,
        "fingerprint": one.fingerprint,
    }
