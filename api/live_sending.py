"""What is said to those who are connected and kept by nobody: system messages (E-10) and, for tests, direct frames."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from api.access import Admin, Caller
from api.answers import Json
from api.body import JsonBody, described
from api.errors import not_found
from api.examples import answered
from api.live_access import live_away
from api.live_frames import moment
from config.fields import Fields, check_text
from config.settings import settings
from domain.errors import InvalidInputError
from models.scope import transaction_of
from pipeline.audit import record
from pipeline.identifiers import check_uuid
from tasks.live import broadcast, show_directly

router = APIRouter(tags=["live"])

MOST_CHARACTERS: Final = 4_000
SENT: Final = {"message": "Notification sent to all connected users"}
BROADCAST: Final = {
    "message": "Maintenance tonight at 22:00 UTC.",
    "senderId": "key:0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01",
    "timestamp": "2026-11-20T09:00:00.000Z",
}
TEXT: Final = {"type": "string", "maxLength": MOST_CHARACTERS}
BROADCAST_BODY: Final = described(
    {"type": "object", "required": ["message"], "properties": {"message": TEXT}},
    examples={"maintenance": {"message": BROADCAST["message"]}},
)
DIRECT_FIELDS: Final = ("type", "event", "title", "content", "customer_id", "user_ids", "rec_type", "rec_id")
DIRECT_BODY: Final = described(
    {
        "type": "object",
        "required": ["type", "event", "title"],
        "properties": {
            **{name: {"type": "string"} for name in ("type", "event", "title", "content", "rec_type", "rec_id")},
            "customer_id": {"type": ["string", "null"], "format": "uuid"},
            "user_ids": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "description": "Null: everybody who is connected in the tenant.",
            },
        },
    },
    examples={"a chat message": {"type": "chat", "event": "chat_message", "title": "Hello", "user_ids": ["u1"]}},
)


@router.post("/v1/broadcasts", openapi_extra=BROADCAST_BODY, responses=answered(BROADCAST))
def send_broadcast(caller: Admin, body: JsonBody) -> Response:
    """Say something to everyone who is connected in the tenant. Nobody keeps it: who is not connected misses it."""
    fields = Fields(body, "", ("message",))
    message = _prose(fields.required("message"), "message")
    sent = {"message": message, "senderId": caller.actor, "timestamp": moment()}
    with transaction_of(caller.tenant) as connection:
        _record(connection, caller, message)
        if not broadcast(caller.tenant, message, caller.actor, sent["timestamp"]):
            raise live_away("Nobody was told: the servers cannot reach each other at the moment.")
    return Json(sent)


@router.post("/v1/notifications/sse", openapi_extra=DIRECT_BODY, responses=answered(SENT))
def send_directly(caller: Admin, body: JsonBody) -> Response:
    """Show a notification to connected users past the queue, for tests of clients only: it is not stored.

    There is no such address unless ENABLE_TEST_ENDPOINTS is on.
    """
    if not settings().enable_test_endpoints:
        raise not_found("address")
    fields = Fields(body, "", DIRECT_FIELDS)
    users = None if fields.raw("user_ids") is None else fields.texts("user_ids")
    if not show_directly(caller.tenant, users, _notification(fields)):
        raise live_away("Nobody was told: the servers cannot reach each other at the moment.")
    return Json(SENT)


def _record(connection: Connection, caller: Caller, message: str) -> None:
    """That something was said to everybody, and how much; not what."""
    record(
        connection,
        tenant=caller.tenant,
        actor=caller.actor,
        action="broadcast.send",
        subject="everyone",
        after={"characters": len(message)},
        remote=caller.remote,
    )


def _notification(fields: Fields) -> dict[str, Any]:
    """A notification like those of an inbox, as far as one that is not stored can be."""
    customer = fields.raw("customer_id")
    for name in ("rec_type", "rec_id"):
        fields.text(name, "")
    content = fields.raw("content")
    return {
        "id": str(uuid4()),
        "type": check_text(fields.required("type"), "type"),
        "event": check_text(fields.required("event"), "event"),
        "title": _prose(fields.required("title"), "title"),
        "content": "" if content in (None, "") else _prose(content, "content"),
        "link_url": None,
        "link_text": None,
        "priority": "normal",
        "severity": "low",
        "customer_id": None if customer is None else check_uuid(customer, "customer_id"),
        "read": False,
        "read_at": None,
        "status": "delivered",
        "reason": None,
        "ack_by_user_id": None,
        "ack_at": None,
        "ack_note": None,
        "created_at": moment(),
    }


def _prose(value: object, at: str) -> str:
    """Text of several lines. Raises InvalidInputError."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(at, "must be text that is not empty")
    if len(value) > MOST_CHARACTERS:
        raise InvalidInputError(at, f"must have at most {MOST_CHARACTERS} characters")
    for line in value.splitlines():
        if line.strip():
            check_text(line.strip().replace("\t", " "), at, length=MOST_CHARACTERS)
    return value
