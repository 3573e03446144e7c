"""Suppressions: the addresses that are told no more, for the operator to look into, add to and lift."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from api.access import Admin, Operator
from api.answers import Json, nothing
from api.body import JsonBody, OptionalJsonBody, described
from api.errors import invalid, not_found
from api.examples import SUPPRESSION, answered, listed
from api.query import Optional, Page
from models.scope import transaction_of
from pipeline.suppressions import CONTACTS, LONGEST_NOTE, add_suppression, lift, list_suppressions

router = APIRouter(tags=["suppressions"])

PROPERTIES: Final = {
    "channel": {"enum": list(CONTACTS)},
    "address": {"type": "string", "description": "As a user's on that channel: an email address, a phone number ..."},
    "event": {"type": ["string", "null"], "description": "One type of event; null: all of them."},
}
NOTE: Final = {"type": ["string", "null"], "maxLength": LONGEST_NOTE, "description": "Why; kept in the audit."}
NAMED: Final = {"type": "object", "required": ["channel", "address"], "properties": PROPERTIES}
EXAMPLE: Final = {"channel": "email", "address": "Ana@example.org", "event": None}


class SuppressionFilters(Page):
    """Which suppressions are listed."""

    channel: Optional = None
    address: Optional = None
    reason: Optional = None


class Named(BaseModel):
    """One suppression, in the query."""

    model_config = ConfigDict(extra="forbid")

    channel: Optional = None
    address: Optional = None
    event: Optional = None


@router.get("/v1/suppressions", responses=listed("suppressions", SUPPRESSION))
def list_of_suppressions(caller: Operator, query: Annotated[SuppressionFilters, Query()]) -> Response:
    """Addresses that are told no more, in their order, each with the reason and where that came from.

    An address is found in any spelling: ``Ana@example.org``, ``030 123456`` with its country code.
    """
    with transaction_of(caller.tenant) as connection:
        found, following = list_suppressions(
            connection, tenant=caller.tenant, filters=query.filters(), cursor=query.cursor, limit=query.limit
        )
    return Json({"suppressions": found, "next_cursor": following})


@router.post(
    "/v1/suppressions",
    responses=answered(SUPPRESSION),
    openapi_extra=described(
        {**NAMED, "properties": {**PROPERTIES, "note": NOTE}},
        examples={"by hand": {**EXAMPLE, "note": "Asked by phone."}},
    ),
)
def add_to_suppressions(caller: Operator, body: JsonBody) -> Response:
    """Suppress an address by hand; it counts from the next message on, those that wait included.

    The answer says why the address is on the list, which may be for a stronger reason than this.
    """
    with transaction_of(caller.tenant) as connection:
        added = add_suppression(connection, tenant=caller.tenant, body=body, actor=caller.actor, remote=caller.remote)
    return Json(added)


@router.delete(
    "/v1/suppressions",
    status_code=204,
    openapi_extra=described(NAMED, required=False, examples={"one of them": EXAMPLE}),
)
def lift_suppression(caller: Admin, query: Annotated[Named, Query()], body: OptionalJsonBody) -> Response:
    """Lift a suppression, named in the body or in the query: the one of an event type, or the one of all events."""
    given = query.model_dump(exclude_none=True)
    if body is not None and given:
        raise invalid("", "must be left out when the query says which")
    named: Any = given if body is None else body
    with transaction_of(caller.tenant) as connection:
        known = lift(connection, tenant=caller.tenant, body=named, actor=caller.actor, remote=caller.remote)
    if not known:
        raise not_found("suppression")
    return nothing()
