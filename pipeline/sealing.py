"""Secrets at rest (Fernet): sealed with the first of BELLWIRE_SECRET_KEY, opened with any of them."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode, urlsafe_b64encode
from functools import cache, lru_cache
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from config.settings import SettingsError, settings

WEBHOOK_PREFIX = "whsec_"


@cache
def _seal() -> MultiFernet:
    keys = settings().secret_key
    if not keys:
        raise SettingsError("BELLWIRE_SECRET_KEY: is not set; it encrypts stored secrets")
    # A key of any length and form becomes the 32 bytes that Fernet wants.
    return MultiFernet(
        [Fernet(urlsafe_b64encode(sha256(b"bellwire-seal" + key.get_secret_value().encode()).digest())) for key in keys]
    )


def sealed(secret: bytes) -> str:
    """The secret as it may be stored."""
    return _seal().encrypt(secret).decode()


@lru_cache(maxsize=10_000)
def opened(stored: str) -> bytes:
    """The secret behind a stored text; remembered, because opening one costs as much as sending a webhook.

    Raises:
        SettingsError: the key that sealed it is no longer among BELLWIRE_SECRET_KEY.
    """
    return opened_once(stored)


def keyed(value: bytes) -> bytes:
    """What only the first of BELLWIRE_SECRET_KEY makes of a value: the same of the same, and no way back.

    Raises:
        SettingsError: there is no key.
    """
    keys = settings().secret_key
    if not keys:
        raise SettingsError("BELLWIRE_SECRET_KEY: is not set; it keeps secrets from being guessed")
    key = sha256(b"bellwire-keyed" + keys[0].get_secret_value().encode()).digest()
    return hmac.digest(key, value, "sha256")


def opened_once(stored: str) -> bytes:
    """The secret behind a stored text, kept nowhere. Raises SettingsError as `opened` does."""
    try:
        return _seal().decrypt(stored.encode())
    except InvalidToken:
        raise SettingsError("BELLWIRE_SECRET_KEY: a stored secret was sealed with a key that is not listed") from None


def webhook_secret_text(secret: bytes) -> str:
    """A webhook's secret as its owner sees it (Standard Webhooks: ``whsec_`` and base64)."""
    return WEBHOOK_PREFIX + b64encode(secret).decode()


def webhook_secret_bytes(written: str) -> bytes:
    """The signing key in a ``whsec_`` text. Raises ValueError when it is none or not 24 to 64 bytes long."""
    if not written.startswith(WEBHOOK_PREFIX):
        raise ValueError("must begin with whsec_")
    secret = b64decode(written.removeprefix(WEBHOOK_PREFIX), validate=True)
    if not 24 <= len(secret) <= 64:
        raise ValueError("must hold 24 to 64 bytes in base64")
    return secret
