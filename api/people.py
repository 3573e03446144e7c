"""Users: how a tenant says who can be told, and where."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from api.access import Admin, Operator, Publisher
from api.answers import Json, nothing
from api.body import JsonBody, described
from api.errors import invalid, not_found
from api.examples import USER, answered, listed
from api.query import Page, UserId
from models.scope import transaction_of
from pipeline.users import delete_user, get_user, list_users, put_user
from tasks.push_tokens import show_push_tokens

router = APIRouter(tags=["users"])

ME: Final = "me"  # /v1/users/me is whoever asks

EXAMPLE: Final = {
    "email": "ana@example.org",
    "phone": "+4930123456",
    "telegram_chat_id": "123456789",
    "whatsapp": "+4930123456",
    "locale": "de",
    "time_zone": "Europe/Berlin",
    "roles": ["operations"],
    "customers": ["0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"],
    "quiet_hours": {"from": "22:00", "to": "07:00"},
    "digest": {"cron": "0 8 * * *"},
    "disabled_channels": ["sms"],
}
TEXT: Final = {"type": ["string", "null"]}
LIST: Final = {"type": "array", "items": {"type": "string"}}
BODY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "email": TEXT,
        "phone": {**TEXT, "description": "For text messages, with its country code."},
        "telegram_chat_id": {**TEXT, "description": "A chat's number, or the @name of a public channel."},
        "whatsapp": {**TEXT, "description": "A telephone number."},
        "apprise": {**TEXT, "description": "The address of one of Apprise's services; stored encrypted, shown masked."},
        "locale": TEXT,
        "time_zone": TEXT,
        "quiet_hours": {"type": ["object", "null"], "properties": {"from": TEXT, "to": TEXT}},
        "digest": {
            "type": ["object", "null"],
            "properties": {"cron": {**TEXT, "description": "A cron line, hourly, daily or weekly."}},
        },
        "disabled_channels": LIST,
        "roles": {**LIST, "description": "Routes name them."},
        "customers": {**LIST, "description": "UUIDs of the customers that this user belongs to."},
    },
}


@router.get("/v1/users", responses=listed("users", USER))
def list_of_users(caller: Operator, query: Annotated[Page, Query()]) -> Response:
    """Users in the order of their ids."""
    with transaction_of(caller.tenant) as connection:
        users, following = list_users(connection, tenant=caller.tenant, cursor=query.cursor, limit=query.limit)
    return Json({"users": users, "next_cursor": following})


@router.put(
    "/v1/users/{user_id:path}",
    responses=answered(USER),
    openapi_extra=described(BODY, examples={"a user": EXAMPLE}),
)
def change_user(caller: Publisher, user_id: UserId, body: JsonBody) -> Response:
    """Make a user, or change the fields that are named; null clears one."""
    if user_id == ME:
        raise invalid("user_id", f"must not be {ME}, which stands for whoever asks")
    with transaction_of(caller.tenant) as connection:
        user = put_user(
            connection, tenant=caller.tenant, user_id=user_id, body=body, actor=caller.actor, remote=caller.remote
        )
    return Json(user)


@router.get("/v1/users/{user_id:path}", responses=answered(USER))
def one_user(caller: Publisher, user_id: UserId) -> Response:
    """A user."""
    with transaction_of(caller.tenant) as connection:
        user = get_user(connection, tenant=caller.tenant, user_id=user_id)
    if user is None:
        raise not_found("user")
    return Json(user)


@router.delete("/v1/users/{user_id:path}", status_code=204)
def erase_user(caller: Admin, user_id: UserId) -> Response:
    """Erase a user: addresses, preferences, webhooks and the words of what they were told; withdraw what waits."""
    with transaction_of(caller.tenant) as connection:
        known = delete_user(connection, tenant=caller.tenant, user_id=user_id, actor=caller.actor, remote=caller.remote)
    if not known:
        raise not_found("user")
    show_push_tokens(caller.tenant, user_id)
    return nothing()
