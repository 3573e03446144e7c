"""The user's own record: what people set for themselves. Addresses, roles and customers are the platform's to set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Response

from api.access import Caller, User
from api.answers import Json
from api.body import JsonBody, described
from api.errors import invalid
from api.examples import ME, answered
from api.people import BODY
from models.scope import transaction_of
from pipeline.users import get_user, put_user

router = APIRouter(tags=["users"])

PATH: Final = "/v1/users/me"
OWN: Final = ("locale", "time_zone", "quiet_hours", "digest")
SHOWN: Final = ("name", *OWN, "disabled_channels")
NEW: Final[Mapping[str, Any]] = {**dict.fromkeys(SHOWN), "disabled_channels": []}  # nobody has said anything of him yet

SCHEMA: Final = {"type": "object", "properties": {name: BODY["properties"][name] for name in OWN}}
EXAMPLE: Final = {
    "locale": "de",
    "time_zone": "Europe/Berlin",
    "quiet_hours": {"from": "22:00", "to": "07:00"},
    "digest": {"cron": "0 8 * * *"},
}


@router.get(PATH, responses=answered(ME))
def own_record(caller: User) -> Response:
    """What is known of the caller that is the caller's own to know.

    `disabled_channels` are switched off altogether, as after a complaint: preferences do not switch them on again.
    """
    with transaction_of(caller.tenant) as connection:
        user = get_user(connection, tenant=caller.tenant, user_id=caller.user_id or "")
    return Json(_shown(caller, user or NEW))


@router.patch(PATH, responses=answered(ME), openapi_extra=described(SCHEMA, examples={"a user": EXAMPLE}))
def change_own_record(caller: User, body: JsonBody) -> Response:
    """Change the fields that are named; null clears one. No others than these are the caller's to change.

    Messages come in the language of `locale`. In `quiet_hours` only what is critical or owed to the user is heard, by
    the clock of `time_zone`; the rest comes at their end, several as one message. `digest` says when what the
    preferences want in a digest is sent: a cron line, hourly, daily or weekly. It all counts for what is held already.
    """
    for name in body if isinstance(body, Mapping) else ():
        if name not in OWN:
            shown = name[:60] if name.isprintable() else "?"
            raise invalid(shown, f"is not the user's to change; these are: {', '.join(OWN)}")
    with transaction_of(caller.tenant) as connection:
        user = put_user(
            connection,
            tenant=caller.tenant,
            user_id=caller.user_id or "",
            body=body,
            actor=caller.actor,
            remote=caller.remote,
        )
    return Json(_shown(caller, user))


def _shown(caller: Caller, user: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": caller.user_id, **{name: user[name] for name in SHOWN}}
