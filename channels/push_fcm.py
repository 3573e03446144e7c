"""FCM HTTP v1 (C-7, E-12): Android devices, with the access token of a Google service account.

Source: firebase.google.com/docs/reference/fcm/rest/v1/projects.messages and .../ErrorCode.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import monotonic
from typing import Any, ClassVar, Final, NamedTuple, Self

import aiohttp

from channels.base import (
    AccountError,
    Address,
    Capabilities,
    Fate,
    Limit,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Provider,
    Receipt,
    RefusedError,
    SendError,
)
from channels.google import AccessToken, ServiceAccount
from channels.http import Answer, exchange, open_session, retry_after, timeout_of
from channels.push import (
    BULKHEAD,
    DEADLINE,
    URGENCY,
    address_of,
    check_own_key,
    check_token,
    encoded,
    fitted,
    ids,
    seconds_to_live,
    secret_text,
    title_of,
)
from config.settings import Settings, SettingsError

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
PAYLOAD_LIMIT: Final = 4096  # bytes, of the message without its token
COLOUR: Final = "#007AFF"  # E-13
ICON: Final = "ic_notification"
QUOTA_WAIT: Final = 60.0  # seconds; the quota is refilled by the minute, and FCM does not always say so

_ACCOUNT: Final = frozenset({"THIRD_PARTY_AUTH_ERROR", "PERMISSION_DENIED", "UNAUTHENTICATED"})
_KNOWN: Final = _ACCOUNT | {
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "QUOTA_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "SENDER_ID_MISMATCH",
    "UNAVAILABLE",
    "UNREGISTERED",
    "UNSPECIFIED_ERROR",
}


class FcmProvider(Provider):
    """One Firebase project. `Address.value` is a registration token."""

    channel = "push"
    name = "fcm"
    capabilities = Capabilities(
        parts=frozenset({"title", "text"}),
        bulkhead=BULKHEAD,
        deadline=DEADLINE,
        limits=(Limit(600_000, 60),),  # firebase.google.com/docs/cloud-messaging/throttling-and-quotas
        platforms=frozenset({"android"}),
    )
    credentials: ClassVar[Mapping[str, str]] = {"credentials": "fcm_credentials"}

    def __init__(self, account: ServiceAccount, url: str) -> None:
        self._url = f"{url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._access = AccessToken(account, SCOPE)
        self._timeout = timeout_of(self.capabilities.deadline)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the service account."""
        if not settings.fcm_credentials or not settings.fcm_credentials.get_secret_value():
            return None
        given = secret_text(settings.fcm_credentials.get_secret_value(), "BELLWIRE_FCM_CREDENTIALS")
        try:
            return cls(ServiceAccount.parse(given, settings.fcm_url), settings.fcm_url)
        except ValueError as error:
            raise SettingsError(f"BELLWIRE_FCM_CREDENTIALS: {error}") from None

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """A tenant's own; see `Provider.from_account`. Its key must be text."""
        check_own_key(credentials, "credentials")
        return super().from_account(settings, credentials)

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send once; see `Provider.send`. An access token that Google no longer takes is fetched anew, once."""
        try:
            token = check_token("android", address.value)
        except ValueError:
            raise RefusedError("not a registration token", fate=Fate.DEACTIVATE) from None
        content = fitted(lambda text, extra: payload(message, text, extra), message, PAYLOAD_LIMIT)
        body = b'{"message":{"token":' + encoded(token) + b"," + content[1:] + b"}"
        end = monotonic() + self.capabilities.deadline
        access = await self._access.get(self.capabilities.deadline)
        answer = await self._post(body, access, end)
        if answer.status == 401 and self._access.forget(access):
            answer = await self._post(body, await self._access.get(end - monotonic()), end)
        if answer.status == 200:
            return Receipt(message_id=_name(answer.body), detail="HTTP 200")
        raise failure(answer)

    async def _post(self, body: bytes, access: str, end: float) -> Answer:
        if self._session is None:
            self._session = open_session(self._timeout, headers={"Content-Type": "application/json"})
        left = end - monotonic()
        timeout = self._timeout if left > self.capabilities.deadline - 0.1 else timeout_of(max(left, 0.01))
        return await exchange(self._session, self._url, body, {"Authorization": f"Bearer {access}"}, timeout)

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        self._access.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def payload(message: Message, text: str, extra: Mapping[str, str]) -> dict[str, Any]:
    """A `Message` of FCM without its token. A repetition replaces the first on the device, by its tag."""
    shown: dict[str, Any] = {
        "body": text,
        "icon": ICON,
        "color": COLOUR,
        "sound": "default",
        "tag": message.delivery_id,
    }
    if title := title_of(message):
        shown["title"] = title
    if image := address_of(message.image):
        shown["image"] = image
    if message.badge is not None:
        shown["notification_count"] = message.badge
    return {
        "data": {**extra, **ids(message)},
        "android": {
            "priority": URGENCY[message.priority].fcm,
            "ttl": f"{seconds_to_live(message)}s",
            "collapse_key": message.event_type,
            "notification": shown,
        },
    }


def _name(body: bytes) -> str | None:
    """``projects/p/messages/0:1500415314455276%31bd1c9631bd1c96``"""
    try:
        name = json.loads(body)["name"]
    except (ValueError, KeyError, TypeError):
        return None
    return name[:255] if isinstance(name, str) else None


class _Problem(NamedTuple):
    """What an error says. `code`: FCM's own, or else the general status; `field`: which part of the request is wrong.

    `quota`: whose quota is used up, in FCM's words.
    """

    code: str = ""
    field: str = ""
    message: str = ""
    quota: str = ""


def _problem(body: bytes) -> _Problem:
    """The error in an answer (google.rpc.Status); empty for anything else, which might be anybody's words."""
    try:
        error = json.loads(body)["error"]
        details = [one for one in error.get("details", ()) if isinstance(one, dict)]
        codes = [one["errorCode"] for one in details if "errorCode" in one]
        code = next(iter(codes), error.get("status", ""))
        fields = [str(part.get("field")) for one in details for part in one.get("fieldViolations", ())]
        quotas = [
            f"{part.get('subject')} {part.get('description')}" for one in details for part in one.get("violations", ())
        ]
        return _Problem(code if code in _KNOWN else "", " ".join(fields), str(error.get("message")), " ".join(quotas))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _Problem()


def failure(answer: Answer) -> SendError:
    """Which of our errors an answer is."""
    status, problem = answer.status, _problem(answer.body)
    said = f"HTTP {status} {problem.code}".rstrip()
    wait = retry_after(answer.headers.get("Retry-After"))
    if status == 429:
        of_device = "device" in f"{problem.quota} {problem.message}".lower()
        wait = wait if of_device else wait or QUOTA_WAIT
        return NotSentError(said, retry_after=wait, provider_failed=False, throttled=not of_device)
    if problem.code in {"UNREGISTERED", "SENDER_ID_MISMATCH"} or _is_about_the_token(problem):
        return RefusedError(said, fate=Fate.DEACTIVATE)
    if problem.code in _ACCOUNT or status in {401, 403} or (status == 404 and problem.code == "NOT_FOUND"):
        return AccountError(said)  # a project that is not found is not ours
    if status in {502, 504} and not problem.code:
        return OutcomeUnknownError(f"{said}: a gateway lost the answer")
    if status >= 500 or status == 408:
        return NotSentError(said, retry_after=wait)
    return RefusedError(said)


def _is_about_the_token(problem: _Problem) -> bool:
    """INVALID_ARGUMENT says so in a field or in its message; other fields are a fault of the message."""
    words = problem.message.lower()
    return problem.code == "INVALID_ARGUMENT" and (
        "message.token" in problem.field.split() or "registration token is not a valid" in words
    )
