"""What APNs, FCM and Web Push have in common: tokens, priorities, time to live, and payloads that always fit.

Each platform's own shape stands in its provider; the words, the data and the limits are decided here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from yarl import URL

from channels.base import Bulkhead, Message
from channels.guard import Guard, check_url
from config.settings import Network, SettingsError
from domain.errors import InvalidInputError
from domain.vocabulary import Priority

BULKHEAD: Final = Bulkhead(concurrent=128, waiting=128)
DEADLINE: Final = 10.0  # seconds
TIME_TO_LIVE: Final = 3600  # seconds, when the event does not say (E-15)
LONGEST_LIFE: Final = 28 * 86400  # seconds; FCM takes no more, the others keep nothing longer
TOKEN_LIMIT: Final = 4096  # characters
TITLE_LIMIT: Final = 512  # bytes of JSON
URL_LIMIT: Final = 1024  # characters of a link or an image; longer ones would leave no room for words


class Urgency(NamedTuple):
    """One priority in the words of every platform.

    `apns` and `interruption`: apns-priority and interruption-level
    (developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns); `fcm`:
    AndroidMessagePriority (firebase.google.com/docs/reference/fcm/rest/v1/projects.messages); `web`: RFC 8030, 5.3.
    """

    apns: str
    interruption: str
    fcm: str
    web: str


# Normal is each platform's own default. `critical` needs a permission from Apple that an app rarely has.
URGENCY: Final[Mapping[Priority, Urgency]] = {
    Priority.LOW: Urgency("5", "passive", "NORMAL", "low"),
    Priority.NORMAL: Urgency("10", "active", "NORMAL", "normal"),
    Priority.HIGH: Urgency("10", "time-sensitive", "HIGH", "high"),
    Priority.CRITICAL: Urgency("10", "time-sensitive", "HIGH", "high"),
}

RAW_KEY: Final = re.compile(r"[A-Za-z0-9_-]{43}=?")  # 32 bytes in base64url
_APNS_TOKEN: Final = re.compile(r"(?:[0-9a-f]{2}){32,100}")
_FCM_TOKEN: Final = re.compile(r"[A-Za-z0-9_:.%-]{32,4096}")
# What FCM keeps for itself (firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode, invalid data key).
_RESERVED: Final = re.compile(r"(?:from|message_type|collapse_key)$|google|gcm", re.IGNORECASE)


class Subscription(NamedTuple):
    """A browser's PushSubscription. The keys are base64url without padding."""

    endpoint: URL
    p256dh: str
    auth: str


def check_token(platform: str, token: str, allowed: Sequence[Network] = ()) -> str:
    """A push token in the one form in which it is stored and compared.

    Args:
        platform: ``ios``, ``android`` or ``web``; a web token is the PushSubscription as JSON.
        allowed: networks in which a subscription's endpoint may lie although they are private
            (``settings.webhook_allow_networks``).

    Raises:
        ValueError: in words for whoever registers it; never repeats the token.
    """
    if len(token) > TOKEN_LIMIT:
        raise ValueError(f"must be at most {TOKEN_LIMIT} characters")
    match platform:
        case "ios":
            return _checked_ios(token)
        case "android":
            return _checked_android(token)
        case "web":
            return _checked_web(token, allowed)
    raise ValueError("platform must be ios, android or web")


def _checked_ios(token: str) -> str:
    found = token.strip().lower()
    if not _APNS_TOKEN.fullmatch(found):
        raise ValueError("must be the device token in hexadecimal, 64 to 200 digits")
    return found


def _checked_android(token: str) -> str:
    found = token.strip()
    if not _FCM_TOKEN.fullmatch(found):
        raise ValueError("must be an FCM registration token: at least 32 letters, digits and - _ : . %")
    return found


def _checked_web(token: str, allowed: Sequence[Network]) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

    found = parse_subscription(token)
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _decoded(found.p256dh))
    except ValueError:
        raise ValueError("keys.p256dh must be a point on the curve P-256") from None
    try:
        check_url(str(found.endpoint), Guard(allowed))
    except InvalidInputError as error:
        raise ValueError(f"endpoint {error.problem}") from None
    if not may_be_reached(found.endpoint, allowed):
        raise ValueError("endpoint must begin with https://")
    keys = {"auth": found.auth, "p256dh": found.p256dh}
    return json.dumps({"endpoint": str(found.endpoint), "keys": keys}, separators=(",", ":"))


def may_be_reached(endpoint: URL, allowed: Sequence[Network]) -> bool:
    """Whether it is encrypted on its way, or a numeric address in a network that is ours."""
    if endpoint.scheme == "https":
        return True
    try:
        address = ip_address(endpoint.host or "")
    except ValueError:
        return False
    return any(address in network for network in allowed)


@lru_cache(maxsize=1024)
def parse_subscription(token: str) -> Subscription:
    """The parts of a web token.

    Raises:
        ValueError: in words.
    """
    try:
        found = json.loads(token)
        endpoint, keys = found["endpoint"], found["keys"]
        p256dh, auth = keys["p256dh"].rstrip("="), keys["auth"].rstrip("=")
        parsed = check_url(endpoint)
    except InvalidInputError as error:
        raise ValueError(f"endpoint {error.problem}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError('must be a PushSubscription: {"endpoint": "https://...", "keys": {...}}') from None
    if len(_decoded(p256dh)) != 65 or _decoded(p256dh)[0] != 4:
        raise ValueError("keys.p256dh must be 65 bytes in base64url, an uncompressed point")
    if len(_decoded(auth)) != 16:
        raise ValueError("keys.auth must be 16 bytes in base64url")
    return Subscription(parsed, p256dh, auth)


def _decoded(key: str) -> bytes:
    """Bytes of strict base64url without padding; empty when it is none."""
    try:
        return base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def seconds_to_live(message: Message) -> int:
    """For how long the platform keeps trying: until the event expires, else an hour (E-15)."""
    if message.expires_in is None:
        return TIME_TO_LIVE
    return max(0, min(int(message.expires_in), LONGEST_LIFE))


def ids(message: Message) -> dict[str, str]:
    """What an app is always told (E-14). `deliveryId` is constant over attempts, so that it can drop a repetition."""
    found = {"type": message.event_type, "deliveryId": message.delivery_id}
    if message.notification_id is not None:
        found["notificationId"] = message.notification_id
    return found


def extras(message: Message) -> dict[str, str]:
    """What an app is told if there is room: the link, the image, and the event's data as flat strings."""
    found = {}
    if link := address_of(message.link):
        found["link"] = link
    if image := address_of(message.image):
        found["image"] = image
    for name, value in message.data.items():
        _flatten(str(name), value, found)
    known = {"type", "deliveryId", "notificationId"}
    return {name: value for name, value in found.items() if name not in known and not _RESERVED.match(name)}


def _flatten(name: str, value: Any, found: dict[str, str]) -> None:
    """Platforms take strings only: ``{"a": {"b": 1}}`` becomes ``{"a.b": "1"}``, lists become JSON."""
    if isinstance(value, Mapping):
        for inner, one in value.items():
            _flatten(f"{name}.{inner}", one, found)
    elif value is not None:
        found.setdefault(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def address_of(url: str | None) -> str | None:
    """A link or an image as it may be shown; None for what is no short web address."""
    fits = url is not None and len(url) <= URL_LIMIT and url.startswith(("https://", "http://"))
    return url if fits else None


def title_of(message: Message) -> str | None:
    """The title, short enough to leave room for the text."""
    return cut(message.title, TITLE_LIMIT) if message.title else None


def fitted(shape: Callable[[str, Mapping[str, str]], Any], message: Message, limit: int) -> bytes:
    """The payload as JSON of at most `limit` bytes. What is too long is cut, never refused.

    Words come before data: the text is cut on a character, then data is added for as long as it fits.

    Args:
        shape: builds the payload from the text and the extras; what it adds itself (the ids) always stays.
    """
    offered = extras(message)
    content = encoded(shape(message.text, offered))
    if len(content) <= limit:
        return content
    room = limit - len(encoded(shape("", {})))
    text = cut(message.text, room)
    room -= _length(text)
    kept = {}
    for name, value in offered.items():
        cost = _length(name) + _length(value) + len('"":"",')
        if cost <= room:
            kept[name] = value
            room -= cost
    return encoded(shape(text, kept))


def encoded(content: Any) -> bytes:
    """Compact JSON. Half a surrogate pair, which no encoding takes, becomes a question mark."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def cut(text: str, room: int) -> str:
    """The text in at most `room` bytes of JSON, with an ellipsis where it was cut."""
    if len(text) * 6 <= room or _length(text) <= room:
        return text
    room -= len("…".encode())
    low, high = 0, max(0, min(len(text), room))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _length(text[:middle]) <= room else (low, middle - 1)
    return text[:low] + "…" if room >= 0 else ""


def _length(text: str) -> int:
    return len(encoded(text)) - 2


def secret_text(value: str, variable: str) -> str:
    """A key that is given as its text or as the path of its file.

    Raises:
        SettingsError: the file cannot be read.
    """
    if is_text(value):
        return value.replace("\\n", "\n") if "-----BEGIN" in value and "{" not in value else value
    try:
        return Path(value).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise SettingsError(f"{variable}: is neither a key nor the path of a file that can be read") from None


def is_text(value: str) -> bool:
    """Whether a key is given as its text."""
    return "-----BEGIN" in value or value.lstrip().startswith("{")


def check_own_key(credentials: Mapping[str, str], name: str) -> None:
    """A tenant gives its key as text: a path would be read on our machine, where the installation's own keys are.

    Raises:
        SettingsError: it is something else.
    """
    given = credentials.get(name, "").strip()
    if given and not is_text(given) and not RAW_KEY.fullmatch(given):
        raise SettingsError(f"{name}: must be the key itself")
