"""Webhooks: with an admin key the tenant's, with a user's token that user's own."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.access import UserOrAdmin
from api.answers import Json, nothing
from api.body import JsonBody, described
from api.errors import not_found
from api.examples import WEBHOOK, WITH_SECRET, answered, listed
from api.query import Page
from models.scope import transaction_of
from pipeline.webhooks import delete_webhook, get_webhook, list_webhooks, put_webhook, rotate_webhook

router = APIRouter(tags=["webhooks"])

EXAMPLE: Final = {
    "url": "https://your-host.example.com/bellwire",
    "events": ["billing.*"],
    "headers": {"X-Team": "ops"},
}


@router.get("/v1/webhooks", responses=listed("webhooks", WEBHOOK))
def list_of_webhooks(caller: UserOrAdmin, query: Annotated[Page, Query()]) -> Response:
    """The caller's webhooks, without their secrets."""
    with transaction_of(caller.tenant) as connection:
        webhooks, following = list_webhooks(
            connection, tenant=caller.tenant, user_id=caller.user_id, cursor=query.cursor, limit=query.limit
        )
    return Json({"webhooks": webhooks, "next_cursor": following})


@router.get("/v1/webhooks/{name}", responses=answered(WEBHOOK))
def one_webhook(caller: UserOrAdmin, name: str) -> Response:
    """A webhook without its secret."""
    with transaction_of(caller.tenant) as connection:
        webhook = get_webhook(connection, tenant=caller.tenant, user_id=caller.user_id, name=name)
    if webhook is None:
        raise not_found("webhook")
    return Json(webhook)


@router.put(
    "/v1/webhooks/{name}",
    responses=answered(WITH_SECRET),
    openapi_extra=described({"type": "object"}, examples={"a webhook": EXAMPLE}),
)
def change_webhook(caller: UserOrAdmin, name: str, body: JsonBody) -> Response:
    """Register an endpoint, or change it. The secret is answered when it is made and never again."""
    with transaction_of(caller.tenant) as connection:
        webhook = put_webhook(
            connection,
            tenant=caller.tenant,
            user_id=caller.user_id,
            name=name,
            body=body,
            actor=caller.actor,
            remote=caller.remote,
        )
    return Json(webhook)


@router.delete("/v1/webhooks/{name}", status_code=204)
def remove_webhook(caller: UserOrAdmin, name: str) -> Response:
    """Remove an endpoint; what waits for it is not sent."""
    with transaction_of(caller.tenant) as connection:
        known = delete_webhook(
            connection,
            tenant=caller.tenant,
            user_id=caller.user_id,
            name=name,
            actor=caller.actor,
            remote=caller.remote,
        )
    if not known:
        raise not_found("webhook")
    return nothing()


@router.post("/v1/webhooks/{name}/rotate", responses=answered(WITH_SECRET))
def renew_secret(caller: UserOrAdmin, name: str) -> Response:
    """Make a new secret and answer it; for 24 hours messages are signed with the old one too."""
    with transaction_of(caller.tenant) as connection:
        webhook = rotate_webhook(
            connection,
            tenant=caller.tenant,
            user_id=caller.user_id,
            name=name,
            actor=caller.actor,
            remote=caller.remote,
        )
    if webhook is None:
        raise not_found("webhook")
    return Json(webhook)
