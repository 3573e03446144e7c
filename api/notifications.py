"""Notifications: a person takes an issue, so that the rest of it stops."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import APIRouter, Response

from api.access import Caller, UserOrOperator
from api.answers import Json
from api.body import OptionalJsonBody, described
from api.errors import not_found
from api.query import uuid_in_path
from config.fields import Fields
from models.engine import transaction
from pipeline.acknowledge import MOST_NOTE, acknowledge

router = APIRouter(tags=["notifications"])

INVALID_ID: Final = "notifications_m.invalid_id"
NOT_FOUND: Final = "notifications_m.not_found"

NOTE: Final = described(
    {"type": "object", "properties": {"note": {"type": ["string", "null"], "maxLength": MOST_NOTE}}},
    required=False,
    examples={"with a note": {"note": "Certificate renewed."}},
)


@router.post("/v1/notifications/{notification_id}/acknowledge", openapi_extra=NOTE)
def acknowledge_notification(caller: UserOrOperator, notification_id: str, body: OptionalJsonBody) -> Response:
    """Take the issue: what was not sent of it is withdrawn, and the same issue stays silent until it is resolved.

    A user whom the event told as a customer silences it for himself; an admin or an operator for everyone.
    """
    return Json(_acknowledged(caller, notification_id, body))


@router.post("/api/notifications/{notification_id}/acknowledge", openapi_extra=NOTE)
def acknowledge_in_camel_case(caller: UserOrOperator, notification_id: str, body: OptionalJsonBody) -> Response:
    """Take the issue, with an answer in the form of the platform's clients: ``ackByUserId, ackAt, ackNote``."""
    return Json({_camel(name): value for name, value in _acknowledged(caller, notification_id, body).items()})


def _acknowledged(caller: Caller, notification_id: str, body: Any) -> dict[str, Any]:
    identity = uuid_in_path(notification_id, "a notification", INVALID_ID)
    note: Any = None if body is None else Fields(body, "", ("note",)).raw("note")  # checked by `acknowledge`
    with transaction() as connection:
        taken = acknowledge(
            connection,
            tenant=caller.tenant,
            notification_id=identity,
            by_user_id=caller.user_id or caller.actor,
            everyone=True if caller.may("operator") else None,
            note=note,
            actor=caller.actor,
            remote=caller.remote,
        )
    if taken is None:
        raise not_found("notification", NOT_FOUND)
    return taken


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found.group(1).upper(), name)
