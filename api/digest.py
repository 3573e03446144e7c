"""Digests: what a tenant has for users who do not say when and how often they want to be told."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from api.access import Admin, Operator
from api.answers import Json
from api.body import JsonBody, described
from api.examples import answered
from api.preferences import CADENCE, CADENCES_BY_CHANNEL
from models.scope import transaction_of
from pipeline.digest_defaults import get_digest, put_digest

router = APIRouter(tags=["digests"])

PATH: Final = "/v1/digest"
DIGEST: Final[dict[str, Any]] = {
    "cron": "0 8 * * 1-5",
    "time_zone": "Europe/Berlin",
    "cadences": [{"group": "obligations", "event": None, "cadence": "daily", "cadences": {"telegram": "instant"}}],
}
BODY: Final = {
    "type": "object",
    "properties": {
        "cron": {
            "type": ["string", "null"],
            "description": "When digests are sent: a cron line, hourly, daily or weekly. None: every day at eight.",
        },
        "time_zone": {"type": ["string", "null"], "description": "Of users who have none themselves. None: UTC."},
        "cadences": {
            "type": ["array", "null"],
            "description": "How often, where a user's preferences do not say it; replaces the list as a whole.",
            "items": {
                "type": "object",
                "required": ["group"],
                "properties": {
                    "group": {"type": "string"},
                    "event": {"type": ["string", "null"], "description": "None: the whole group."},
                    "cadence": CADENCE,
                    "cadences": CADENCES_BY_CHANNEL,
                },
            },
        },
    },
}


@router.get(PATH, responses=answered(DIGEST))
def digest(caller: Operator) -> Response:
    """What holds for users who say nothing themselves."""
    with transaction_of(caller.tenant) as connection:
        found = get_digest(connection, tenant=caller.tenant)
    return Json(found)


@router.put(PATH, responses=answered(DIGEST), openapi_extra=described(BODY, examples={"every working day": DIGEST}))
def change_digest(caller: Admin, body: JsonBody) -> Response:
    """Say what holds for users who say nothing themselves. It counts for what is published from now on.

    What the body does not name stays; null clears a field.
    """
    with transaction_of(caller.tenant) as connection:
        stored = put_digest(connection, tenant=caller.tenant, body=body, actor=caller.actor, remote=caller.remote)
    return Json(stored)
