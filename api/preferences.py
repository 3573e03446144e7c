"""Preferences: which channels tell a user of which events. The user's own, and nobody else's."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from api.access import Caller, User
from api.answers import Json
from api.body import JsonBody, described
from api.errors import Problem, failing_as, invalid, not_found
from api.examples import PREFERENCES, answered
from domain.hold import HOLDABLE
from domain.vocabulary import CHANNEL_ALIASES, CHANNELS
from models.scope import transaction_of
from pipeline.preference_changes import CADENCES, MOST_ENTRIES, About, InvalidPreferenceError
from pipeline.preferences import get_preferences, put_preferences

router = APIRouter(tags=["preferences"])

PATH: Final = "/v1/notifications/preferences"
NOT_FETCHED: Final = ("notifications_m.failed_to_fetch_preferences", "The preferences could not be read.")
NOT_UPDATED: Final = ("notifications_m.failed_to_update_preferences", "Nothing was changed.")
CODES: Final[dict[About, str]] = {
    "group": "notifications_m.invalid_group",
    "event": "notifications_m.invalid_event",
    "channel": "notifications_m.invalid_channel",
    "locked": "bellwire.preference_locked",
}

SWITCH: Final = {"type": ["boolean", "null"], "description": "null: as the less specific entry says."}
CADENCE: Final = {
    "enum": [*CADENCES, None],
    "description": "How often: at once, at every full hour, with each digest, with the first digest of a week."
    " null: as the less specific entry says.",
}
CADENCES_BY_CHANNEL: Final = {
    "type": "object",
    "properties": dict.fromkeys(HOLDABLE, CADENCE),
    "additionalProperties": False,
    "description": "How often on one channel, where it differs from `cadence`.",
}
ENTRY: Final = {
    "type": "object",
    "required": ["group"],
    "properties": {
        "group": {"type": "string", "description": "A group of the catalogue."},
        "event": {"type": ["string", "null"], "description": "One event type of the group; null: all of them."},
        "customer_id": {
            "type": ["string", "null"],
            "format": "uuid",
            "description": "One of the token's customers; null: whoever the event is about.",
        },
        "channels": {
            "type": "object",
            "properties": dict.fromkeys((*CHANNELS, *CHANNEL_ALIASES), SWITCH),
            "additionalProperties": False,
        },
        "cadence": CADENCE,
        "cadences": CADENCES_BY_CHANNEL,
    },
}
BODY: Final = described(
    {
        "type": "object",
        "required": ["preferences"],
        "properties": {"preferences": {"type": "array", "items": ENTRY, "maxItems": MOST_ENTRIES}},
    },
    examples={
        "no emails about billing": {"preferences": [{"group": "billing", "channels": {"email": False}}]},
        "but for one event type": {
            "preferences": [{"group": "billing", "event": "billing.payment-failed", "channels": {"email": True}}]
        },
        "billing once a day, but by Telegram at once": {
            "preferences": [{"group": "billing", "cadence": "daily", "cadences": {"telegram": "instant"}}]
        },
        "as the group says again": {
            "preferences": [{"group": "billing", "event": "billing.payment-failed", "channels": {"email": None}}]
        },
    },
)


@router.get(PATH, responses=answered({"preferences": PREFERENCES}))
def preferences(caller: User) -> Response:
    """What the caller wants: an entry a group, all channels on at first, and one for whatever was said beyond that.

    The most specific entry that names a channel decides: one event type before its group, one customer before all.
    `locked` names the event types of an entry that are sent whatever it says.
    """
    with failing_as(*NOT_FETCHED), transaction_of(caller.tenant) as connection:
        found = get_preferences(connection, **_whose(caller))
    return Json({"preferences": found})


@router.put(PATH, responses=answered({"preferences": PREFERENCES}), openapi_extra=BODY)
def change_preferences(caller: User, body: JsonBody) -> Response:
    """Change the entries that are named, all or none; what they do not name stays. Answers all of them.

    It counts from now on, also for what waits to be sent already or is held for a digest. An entry as the answer shows
    it can be sent back.
    """
    try:
        with failing_as(*NOT_UPDATED), transaction_of(caller.tenant) as connection:
            stored = put_preferences(connection, body=body, **_whose(caller))
    except InvalidPreferenceError as error:
        raise _problem(error) from None
    return Json({"preferences": stored})


def _whose(caller: Caller) -> dict[str, Any]:
    return {
        "tenant": caller.tenant,
        "user_id": caller.user_id,
        "customers": caller.customers,
        "actor": caller.actor,
        "remote": caller.remote,
    }


def _problem(error: InvalidPreferenceError) -> Problem:
    """A customer of others is not found, like everything of theirs; all else is the request's mistake."""
    if error.about == "customer":
        problem = not_found("customer")
        problem.more["field"] = error.field
        return problem
    return invalid(error.field, error.problem, CODES[error.about])
