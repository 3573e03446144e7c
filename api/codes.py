"""Which errors each call answers, by the code that programs decide by; the description shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

# Status and what it means, in words for whoever writes a client. The eleven of `notifications_m` are as the document of
# the inbox names them.
CODES: Final[Mapping[str, tuple[int, str]]] = {
    "notifications_m.invalid_user_id": (401, "Invalid or missing authenticated user ID: a user's token is needed."),
    "notifications_m.invalid_id": (400, "Invalid notification ID: it is no UUID."),
    "notifications_m.not_found": (404, "Notification not found, or not the caller's."),
    "notifications_m.failed_to_mark_as_read": (500, "What was read could not be stored; the call may be repeated."),
    "notifications_m.failed_to_delete": (500, "The notification could not be deleted; the call may be repeated."),
    "notifications_m.invalid_group": (400, "The catalogue has no such group."),
    "notifications_m.invalid_channel": (400, "There is no such channel."),
    "notifications_m.invalid_event": (400, "The catalogue has no such event type in this group."),
    "notifications_m.failed_to_fetch_notifications": (500, "The notifications could not be read."),
    "notifications_m.failed_to_fetch_preferences": (500, "The preferences could not be read."),
    "notifications_m.failed_to_update_preferences": (500, "The preferences could not be stored; nothing was changed."),
    "bellwire.unauthenticated": (401, "No API key or token, or one that is not valid, has expired or was revoked."),
    "bellwire.role_too_low": (403, "Whoever asks is known, but may not do this."),
    "bellwire.invalid_id": (400, "The id is no UUID."),
    "bellwire.invalid_input": (400, "The field that `field` names is wrong, as `detail` says."),
    "bellwire.not_found": (404, "There is no such thing, or it is another's."),
    "bellwire.too_large": (413, "The body is too large, or has more in it than may come at once."),
    "bellwire.database_away": (503, "The database does not answer; `Retry-After` says when to send the request again."),
    "bellwire.rate_limited": (429, "More than may come in a minute; `Retry-After` says when to send it again."),
    "bellwire.invalid_idempotency_key": (400, "The Idempotency-Key is empty, too long or not printable."),
    "bellwire.idempotency_key_reused": (409, "The Idempotency-Key came with another body before."),
    "bellwire.preference_locked": (400, "This event type cannot be switched off."),
    "bellwire.too_many_connections": (429, "The user has as many open streams as one may have."),
    "bellwire.restarting": (503, "This server stops; another one takes the stream."),
    "bellwire.live_away": (503, "The servers cannot reach each other at the moment."),
    "bellwire.not_ready": (503, "Something that Bellwire needs is down; `detail` says what."),
    "bellwire.method_not_allowed": (405, "This provider is not asked in this way."),
    "bellwire.invalid_request": (400, "What was sent is not as the provider sends it."),
}

# What does not follow from the form of an address.
FURTHER: Final[Mapping[str, tuple[str, ...]]] = {
    "GET /v1/notifications": ("notifications_m.failed_to_fetch_notifications",),
    "GET /v1/notifications/{notification_id}": ("notifications_m.failed_to_fetch_notifications",),
    "PATCH /v1/notifications/{notification_id}/read": ("notifications_m.failed_to_mark_as_read",),
    "POST /v1/notifications/read-all": ("notifications_m.failed_to_mark_as_read",),
    "DELETE /v1/notifications/{notification_id}": ("notifications_m.failed_to_delete",),
    "GET /v1/notifications/preferences": ("notifications_m.failed_to_fetch_preferences",),
    "PUT /v1/notifications/preferences": (
        "notifications_m.invalid_group",
        "notifications_m.invalid_channel",
        "notifications_m.invalid_event",
        "bellwire.preference_locked",
        "bellwire.not_found",
        "notifications_m.failed_to_update_preferences",
    ),
    "GET /v1/notifications/sse": ("bellwire.too_many_connections", "bellwire.restarting"),
    "POST /v1/notifications/sse": ("bellwire.not_found", "bellwire.live_away"),
    "POST /v1/notifications/ticket": ("bellwire.live_away",),
    "POST /v1/notifications/trigger": ("bellwire.not_found", "bellwire.rate_limited"),
    "POST /v1/broadcasts": ("bellwire.live_away",),
    "POST /v1/events": (
        "bellwire.invalid_idempotency_key",
        "bellwire.idempotency_key_reused",
        "bellwire.rate_limited",
    ),
    "DELETE /v1/suppressions": ("bellwire.not_found",),
    "DELETE /v1/users/me/push-tokens": ("bellwire.not_found",),
    "POST /v1/receipts/{provider}": ("bellwire.unauthenticated", "bellwire.invalid_request"),
    "GET /v1/receipts/{provider}": ("bellwire.unauthenticated", "bellwire.method_not_allowed"),
    "GET /v1/push/vapid-key": ("bellwire.not_found",),
    "GET /health/ready": ("bellwire.not_ready",),
}

# Where users' tokens come, and whoever is nobody gets the code that their clients know.
OF_USERS: Final = re.compile(r"(?:/v1/notifications|/v1/users/me|/v1/webhooks|/api/notifications)(?:/|$)")
OF_ADMINS: Final = ("POST /v1/notifications/sse", "POST /v1/notifications/trigger")
NOT_REFUSED: Final = ("GET /v1/notifications/sse",)  # a key that comes here is nobody, which is 401


def problems(method: str, path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    """The answers that are errors, by status, with an example by code: for ``responses`` of an operation."""
    found: dict[str, Any] = {}
    for code in dict.fromkeys(_codes(f"{method.upper()} {path}", path, operation)):
        status, words = CODES[code]
        examples = found.setdefault(str(status), {})
        examples[code] = {"summary": words, "value": _example(code, status, words)}
    return {status: _answer(examples) for status, examples in sorted(found.items())}


def _codes(address: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    known = operation.get("security") is None  # the document's own: a key or a token
    if known:
        of_users = OF_USERS.match(path) and address not in OF_ADMINS
        yield "notifications_m.invalid_user_id" if of_users else "bellwire.unauthenticated"
        if address not in NOT_REFUSED:
            yield "bellwire.role_too_low"
        yield "bellwire.database_away"
    if "{notification_id}" in path:
        yield from ("notifications_m.invalid_id", "notifications_m.not_found")
    elif "{" in path:
        if "_id}" in path and "{user_id}" not in path:
            yield "bellwire.invalid_id"
        yield "bellwire.not_found"
    if "requestBody" in operation:
        yield "bellwire.too_large"
    if known and ("requestBody" in operation or any(one["in"] != "path" for one in operation.get("parameters", ()))):
        yield "bellwire.invalid_input"
    yield from FURTHER.get(address, ())


def _answer(examples: Mapping[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    words = " ".join(f"`{code}`: {one['summary']}" for code, one in examples.items())
    return {"description": words, "content": {"application/problem+json": content}}


def _example(code: str, status: int, words: str) -> dict[str, Any]:
    field = {"bellwire.invalid_input": "limit", "bellwire.invalid_id": "id", "notifications_m.invalid_id": "id"}
    title = {413: "Content Too Large"}.get(status) or HTTPStatus(status).phrase
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": words,
        "code": code,
        "field": field.get(code),
    }
