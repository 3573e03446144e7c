"""Web Push (C-7, E-12): browsers, by RFC 8030, encrypted by RFC 8291 and signed with VAPID by RFC 8292.

Encrypted by pywebpush and signed by py_vapid. The endpoint is a user's URL, so every socket is guarded.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from time import monotonic, time
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import aiohttp
from yarl import URL

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
from channels.guard import Guard
from channels.http import Answer, exchange, open_session, retry_after, timeout_of
from channels.push import (
    BULKHEAD,
    DEADLINE,
    RAW_KEY,
    URGENCY,
    Subscription,
    address_of,
    check_own_key,
    fitted,
    ids,
    may_be_reached,
    parse_subscription,
    seconds_to_live,
    secret_text,
    title_of,
)
from config.settings import Network, Settings, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

# 4096 bytes encrypted (RFC 8291, 4), less the head of 86, the tag of 16 and the end mark.
PAYLOAD_LIMIT: Final = 4096 - 86 - 16 - 1
ICON: Final = "/icons/notification-icon.png"  # E-13
SIGNED_FOR: Final = 12 * 3600  # seconds; RFC 8292 allows a day
SIGNED_AGAIN: Final = 6 * 3600.0

_FIXED_HEADERS: Final = {"Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream"}
# The subscription was made with another key than ours, as Google, Mozilla and Apple say it. Nobody can send to it.
_OTHER_KEY: Final = re.compile(
    rb"do not correspond to the credentials used to create|public key mismatch|VapidPkHashMismatch", re.IGNORECASE
)
# Whose word about our account is believed. Any other endpoint is whatever its user says it is.
_SERVICES: Final = (".googleapis.com", ".push.services.mozilla.com", ".push.apple.com", ".notify.windows.com")
_NOT_SIGNED: Final = re.compile(rb"BadJwtToken|jwt|vapid|authorization", re.IGNORECASE)


class WebPushProvider(Provider):
    """`Address.value` is a PushSubscription as JSON."""

    channel = "push"
    name = "web_push"
    capabilities = Capabilities(
        parts=frozenset({"title", "text"}), bulkhead=BULKHEAD, deadline=DEADLINE, platforms=frozenset({"web"})
    )
    credentials: ClassVar[Mapping[str, str]] = {"private_key": "vapid_private_key", "subject": "vapid_subject"}

    def __init__(self, key: EllipticCurvePrivateKey, subject: str, allowed: tuple[Network, ...]) -> None:
        import pywebpush  # type: ignore[import-untyped]
        from py_vapid import Vapid02, VapidException  # type: ignore[import-untyped]

        self._encryption = pywebpush.WebPusher
        self._vapid = Vapid02(key)
        self._subject = subject
        try:
            self._vapid.sign({"sub": subject, "aud": "https://example.org"})
        except VapidException:
            raise SettingsError(
                "BELLWIRE_VAPID_SUBJECT: must be mailto:someone@example.org or https://example.org"
            ) from None
        self._allowed = allowed
        self._guard = Guard(allowed)
        self._timeout = timeout_of(self.capabilities.deadline)
        self._session: aiohttp.ClientSession | None = None
        self._signed = lru_cache(maxsize=1024)(self._sign)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the VAPID key."""
        key = _private_key(settings)
        return None if key is None else cls(key, settings.vapid_subject, settings.webhook_allow_networks)

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """A tenant's own; see `Provider.from_account`. Its key must be text."""
        check_own_key(credentials, "private_key")
        return super().from_account(settings, credentials)

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send once; see `Provider.send`."""
        try:
            subscription = parse_subscription(address.value)
            content = fitted(lambda text, extra: payload(message, text, extra), message, PAYLOAD_LIMIT)
            body = self._encrypted(subscription, content)
        except ValueError:
            raise RefusedError("not a subscription", fate=Fate.DEACTIVATE) from None
        endpoint = subscription.endpoint
        if not may_be_reached(endpoint, self._allowed):
            raise RefusedError("the endpoint is not https")
        signed = {**headers(message), "Authorization": self._authorization(endpoint)}
        if self._session is None:
            self._session = open_session(self._timeout, self._guard, _FIXED_HEADERS)
        answer = await exchange(self._session, endpoint, body, signed, self._timeout)
        if 200 <= answer.status < 300:
            return Receipt(detail=f"HTTP {answer.status}")
        raise failure(answer, endpoint.host or "")

    def _encrypted(self, subscription: Subscription, content: bytes) -> bytes:
        keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
        body = self._encryption({"endpoint": "", "keys": keys}).encode(content)["body"]
        assert isinstance(body, bytes)
        return body

    def _authorization(self, endpoint: URL) -> str:
        """The signature for a push service, made anew every six hours."""
        return self._signed(str(endpoint.origin()), monotonic() // SIGNED_AGAIN)

    def _sign(self, origin: str, period: float) -> str:
        from py_vapid import VapidException

        try:
            signed = self._vapid.sign({"sub": self._subject, "aud": origin, "exp": int(time()) + SIGNED_FOR})
        except VapidException:
            raise RefusedError("the endpoint has no origin that can be signed for") from None
        return str(signed["Authorization"])

    def breaker_key(self, address: Address) -> str:
        """Per push service: one that is down does not stop the others."""
        try:
            return f"web_push:{parse_subscription(address.value).endpoint.host}"
        except ValueError:
            return self.name

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def public_key(settings: Settings) -> str | None:
    """What a page gives to `pushManager.subscribe` as `applicationServerKey`; None without a VAPID key.

    Raises:
        SettingsError: the key cannot be used.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _private_key(settings)
    if key is None:
        return None
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def _private_key(settings: Settings) -> EllipticCurvePrivateKey | None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    given = settings.vapid_private_key.get_secret_value().strip() if settings.vapid_private_key else ""
    if not given:
        return None
    try:
        if RAW_KEY.fullmatch(given):
            number = int.from_bytes(base64.urlsafe_b64decode(given[:43] + "="))
            return ec.derive_private_key(number, ec.SECP256R1())
        loaded = load_pem_private_key(secret_text(given, "BELLWIRE_VAPID_PRIVATE_KEY").encode(), None)
    except SettingsError:
        raise
    except (ValueError, TypeError):
        loaded = None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
        raise SettingsError("BELLWIRE_VAPID_PRIVATE_KEY: must be a P-256 key, 32 bytes in base64url or PEM")
    return loaded


def payload(message: Message, text: str, extra: Mapping[str, str]) -> dict[str, Any]:
    """What the service worker gets (E-13). Those of one type replace each other, and are heard again."""
    shown: dict[str, Any] = {
        "body": text,
        "icon": ICON,
        "tag": message.event_type,
        "renotify": True,
        "data": {**extra, **ids(message)},
    }
    if title := title_of(message):
        shown = {"title": title, **shown}
    if image := address_of(message.image):
        shown["image"] = image
    if message.badge is not None:
        shown["badge"] = message.badge
    return shown


def headers(message: Message) -> dict[str, str]:
    """RFC 8030, 5. A repetition replaces the first by its topic, as long as that waits at the push service."""
    found = {"TTL": str(seconds_to_live(message)), "Urgency": URGENCY[message.priority].web}
    topic = message.delivery_id.replace("-", "")
    if re.fullmatch(r"[A-Za-z0-9_-]{1,32}", topic):
        found["Topic"] = topic
    return found


def failure(answer: Answer, host: str) -> SendError:
    """Which of our errors an answer is. Nothing that an endpoint says may stop what goes to others.

    RFC 8030; mozilla-services.github.io/autopush-rs/errors.html; developer.apple.com/documentation/usernotifications/
    sending-web-push-notifications-in-web-apps-and-browsers; web.dev/articles/push-notifications-web-push-protocol
    """
    status = answer.status
    wait = retry_after(answer.headers.get("Retry-After"))
    if status in {404, 410}:
        return RefusedError(f"HTTP {status}: the subscription is gone", fate=Fate.DEACTIVATE)
    if status in {400, 401, 403} and _OTHER_KEY.search(answer.body):
        return RefusedError(f"HTTP {status}: subscribed with another VAPID key", fate=Fate.DEACTIVATE)
    unsigned = status in {401, 403} or (status == 400 and _NOT_SIGNED.search(answer.body))
    if unsigned and f".{host}".endswith(_SERVICES):
        return AccountError(f"HTTP {status}: our VAPID signature is not accepted")
    if status in {502, 504}:
        return OutcomeUnknownError(f"HTTP {status}: a gateway lost the answer")
    if status >= 500 or status in {408, 425}:
        return NotSentError(f"HTTP {status}", retry_after=wait)
    if status in {406, 429}:  # 406: how Windows says it. Too many for this service or browser, not for the account
        return NotSentError(f"HTTP {status}", retry_after=wait, provider_failed=False)
    if 300 <= status < 400:
        return RefusedError(f"HTTP {status}: redirects are not followed")
    return RefusedError(f"HTTP {status}")
