"""Push tokens: a user's own devices, and the key that browsers subscribe with."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.access import User
from api.answers import Json, nothing
from api.body import JsonBody, described
from api.errors import not_found
from api.examples import PUSH_TOKEN, answered, listed
from api.query import Page, uuid_in_path
from channels.push_web import public_key
from config.settings import settings
from models.scope import transaction_of
from pipeline.push_tokens import PLATFORMS, list_tokens, register, remove
from tasks.push_tokens import show_push_tokens

router = APIRouter(tags=["push tokens"])

PATH: Final = "/v1/users/me/push-tokens"
SUBSCRIPTION: Final = {
    "endpoint": "https://updates.push.services.mozilla.com/wpush/v2/example",
    "keys": {  # of RFC 8291, section 5
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}
EXAMPLES: Final = {
    "an iPhone": {"platform": "ios", "token": "0f" * 32, "device_id": "iPhone of Ana"},
    "a browser": {"platform": "web", "token": SUBSCRIPTION, "device_id": "Ana's browser"},
}
BODY: Final = described(
    {
        "type": "object",
        "required": ["platform", "token"],
        "properties": {
            "platform": {"enum": list(PLATFORMS)},
            "token": {
                "type": ["string", "object"],
                "description": "iOS: the device token in hexadecimal; Android: FCM's; web: the PushSubscription.",
            },
            "device_id": {"type": ["string", "null"], "description": "For people to tell their devices apart."},
        },
    },
    examples=EXAMPLES,
)


@router.get(PATH, responses=listed("push_tokens", PUSH_TOKEN))
def list_of_push_tokens(caller: User, query: Annotated[Page, Query()]) -> Response:
    """The caller's devices, the newest first, without their tokens."""
    with transaction_of(caller.tenant) as connection:
        tokens, following = list_tokens(
            connection, tenant=caller.tenant, user_id=caller.user_id or "", cursor=query.cursor, limit=query.limit
        )
    return Json({"push_tokens": tokens, "next_cursor": following})


@router.post(PATH, status_code=201, responses=answered(PUSH_TOKEN, 201), openapi_extra=BODY)
def register_push_token(caller: User, body: JsonBody) -> Response:
    """Register a device, again after each start of its app; a token that another user had is this user's now."""
    with transaction_of(caller.tenant) as connection:
        registered = register(
            connection,
            tenant=caller.tenant,
            user_id=caller.user_id or "",
            body=body,
            actor=caller.actor,
            remote=caller.remote,
        )
    for user_id in filter(None, (caller.user_id, registered.moved_from)):
        show_push_tokens(caller.tenant, user_id)
    return Json(registered.shown, 201)


@router.delete(PATH, status_code=204, openapi_extra=BODY)
def forget_push_token(caller: User, body: JsonBody) -> Response:
    """Forget a device, named by its token, as when its user signs out."""
    return _forget(caller, body=body)


@router.delete(f"{PATH}/{{token_id}}", status_code=204)
def forget_push_token_by_id(caller: User, token_id: str) -> Response:
    """Forget a device, named by its id: for clients whose DELETE takes no body."""
    return _forget(caller, token_id=uuid_in_path(token_id, "a push token"))


@router.get("/v1/push/vapid-key", responses=answered({"public_key": "BNcRd..."}), openapi_extra={"security": []})
def vapid_key() -> Response:
    """The public key that a page subscribes to Web Push with; no identity is needed.

    It is the `applicationServerKey` of `pushManager.subscribe`, and the installation's: a tenant with a VAPID key of
    its own publishes that itself.
    """
    found = public_key(settings())
    if found is None:
        raise not_found("key: Web Push is not set up")
    return Json({"public_key": found})


def _forget(caller: User, *, body: object = None, token_id: str | None = None) -> Response:
    with transaction_of(caller.tenant) as connection:
        known = remove(
            connection,
            tenant=caller.tenant,
            user_id=caller.user_id or "",
            token_id=token_id,
            body=body,
            actor=caller.actor,
            remote=caller.remote,
        )
    if not known:
        raise not_found("push token")
    show_push_tokens(caller.tenant, caller.user_id or "")
    return nothing()
