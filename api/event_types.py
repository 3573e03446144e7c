"""Event types: what can happen, with the tenant's own beside the shipped ones (C-5)."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.access import Admin, Operator
from api.answers import Json, nothing
from api.body import JsonBody, described
from api.errors import not_found
from api.examples import answered, listed
from api.query import Page
from domain.vocabulary import SEVERITIES
from models.scope import transaction_of
from pipeline.own_event_types import delete_event_type, get_event_type, list_event_types, put_event_type

router = APIRouter(tags=["event types"])

EVENT_TYPE: Final = {
    "name": "backup.failed",
    "group": "backup",
    "severity": "high",
    "audience": ["admin"],
    "key": ["host"],
    "dedupe_window": 3600,
    "template": "default",
    "transactional": False,
    "secret": [],
    "title": "The backup of {host} failed",
    "sample": {"host": "db1.example.org", "message": "No space left on the device."},
    "own": True,
}
EXAMPLE: Final = {name: EVENT_TYPE[name] for name in ("group", "severity", "key", "dedupe_window", "title", "sample")}
TEXTS: Final = {"type": "array", "maxItems": 50, "items": {"type": "string"}}
BODY: Final = {
    "type": "object",
    "description": "`group` may be left out of a shipped type, like everything else.",
    "properties": {
        "group": {"type": "string", "description": "The heading in people's preferences; a new one may be named."},
        "severity": {"enum": list(SEVERITIES), "description": "Of events that name none: medium."},
        "audience": {"type": "array", "items": {"enum": ["customer", "admin"]}},
        "key": {**TEXTS, "description": "The fields of `data` that make the same issue; none: all of `data`."},
        "dedupe_window": {"type": "integer", "description": "Seconds in which the same issue is folded; 0: never."},
        "template": {"type": "string", "description": "A shipped template: the folder's name."},
        "transactional": {"type": "boolean", "description": "Owed to the recipient: preferences do not stop it."},
        "secret": {**TEXTS, "description": "Fields of `data` that only the email shows."},
        "title": {"type": "string", "description": "One sentence, with `{field}` for values of `data`."},
        "sample": {"type": ["object", "null"], "description": "The `data` of an example, for trying templates out."},
    },
}


@router.get("/v1/event-types", responses=listed("event_types", EVENT_TYPE))
def list_of_event_types(caller: Operator, query: Annotated[Page, Query()]) -> Response:
    """The event types in force, shipped and own. Events of other types are taken too, with defaults."""
    with transaction_of(caller.tenant) as connection:
        types, following = list_event_types(connection, tenant=caller.tenant, cursor=query.cursor, limit=query.limit)
    return Json({"event_types": types, "next_cursor": following})


@router.get("/v1/event-types/{type}", responses=answered(EVENT_TYPE))
def one_event_type(caller: Operator, type: str) -> Response:  # noqa: A002 - the contract's name for it
    """The event type of that name which is in force."""
    with transaction_of(caller.tenant) as connection:
        found = get_event_type(connection, tenant=caller.tenant, name=type)
    if found is None:
        raise not_found("event type")
    return Json(found)


@router.put(
    "/v1/event-types/{type}",
    responses=answered(EVENT_TYPE),
    openapi_extra=described(BODY, examples={"an event type": EXAMPLE}),
)
def change_event_type(caller: Admin, type: str, body: JsonBody) -> Response:  # noqa: A002
    """Make an event type of the tenant's own, or replace one, shipped or not; it counts from the next event on.

    Of a shipped type, what the body leaves out is as shipped; of any other it has the defaults.
    """
    with transaction_of(caller.tenant) as connection:
        stored = put_event_type(
            connection, tenant=caller.tenant, name=type, body=body, actor=caller.actor, remote=caller.remote
        )
    return Json(stored)


@router.delete("/v1/event-types/{type}", status_code=204)
def remove_event_type(caller: Admin, type: str) -> Response:  # noqa: A002
    """Remove an event type of the tenant's own; the shipped one of that name, or the defaults, are in force again."""
    with transaction_of(caller.tenant) as connection:
        known = delete_event_type(connection, tenant=caller.tenant, name=type, actor=caller.actor, remote=caller.remote)
    if not known:
        raise not_found("event type")
    return nothing()
