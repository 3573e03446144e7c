"""APNs (C-7, E-12): iPhones and other Apple devices, over one HTTP/2 connection with a provider token.

Source: developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns and its neighbours.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from channels.base import (
    AccountError,
    Address,
    Capabilities,
    Fate,
    Message,
    NotSentError,
    OutcomeUnknownError,
    Provider,
    Receipt,
    RefusedError,
    SendError,
)
from channels.push import (
    BULKHEAD,
    DEADLINE,
    URGENCY,
    address_of,
    check_own_key,
    check_token,
    fitted,
    ids,
    seconds_to_live,
    secret_text,
    title_of,
)
from config.settings import Settings, SettingsError

if TYPE_CHECKING:
    from channels.http2_connection import Answer

PAYLOAD_LIMIT: Final = 4096  # bytes, "Creating the remote notification payload"
# Apple takes a token for 60 minutes, and a new one at most every 20: "Establishing a token-based connection to APNs".
TOKEN_LIFE: Final = 50 * 60.0  # seconds
TOKEN_REST: Final = 20 * 60.0

_TEN: Final = re.compile(r"[A-Z0-9]{10}")
_SHAPES: Final = (
    ("apns_key_id", _TEN, "ten letters and digits"),
    ("apns_team_id", _TEN, "ten letters and digits"),
    ("apns_topic", re.compile(r"[A-Za-z0-9.-]{1,255}"), "a bundle id, such as org.example.app"),
)

# "Handling notification responses from APNs", table of reasons. What is not here is decided by the status.
_GONE: Final = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic", "ExpiredToken", "Unregistered"})
_ACCOUNT: Final = frozenset(
    {
        "BadCertificate",
        "BadCertificateEnvironment",
        "BadEnvironmentKeyIdInToken",
        "BadEnvironmentKeyInToken",
        "BadTopic",
        "ExpiredProviderToken",
        "Forbidden",
        "InvalidProviderToken",
        "MissingProviderToken",
        "MissingTopic",
        "TopicDisallowed",
        "UnrelatedKeyIdInToken",
    }
)
_LATER: Final = frozenset({"IdleTimeout", "InternalServerError", "ServiceUnavailable", "Shutdown"})
_REFUSED: Final = frozenset(
    {
        "BadCollapseId",
        "BadExpirationDate",
        "BadMessageId",
        "BadPath",
        "BadPriority",
        "DuplicateHeaders",
        "InvalidPushType",
        "MethodNotAllowed",
        "MissingDeviceToken",
        "PayloadEmpty",
        "PayloadTooLarge",
    }
)
_TOO_MANY: Final = frozenset({"TooManyProviderTokenUpdates", "TooManyRequests"})
_NAMED: Final = _GONE | _ACCOUNT | _LATER | _REFUSED | _TOO_MANY


class ProviderToken:
    """The JSON web token that stands for our account, the same for all requests until it is old.

    Raises (when made):
        SettingsError: the key is no P-256 key.
    """

    def __init__(self, key: str, key_id: str, team_id: str) -> None:
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            loaded = load_pem_private_key(key.encode(), None)
        except (ValueError, TypeError):
            loaded = None
        if not isinstance(loaded, EllipticCurvePrivateKey) or not isinstance(loaded.curve, SECP256R1):
            raise SettingsError("BELLWIRE_APNS_KEY: is not the .p8 key that Apple issued (PKCS 8, P-256)")
        self._key, self._key_id, self._team_id = loaded, key_id, team_id
        self._made_at = self._renewed_at = float("-inf")
        self._header = b""

    def header(self) -> bytes:
        """The value of `authorization`, made anew every 50 minutes."""
        if time.monotonic() - self._made_at > TOKEN_LIFE:
            import jwt

            claims = {"iss": self._team_id, "iat": int(time.time())}
            token = jwt.encode(claims, self._key, "ES256", {"kid": self._key_id})
            self._header, self._made_at = f"bearer {token}".encode(), time.monotonic()
        return self._header

    def renew(self, expired: bytes) -> bool:
        """Whether there is another one than the one that Apple calls expired; a new one at most every 20 minutes."""
        if expired != self._header:
            return True
        if time.monotonic() - self._renewed_at < TOKEN_REST:
            return False
        self._made_at, self._renewed_at = float("-inf"), time.monotonic()
        return True


class ApnsProvider(Provider):
    """One app. `Address.value` is a device token in hexadecimal."""

    channel = "push"
    name = "apns"
    capabilities = Capabilities(
        parts=frozenset({"title", "text"}), bulkhead=BULKHEAD, deadline=DEADLINE, platforms=frozenset({"ios"})
    )
    credentials: ClassVar[Mapping[str, str]] = {
        "key": "apns_key",
        "key_id": "apns_key_id",
        "team_id": "apns_team_id",
        "topic": "apns_topic",
    }

    def __init__(self, url: str, topic: str, token: ProviderToken) -> None:
        from channels.http2 import Http2Client

        logging.getLogger("hpack").setLevel(logging.INFO)  # it would log every header, tokens included
        scheme, _, authority = url.rstrip("/").partition("://")
        self._client = Http2Client(url)
        self._fixed = ((b":method", b"POST"), (b":scheme", scheme.encode()), (b":authority", authority.encode()))
        self._topic = topic.encode()
        self._token = token

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the key, which then needs its id, the team's and the topic."""
        if not settings.apns_key or not settings.apns_key.get_secret_value():
            return None
        for name, shape, words in _SHAPES:
            given = getattr(settings, name)
            if not given:
                raise SettingsError(f"BELLWIRE_{name.upper()}: is needed beside BELLWIRE_APNS_KEY")
            if not shape.fullmatch(given):
                raise SettingsError(f"BELLWIRE_{name.upper()}: must be {words}")
        key = secret_text(settings.apns_key.get_secret_value(), "BELLWIRE_APNS_KEY")
        token = ProviderToken(key, settings.apns_key_id or "", settings.apns_team_id or "")
        return cls(settings.apns_url, settings.apns_topic or "", token)

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """A tenant's own; see `Provider.from_account`. Its key must be text."""
        check_own_key(credentials, "key")
        return super().from_account(settings, credentials)

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send once; see `Provider.send`. A provider token that Apple calls expired is made anew, once."""
        try:
            device = check_token("ios", address.value)
        except ValueError:
            raise RefusedError("not a device token", fate=Fate.DEACTIVATE) from None
        body = fitted(lambda text, extra: payload(message, text, extra), message, PAYLOAD_LIMIT)
        named = headers(message, device)
        end = time.monotonic() + self.capabilities.deadline
        while True:
            authorization = self._token.header()
            whole = (*self._fixed, *named, (b"apns-topic", self._topic), (b"authorization", authorization))
            answer = await self._client.post(whole, body, max(end - time.monotonic(), 0.01))
            if answer.status == 200:
                return Receipt(message_id=_apns_id(message), detail="HTTP 200")
            reason = _reason(answer)
            if reason != "ExpiredProviderToken" or not self._token.renew(authorization):
                raise failure(answer.status, reason)

    async def close(self) -> None:
        """Close the connection; the next send opens a new one."""
        await self._client.close()


def payload(message: Message, text: str, extra: Mapping[str, str]) -> dict[str, Any]:
    """What the device shows, and beside it what the app reads ("Generating a remote notification")."""
    alert = {"body": text}
    if title := title_of(message):
        alert = {"title": title, **alert}
    aps: dict[str, Any] = {
        "alert": alert,
        "sound": "default",
        "thread-id": message.event_type,
        "interruption-level": URGENCY[message.priority].interruption,
    }
    if message.badge is not None:
        aps["badge"] = message.badge
    if address_of(message.image):
        aps["mutable-content"] = 1  # the app's own extension fetches the image
    return {"aps": aps, "data": {**extra, **ids(message)}}


def headers(message: Message, device: str) -> tuple[tuple[bytes, bytes], ...]:
    """Those that differ by message. Sent again after an unknown outcome, the device shows it in place of the first."""
    from hpack import NeverIndexedHeaderTuple as Once  # kept out of the connection's table, which they would flood

    found = [
        Once(b":path", b"/3/device/" + device.encode()),
        (b"apns-push-type", b"alert"),
        (b"apns-priority", URGENCY[message.priority].apns.encode()),
        Once(b"apns-id", _apns_id(message).encode()),
        Once(b"apns-expiration", str(int(time.time()) + seconds_to_live(message)).encode()),
    ]
    collapse = message.delivery_id.encode("ascii", "replace")
    if len(collapse) <= 64:
        found.append(Once(b"apns-collapse-id", collapse))
    return tuple(found)


def _apns_id(message: Message) -> str:
    """The delivery's id, if it is a UUID, else one that is always the same for it."""
    try:
        return str(uuid.UUID(message.delivery_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, message.delivery_id))


def _reason(answer: Answer) -> str:
    """Apple's word for it; empty for anything else, which might be anybody's words."""
    try:
        reason = json.loads(answer.body)["reason"]
    except (ValueError, KeyError, TypeError):
        return ""
    return reason if reason in _NAMED else ""


def failure(status: int, reason: str) -> SendError:
    """Which of our errors an answer is ("Handling notification responses from APNs")."""
    said = f"HTTP {status} {reason}".rstrip()
    if reason in _GONE or status == 410:
        return RefusedError(said, fate=Fate.DEACTIVATE)
    if reason in _ACCOUNT or status in {401, 403}:
        return AccountError(said)
    if reason == "TooManyProviderTokenUpdates":
        return NotSentError(said, retry_after=TOKEN_REST, provider_failed=False, throttled=True)
    if status == 429:  # too many for this one device: the others have nothing to do with it
        return NotSentError(said, provider_failed=False)
    if reason in _LATER or status >= 500:
        lost = status in {502, 504} and not reason
        return OutcomeUnknownError(f"{said}: a gateway lost the answer") if lost else NotSentError(said)
    return RefusedError(said)
