"""Who may call what: one line an address, from which the matrix in tests/api/test_access_matrix.py follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Who = Literal[
    "anyone",
    "publisher",
    "operator",
    "admin",
    "user",
    "user or operator",
    "user or admin",
    "stream",
    "proof",
    "elsewhere",
]


@dataclass(frozen=True, slots=True)
class Need:
    """What an address needs.

    Attributes:
        who: the lowest role of a key, or users' tokens, or both. ``stream``: a user's token, and a key is nobody.
            ``proof``: a provider's own, so that whoever is known here is nobody. ``elsewhere``: see `path`.
        thing: what the path names, of those that tests/support/planted.py plants.
        path: what to call when the path names nothing that is anybody's; for ``elsewhere`` the file with the tests.
        but: answers that are right too for those who may.
    """

    who: Who
    thing: str = ""
    path: str = ""
    but: tuple[int, ...] = ()


# By method and path, as the description has them. GET stands for HEAD too.
NEEDS: Final[dict[str, Need]] = {
    "POST /v1/events": Need("publisher"),
    "GET /v1/events": Need("operator"),
    "GET /v1/events/{event_id}": Need("publisher", "event"),
    "GET /v1/events/{event_id}/explain": Need("operator", "event"),
    "POST /v1/events/{event_id}/cancel": Need("publisher", "event"),
    "GET /v1/deliveries": Need("operator"),
    "GET /v1/deliveries/{delivery_id}": Need("operator", "delivery"),
    "GET /v1/dead-letters": Need("operator"),
    "POST /v1/dead-letters/replay": Need("operator"),
    "POST /api/cron/retries": Need("operator"),
    "GET /v1/digest": Need("operator"),
    "PUT /v1/digest": Need("admin"),
    "GET /v1/statistics": Need("operator"),
    "GET /v1/audit": Need("admin"),
    "GET /v1/users": Need("operator"),
    "PUT /v1/users/{user_id}": Need("publisher", "user"),
    "GET /v1/users/{user_id}": Need("publisher", "user"),
    "DELETE /v1/users/{user_id}": Need("admin", "user"),
    "GET /v1/users/me": Need("user"),
    "PATCH /v1/users/me": Need("user"),
    "GET /v1/users/me/push-tokens": Need("user"),
    "POST /v1/users/me/push-tokens": Need("user"),
    "DELETE /v1/users/me/push-tokens": Need("user", but=(404,)),  # the device is whose user registered it last
    "DELETE /v1/users/me/push-tokens/{token_id}": Need("user", "push token"),
    "GET /v1/push/vapid-key": Need("anyone", but=(404,)),
    "GET /v1/routes": Need("operator"),
    "GET /v1/routes/{name}": Need("operator", "route"),
    "PUT /v1/routes/{name}": Need("admin", "route"),
    "DELETE /v1/routes/{name}": Need("admin", "route"),
    "GET /v1/event-types": Need("operator"),
    "GET /v1/event-types/{type}": Need("operator", "event type"),
    "PUT /v1/event-types/{type}": Need("admin", "event type"),
    "DELETE /v1/event-types/{type}": Need("admin", "event type"),
    "GET /v1/templates": Need("operator"),
    "GET /v1/templates/{event}/{channel}": Need("operator", path="/v1/templates/ssl_failure/email"),
    "GET /v1/templates/{event}/{channel}/versions/{number}": Need(
        "operator", path="/v1/templates/ssl_failure/email/versions/1", but=(404,)
    ),
    "PUT /v1/templates/{event}/{channel}": Need("admin", path="/v1/templates/ssl_failure/email"),
    "POST /v1/templates/{event}/{channel}/preview": Need("operator", path="/v1/templates/ssl_failure/email/preview"),
    "POST /v1/templates/{event}/{channel}/test": Need("admin", path="/v1/templates/ssl_failure/email/test"),
    "POST /v1/templates/{event}/{channel}/publish": Need(
        "admin", path="/v1/templates/ssl_failure/email/publish", but=(404,)
    ),
    "POST /v1/templates/{event}/{channel}/rollback": Need(
        "admin", path="/v1/templates/ssl_failure/email/rollback", but=(404,)
    ),
    "DELETE /v1/templates/{event}/{channel}": Need("admin", path="/v1/templates/ssl_failure/email", but=(404,)),
    "GET /v1/webhooks": Need("user or admin"),
    "GET /v1/webhooks/{name}": Need("user or admin", "webhook"),
    "PUT /v1/webhooks/{name}": Need("user or admin", "webhook"),
    "POST /v1/webhooks/{name}/rotate": Need("user or admin", "webhook"),
    "DELETE /v1/webhooks/{name}": Need("user or admin", "webhook"),
    "GET /v1/suppressions": Need("operator"),
    "POST /v1/suppressions": Need("operator"),
    "DELETE /v1/suppressions": Need("admin"),
    "GET /v1/branding": Need("operator"),
    "GET /v1/branding/versions": Need("operator"),
    "PUT /v1/branding": Need("admin"),
    "POST /v1/branding/preview": Need("operator"),
    "GET /v1/providers": Need("admin"),
    "GET /v1/providers/{provider}": Need("admin", "provider"),
    "PUT /v1/providers/{provider}": Need("admin", "provider"),
    "DELETE /v1/providers/{provider}": Need("admin", "provider"),
    "GET /v1/notifications": Need("user"),
    "GET /v1/notifications/{notification_id}": Need("user", "notification"),
    "PATCH /v1/notifications/{notification_id}/read": Need("user", "notification"),
    "DELETE /v1/notifications/{notification_id}": Need("user", "notification"),
    "POST /v1/notifications/read-all": Need("user"),
    "POST /v1/notifications/{notification_id}/acknowledge": Need("user or operator", "notification"),
    "POST /api/notifications/{notification_id}/acknowledge": Need("user or operator", "notification"),
    "GET /v1/notifications/preferences": Need("user"),
    "PUT /v1/notifications/preferences": Need("user"),
    "POST /v1/notifications/ticket": Need("user"),
    "GET /v1/notifications/sse": Need("stream"),
    "WS /v1/notifications/ws": Need("stream"),
    "MOUNT /socket.io/{path}": Need("elsewhere", path="tests/api/test_live_socketio_access.py"),
    "POST /v1/notifications/sse": Need("admin"),
    "POST /v1/notifications/trigger": Need("admin"),
    "POST /v1/broadcasts": Need("admin"),
    "POST /v1/receipts/{provider}": Need("proof", path="/v1/receipts/resend"),
    "GET /v1/receipts/{provider}": Need("proof", path="/v1/receipts/whatsapp"),
    "GET /health/live": Need("anyone"),
    "GET /health/ready": Need("anyone"),
    "GET /metrics": Need("anyone"),
    "GET /openapi.json": Need("anyone"),
    "GET /docs": Need("anyone"),
    "GET /": Need("anyone", but=(307,)),
    "GET /inbox": Need("anyone"),
    "GET /static/{name}": Need("anyone", path="/static/bellwire-inbox.js"),
    "GET /u/{token}": Need("anyone", path="/u/forged", but=(404,)),
    "POST /u/{token}": Need("anyone", path="/u/forged", but=(404,)),
    "GET /a/{token}": Need("anyone", path="/a/forged", but=(404,)),
    "POST /a/{token}": Need("anyone", path="/a/forged", but=(404,)),
}

ROLES: Final = ("publisher", "operator", "admin")
KEYS: Final = ROLES
USERS: Final = {"a user": "", "a user with the role operator": "operator"}
NOBODY: Final = ("no identity", "an expired token", "a token for others", "a revoked key")
CALLERS: Final = (*NOBODY, *KEYS, *USERS)

OTHERS: Final = ("another user's", "another customer's")
NAMESAKE: Final = "called as another tenant's"  # names are each tenant's own to give
SEPARATE: Final = ("webhook",)  # no role opens a user's: the tenant's are others


def answers(need: Need, caller: str, owner: str) -> tuple[int, ...]:
    """What may be answered, as the first digit of success (2) or the status."""
    fine = (2, *need.but)
    if need.who == "anyone":
        return fine
    if need.who == "proof" or caller in NOBODY or (need.who == "stream" and caller in KEYS):
        return (401,)
    if not (by_power(need, caller) or (caller in USERS and need.who.startswith(("user", "stream")))):
        return (403,)
    if owner in OTHERS and by_power(need, caller) and need.thing not in SEPARATE:
        return fine
    return fine if owner in ("own", "nobody's", NAMESAKE) else (404,)


def by_power(need: Need, caller: str) -> bool:
    """Whether the caller's role is enough, whoever's it is."""
    least = need.who.removeprefix("user or ")
    power = caller if caller in KEYS else USERS.get(caller, "")
    return least in ROLES and power in ROLES and ROLES.index(power) >= ROLES.index(least)
