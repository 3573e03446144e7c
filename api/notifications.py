"""Notifications: a user's inbox, and that a person takes an issue so that the rest of it stops."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BeforeValidator, Field
from sqlalchemy import Connection

from api.access import Caller, User, UserOrOperator
from api.answers import Json, nothing
from api.body import OptionalJsonBody, described
from api.errors import failing_as, invalid, not_found
from api.examples import INBOX, SHOWN, answered
from api.query import Optional, Page, uuid_in_path
from config.fields import Fields
from models.scope import transaction_of
from pipeline.acknowledge import MOST_NOTE, acknowledge
from pipeline.inbox_changes import MOST_MARKED, delete_notification, mark_all_read, mark_read
from pipeline.inbox_reading import (
    MOST_OFFSET,
    Reader,
    latest,
    list_notifications,
    mark_delivered,
    read_notification,
    unread,
)
from tasks.live import show_acknowledged, show_unread

router = APIRouter(tags=["notifications"])

PATH: Final = "/v1/notifications"
INVALID_ID: Final = "notifications_m.invalid_id"
NOT_FOUND: Final = "notifications_m.not_found"
NOT_FETCHED: Final = ("notifications_m.failed_to_fetch_notifications", "The notifications could not be read.")
NOT_MARKED: Final = ("notifications_m.failed_to_mark_as_read", "What was read could not be stored; please try again.")
NOT_DELETED: Final = ("notifications_m.failed_to_delete", "The notification could not be deleted.")

READ: Final = described(
    {
        "type": "object",
        "properties": {"read": {"type": "boolean", "default": True}},
        "additionalProperties": False,
    },
    required=False,
    examples={"read": {"read": True}, "unread again": {"read": False}},
)
ALL: Final = described(
    {
        "type": "object",
        "properties": {
            "customer_id": {
                "type": ["string", "null"],
                "format": "uuid",
                "description": "What is about this customer only; otherwise everything.",
            }
        },
        "additionalProperties": False,
    },
    required=False,
    examples={
        "everything": {},
        "what is about one customer": {"customer_id": "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"},
    },
)
NOTE: Final = described(
    {"type": "object", "properties": {"note": {"type": ["string", "null"], "maxLength": MOST_NOTE}}},
    required=False,
    examples={"with a note": {"note": "Certificate renewed."}},
)


class InboxPage(Page):
    """Which page of the inbox, by `offset` or by `cursor`."""

    offset: Annotated[
        int,
        Field(ge=0, le=MOST_OFFSET, description="Notifications to leave out; beyond the limit, `cursor` leads on."),
    ] = 0
    status: Annotated[Literal["read", "unread", "all"], BeforeValidator(lambda value: value or "all")] = "all"
    customer_id: Annotated[
        Optional, Field(description="A UUID. Without it: all customers of the token, and what is about none.")
    ] = None


@router.get(PATH, responses=answered(INBOX))
def inbox(caller: User, query: Annotated[InboxPage, Query()]) -> Response:
    """The caller's inbox, the newest first.

    `total` counts what was asked for, `unread` what is unread of the same customers, whatever `status` says. Both are
    exact up to ten thousand; an inbox with more is read by `next_cursor`. With `status=read` a page may be short, or
    empty, and have a `next_cursor` all the same.

    What is about a customer is there for tokens that name this customer, and for no others.
    """
    with failing_as(*NOT_FETCHED), transaction_of(caller.tenant) as connection:
        page = list_notifications(
            connection,
            _reader(caller),
            status=query.status,
            customer_id=query.customer_id,
            cursor=query.cursor,
            limit=query.limit,
            offset=query.offset,
        )
        _arrived(connection, caller, [one["id"] for one in page["notifications"]])
    return Json(page)


@router.get(f"{PATH}/{{notification_id}}", responses=answered(SHOWN))
def one_notification(caller: User, notification_id: str) -> Response:
    """One notification of the caller's, also one that came by email or push alone."""
    identity = uuid_in_path(notification_id, "a notification", INVALID_ID)
    with failing_as(*NOT_FETCHED), transaction_of(caller.tenant) as connection:
        found = read_notification(connection, _reader(caller), identity)
        if found is not None:
            _arrived(connection, caller, [identity])
    if found is None:
        raise not_found("notification", NOT_FOUND)
    return Json(found)


@router.patch(f"{PATH}/{{notification_id}}/read", responses=answered(SHOWN), openapi_extra=READ)
def mark_notification(caller: User, notification_id: str, body: OptionalJsonBody) -> Response:
    """Mark a notification read, or unread again; without a body: read.

    Marking it again changes nothing, not even the time it was read at. It touches nothing else: messages that are still
    to be sent are sent.
    """
    identity = uuid_in_path(notification_id, "a notification", INVALID_ID)
    read = _read(body)
    with failing_as(*NOT_MARKED):
        with transaction_of(caller.tenant) as connection:
            marked = mark_read(connection, _reader(caller), identity, read=read)
        if marked is None:
            raise not_found("notification", NOT_FOUND)
        if marked.changed:
            _show_unread(caller)
    return Json(marked.notification)


@router.post(f"{PATH}/read-all", responses=answered({"updated": 3}), openapi_extra=ALL)
def mark_everything(caller: User, body: OptionalJsonBody) -> Response:
    """Mark the whole inbox read, or what is about one customer; `updated` is how many were unread.

    What arrives meanwhile stays unread.
    """
    customer: Any = None if body is None else Fields(body, "", ("customer_id",)).raw("customer_id")
    reader, updated = _reader(caller), 0
    with failing_as(*NOT_MARKED):
        with transaction_of(caller.tenant) as connection:
            upto = latest(connection, tenant=reader.tenant, user_id=reader.user_id)
        marked = MOST_MARKED
        while marked == MOST_MARKED:
            with transaction_of(caller.tenant) as connection:
                marked = mark_all_read(connection, reader, upto=upto, customer_id=customer)
            updated += marked
        if updated:
            _show_unread(caller)
    return Json({"updated": updated})


@router.delete(f"{PATH}/{{notification_id}}", status_code=204)
def remove_notification(caller: User, notification_id: str) -> Response:
    """Delete a notification from the caller's inbox; deleting it again answers the same.

    It is gone from lists and streams. Messages that are still to be sent are sent, and the ledger keeps what was.
    """
    identity = uuid_in_path(notification_id, "a notification", INVALID_ID)
    with failing_as(*NOT_DELETED):
        with transaction_of(caller.tenant) as connection:
            deleted = delete_notification(connection, _reader(caller), identity)
        if deleted is None:
            raise not_found("notification", NOT_FOUND)
        if deleted:
            _show_unread(caller)
    return nothing()


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
    operator = caller.may("operator")
    with transaction_of(caller.tenant) as connection:
        if not operator and read_notification(connection, _reader(caller), identity) is None:
            raise not_found("notification", NOT_FOUND)
        taken = acknowledge(
            connection,
            tenant=caller.tenant,
            notification_id=identity,
            by_user_id=caller.user_id or caller.actor,
            everyone=True if operator else None,
            note=note,
            actor=caller.actor,
            remote=caller.remote,
        )
    if taken is None:
        raise not_found("notification", NOT_FOUND)
    show_acknowledged(caller.tenant, taken)
    if caller.user_id is not None:
        _show_unread(caller)  # who takes it has read it
    return taken.notification


def _reader(caller: Caller) -> Reader:
    assert caller.user_id is not None  # only users get here
    return Reader(caller.tenant, caller.user_id, caller.customers, caller.actor, caller.remote)


def _read(body: Any) -> bool:
    fields = Fields({} if body is None else body, "", ("read",))
    if body and fields.raw("read") is None:
        raise invalid("read", "must be true or false")
    return fields.flag("read", True)


def _arrived(connection: Connection, caller: Caller, ids: list[str]) -> None:
    mark_delivered(connection, tenant=caller.tenant, user_id=caller.user_id or "", ids=ids)


def _show_unread(caller: Caller) -> None:
    """Counted after the commit, so that of two changes at once the later count has both."""
    reader = _reader(caller)
    with transaction_of(caller.tenant) as connection:
        count = unread(connection, tenant=reader.tenant, user_id=reader.user_id)
    show_unread(reader.tenant, reader.user_id, count)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found.group(1).upper(), name)
