"""Routes: which events, to whom, over which channels."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.access import Admin, Operator
from api.answers import Json, nothing
from api.body import JsonBody, described
from api.errors import not_found
from api.query import Page
from domain.vocabulary import CHANNELS, PRIORITIES, SEVERITIES
from models.scope import transaction_of
from pipeline.routes import delete_route, get_route, list_routes, put_route

router = APIRouter(tags=["routes"])

EXAMPLE: Final = {
    "match": {"event": "ssl_*", "severity": ["high", "critical"], "branch": "*"},
    "recipients": {"resolver": "role", "role": "operations"},
    "channels": ["email", "telegram", "webhook", "in_app"],
    "priority": "high",
    "plan": "simultaneous",
    "template": None,
}
BODY: Final = {
    "type": "object",
    "required": ["channels"],
    "properties": {
        "match": {
            "type": "object",
            "properties": {
                "event": {"type": "string", "description": "A pattern over event types: `ssl_*`."},
                "severity": {"type": "array", "items": {"enum": list(SEVERITIES)}, "description": "None: all."},
                "branch": {"type": "string"},
            },
        },
        "recipients": {
            "type": ["object", "array"],
            "description": "A resolver or several: user, role, customer, explicit, owner, payload, participants. None:"
            " the channels are added for whomever other routes tell.",
        },
        "channels": {"type": "array", "items": {"enum": list(CHANNELS)}},
        "priority": {"enum": list(PRIORITIES)},
        "plan": {"type": "string"},
        "template": {"type": ["string", "null"]},
        "when": {
            "type": ["object", "string", "null"],
            "description": "Channels that are used on a condition only: `unread` or `not delivered`, `for` a time.",
            "additionalProperties": {"type": "string"},
            "examples": [{"sms": "unread for 15m"}],
        },
        "sms_severity": {"enum": list(SEVERITIES), "description": "The least that is worth a text message: critical."},
    },
}


@router.get("/v1/routes")
def list_of_routes(caller: Operator, query: Annotated[Page, Query()]) -> Response:
    """The routes in force, shipped and own."""
    with transaction_of(caller.tenant) as connection:
        routes, following = list_routes(connection, tenant=caller.tenant, cursor=query.cursor, limit=query.limit)
    return Json({"routes": routes, "next_cursor": following})


@router.get("/v1/routes/{name}")
def one_route(caller: Operator, name: str) -> Response:
    """The route of that name which is in force."""
    with transaction_of(caller.tenant) as connection:
        route = get_route(connection, tenant=caller.tenant, name=name)
    if route is None:
        raise not_found("route")
    return Json(route)


@router.put("/v1/routes/{name}", openapi_extra=described(BODY, examples={"a route": EXAMPLE}))
def change_route(caller: Admin, name: str, body: JsonBody) -> Response:
    """Make a route of the tenant's own, or replace one; it counts from the next event on."""
    with transaction_of(caller.tenant) as connection:
        route = put_route(
            connection, tenant=caller.tenant, name=name, body=body, actor=caller.actor, remote=caller.remote
        )
    return Json(route)


@router.delete("/v1/routes/{name}", status_code=204)
def remove_route(caller: Admin, name: str) -> Response:
    """Remove a route of the tenant's own; a shipped one of the same name is in force again."""
    with transaction_of(caller.tenant) as connection:
        known = delete_route(connection, tenant=caller.tenant, name=name, actor=caller.actor, remote=caller.remote)
    if not known:
        raise not_found("route")
    return nothing()
