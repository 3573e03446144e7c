"""The operator's work: deliveries, dead letters and their replay, and the round that rings again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from api.access import Operator
from api.answers import Json
from api.body import JsonBody, described
from api.errors import invalid, not_found
from api.examples import DELIVERY, DELIVERY_ID, REPLAYED, answered, listed
from api.query import Optional, Page, uuid_in_path
from config.fields import Fields
from domain.vocabulary import CHANNELS
from models.scope import transaction_of, unscoped_transaction
from pipeline.due import due_of
from pipeline.ledger import list_dead_letters, list_deliveries, read_delivery
from pipeline.replay import due_by_channel, replay
from pipeline.sweep import look
from tasks.bells import ring_deliveries
from tasks.rounds import ring_for

router = APIRouter(tags=["operation"])

FORGOTTEN_AFTER: Final = 2.0  # seconds that the bell of an accepted event is given to arrive
REPLAY_EXAMPLES: Final = {
    "some": {"ids": [DELIVERY_ID]},
    "all of a kind": {"filter": {"channel": "email", "reason": "retries_exhausted", "since": "2h"}},
}


class DeadLetterFilters(Page):
    """Which dead letters are listed."""

    channel: Optional = None
    event: Optional = None
    recipient: Optional = None
    reason: Optional = None
    since: Optional = None


class DeliveryFilters(DeadLetterFilters):
    """Which deliveries are listed; the newest come first."""

    status: Optional = None


@router.get("/v1/deliveries", responses=listed("deliveries", DELIVERY))
def list_of_deliveries(caller: Operator, query: Annotated[DeliveryFilters, Query()]) -> Response:
    """Deliveries with their attempts, the newest first."""
    with transaction_of(caller.tenant) as connection:
        deliveries, following = list_deliveries(
            connection, tenant=caller.tenant, filters=query.filters(), cursor=query.cursor, limit=query.limit
        )
    return Json({"deliveries": deliveries, "next_cursor": following})


@router.get("/v1/deliveries/{delivery_id}", responses=answered(DELIVERY))
def one_delivery(caller: Operator, delivery_id: str) -> Response:
    """A delivery with its attempts."""
    identity = uuid_in_path(delivery_id, "a delivery")
    with transaction_of(caller.tenant) as connection:
        found = read_delivery(connection, tenant=caller.tenant, delivery_id=identity)
    if found is None:
        raise not_found("delivery")
    return Json(found)


@router.get("/v1/dead-letters")
def list_of_dead_letters(caller: Operator, query: Annotated[DeadLetterFilters, Query()]) -> Response:
    """What waits for a person, the newest first, and the causes with an example each."""
    with transaction_of(caller.tenant) as connection:
        page = list_dead_letters(
            connection, tenant=caller.tenant, filters=query.filters(), cursor=query.cursor, limit=query.limit
        )
    return Json(page)


@router.post(
    "/v1/dead-letters/replay",
    responses=answered(REPLAYED),
    openapi_extra=described({"type": "object"}, examples=REPLAY_EXAMPLES),
)
def replay_dead_letters(caller: Operator, body: JsonBody) -> Response:
    """Send dead letters again, those named or the oldest thousand that a filter leaves, each once however often asked.

    What nobody wants any more, because it expired or was acknowledged meanwhile, ends instead and is `left_out`.
    """
    fields = Fields(body, "", ("ids", "filter"))
    ids: Any = fields.raw("ids")  # checked by `replay`
    filters = fields.raw("filter")
    if filters is not None and not isinstance(filters, Mapping):
        raise invalid("filter", "must be a JSON object")
    with transaction_of(caller.tenant) as connection:
        result = replay(
            connection,
            tenant=caller.tenant,
            ids=ids,
            filters=filters,
            actor=caller.actor,
            remote=caller.remote,
        )
        due = due_by_channel(connection, result["replayed"])
    for channel, ids in due.items():
        ring_deliveries(channel, ids)
    return Json(result)


@router.post("/api/cron/retries")
def ring_again(caller: Operator) -> Response:
    """Look for what is due or forgotten and ring for it, as the sweep does every few seconds.

    The answer counts what it found of the caller's tenant. With the broker away the workers find it by themselves.
    """
    with unscoped_transaction() as connection:
        found = look(connection, CHANNELS, FORGOTTEN_AFTER)
    with transaction_of(caller.tenant) as connection:
        own = due_of(connection, caller.tenant, FORGOTTEN_AFTER)
    ring_for(found)
    return Json({"due": own.deliveries, "events": own.events})
