"""Links that act without a login: signed, each good for one thing and for nothing else."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from time import time
from typing import Any, Final
from uuid import UUID

from itsdangerous import BadSignature, Signer
from pydantic import SecretStr

from config.settings import SettingsError, settings

ACKNOWLEDGE_FOR: Final = 30 * 86400  # seconds that an acknowledge link works at least
LONGEST: Final = 8_192  # characters; the longest ids that there may be make about 5,000

UNSUBSCRIBE: Final = "unsubscribe"
ACKNOWLEDGE: Final = "acknowledge"

# One that is set up once: `json.dumps` makes another for each call that is not as usual.
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class LinkError(Exception):
    """A link that was not made here, or for something else. It does not say which."""


class ExpiredLinkError(LinkError):
    """It was made here, but too long ago."""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """What an unsubscribe link may do: stop one event type on one channel, for a user or for an address."""

    tenant: str
    channel: str
    event: str
    user_id: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """What an acknowledge link may do: take the issue of one notification."""

    tenant: str
    notification_id: str


def unsubscribe_url(*, tenant: str, user_id: str | None, address: str, event: str, channel: str) -> str:
    """The one-click address of a message (RFC 8058). It works for ever; for a user it names the user, not the address.

    Raises:
        SettingsError: there is no key to sign it with.
    """
    who = (user_id,) if user_id is not None else (None, address)
    return f"{_public()}/u/{_signed(UNSUBSCRIBE, (tenant, channel, event, *who))}"


def acknowledge_url(*, tenant: str, notification_id: str, now: float | None = None) -> str:
    """Where a notification is acknowledged without a login, for `ACKNOWLEDGE_FOR` or `ack_ttl`, whichever is longer.

    Args:
        now: time.time() of the message.

    Raises:
        SettingsError: there is no key to sign it with.
    """
    identity = urlsafe_b64encode(UUID(notification_id).bytes).rstrip(b"=").decode()
    return f"{_public()}/a/{_signed(ACKNOWLEDGE, (tenant, identity, int(time() if now is None else now)))}"


def read_unsubscribe(token: str) -> Unsubscribe:
    """What the token of an unsubscribe link allows. Raises LinkError."""
    tenant, channel, event, user_id, *address = _read(UNSUBSCRIBE, token)
    return Unsubscribe(tenant, channel, event, user_id, address[0] if address else None)


def read_acknowledge(token: str) -> Acknowledge:
    """What the token of an acknowledge link allows. Raises LinkError; ExpiredLinkError when it was once good."""
    tenant, identity, made = _read(ACKNOWLEDGE, token)
    if time() - made > max(ACKNOWLEDGE_FOR, settings().ack_ttl):
        raise ExpiredLinkError
    return Acknowledge(tenant, str(UUID(bytes=urlsafe_b64decode(identity + "=="))))


def _public() -> str:
    return settings().public_url.rstrip("/")


def _signed(purpose: str, content: tuple[Any, ...]) -> str:
    """About 12 us. The library's own serializer compresses each text to see whether that is shorter: 65 us."""
    payload = urlsafe_b64encode(_COMPACT.encode(content).encode()).rstrip(b"=")
    return _signer(settings().secret_key, purpose).sign(payload).decode()


def _read(purpose: str, token: str) -> list[Any]:
    if len(token) > LONGEST or not token.isascii():
        raise LinkError
    try:
        payload = _signer(settings().secret_key, purpose).unsign(token)
    except (BadSignature, SettingsError):
        raise LinkError from None  # without a key no link is ours
    content: list[Any] = json.loads(urlsafe_b64decode(payload + b"=="))
    return content


@lru_cache(maxsize=16)
def _signer(keys: tuple[SecretStr, ...], purpose: str) -> Signer:
    """The first of `keys` signs, all are accepted. A purpose has a key of its own, derived from these."""
    if not keys:
        raise SettingsError("BELLWIRE_SECRET_KEY: is not set; it signs the links in messages")
    oldest_first = [key.get_secret_value().encode() for key in reversed(keys)]
    salt = f"bellwire-{purpose}".encode()
    return Signer(oldest_first, salt=salt, key_derivation="hmac", digest_method=sha256)
