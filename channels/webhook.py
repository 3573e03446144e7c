"""Webhooks (B-5, E-36..E-38): the rendered bytes, signed as Standard Webhooks say, posted to an endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Self

import aiohttp
from yarl import URL

from channels.base import Address, Bulkhead, Capabilities, Message, NotSentError, Provider, Receipt, RefusedError
from channels.guard import Guard, check_url
from channels.http import Answer, UnreachableError, exchange, open_session, retry_after, timeout_of
from config.settings import Settings
from domain.errors import InvalidInputError

DEADLINE: Final = 10.0  # seconds (E-36)
QUICK_RETRIES: Final = 3  # within one attempt, and only when nobody was there (E-36, F.4)
QUICK_RETRY_DELAY: Final = 1.0

_FIXED_HEADERS: Final = {"User-Agent": "NotificationSystem/1.0", "Content-Type": "application/json"}
_OURS: Final = frozenset({"host", "user-agent", "x-webhook-signature", "expect", "te", "trailer", "upgrade"})
_OUR_PREFIXES: Final = ("webhook-", "proxy-", "content-", "transfer-", "connection", "keep-alive")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_TRY_AGAIN: Final = frozenset({408, 425, 429})


class WebhookProvider(Provider):
    """Posts `Message.body` as it is. An endpoint needs no account, so this provider is always configured."""

    channel = "webhook"
    name = "webhook"
    capabilities = Capabilities(
        parts=frozenset({"body"}), bulkhead=Bulkhead(concurrent=256, waiting=0, shared=False), deadline=DEADLINE
    )

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._timeout = timeout_of(self.capabilities.deadline)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Guarded, except for the networks that the settings let through."""
        return cls(Guard(settings.webhook_allow_networks))

    async def send(self, message: Message, address: Address) -> Receipt:
        """Post once; see `Provider.send`. Nobody there: up to three quick retries within the deadline."""
        url = _target(address.value)
        headers = signed_headers(message.delivery_id, message.body, address.secrets, int(time.time()))
        if address.headers:
            headers.update(permitted_headers(address.headers))
        if self._session is None:
            self._session = open_session(self._timeout, self._guard, _FIXED_HEADERS)
        return _receipt(await self._post(self._session, url, message.body, headers))

    async def _post(self, session: aiohttp.ClientSession, url: URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One exchange; when nobody was there, up to three more within the same deadline."""
        timeout, end, retries = self._timeout, time.monotonic() + self.capabilities.deadline, 0
        while True:
            try:
                return await exchange(session, url, body, headers, timeout)
            except UnreachableError:
                left = end - time.monotonic() - QUICK_RETRY_DELAY
                if retries == QUICK_RETRIES or left <= 0:
                    raise
            retries += 1
            await asyncio.sleep(QUICK_RETRY_DELAY)
            timeout = timeout_of(left)

    def breaker_key(self, address: Address) -> str:
        """Per endpoint; per host for an address that is no registered endpoint."""
        return f"webhook:{address.endpoint or URL(address.value).host}"

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def signed_headers(delivery_id: str, body: bytes, secrets: Sequence[bytes], timestamp: int) -> dict[str, str]:
    """Standard Webhooks headers with a signature for every secret, and the plain HMAC with the newest (E-38).

    Args:
        secrets: raw bytes, newest first; without any the message goes unsigned.
        timestamp: of this attempt, in whole seconds since the epoch.
    """
    stamp = str(timestamp)
    headers = {"webhook-id": delivery_id, "webhook-timestamp": stamp}
    if secrets:
        signed = f"{delivery_id}.{stamp}.".encode() + body
        headers["webhook-signature"] = " ".join(
            "v1," + b2a_base64(_keyed(secret)(signed), newline=False).decode() for secret in secrets
        )
        headers["X-Webhook-Signature"] = "sha256=" + _keyed(secrets[0])(body).hex()
    return headers


@lru_cache(maxsize=4096)
def _keyed(secret: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 (RFC 2104) with the key's two blocks hashed once; `hmac.digest` takes twice as long a message."""
    block = (hashlib.sha256(secret).digest() if len(secret) > 64 else secret).ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))

    def sign(content: bytes) -> bytes:
        first, second = inner.copy(), outer.copy()
        first.update(content)
        second.update(first.digest())
        return second.digest()

    return sign


def permitted_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those custom headers that may be sent: well-formed, and neither ours nor about the connection."""
    return {name: value for name, value in headers.items() if _is_permitted(name, value)}


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse at registration what `permitted_headers` would leave out.

    Raises:
        InvalidInputError: on field ``headers``; it names the header, never its value.
    """
    for name, value in headers.items():
        if not _is_permitted(name, value):
            shown = name if _HEADER_NAME.fullmatch(name) else "one of them"
            raise InvalidInputError("headers", f"{shown} is reserved or not a well-formed header")


def _is_permitted(name: str, value: str) -> bool:
    lower = name.lower()
    return (
        _HEADER_NAME.fullmatch(name) is not None
        and lower not in _OURS
        and not lower.startswith(_OUR_PREFIXES)
        and (value.isprintable() and len(value) <= 4096)
    )


@lru_cache(maxsize=4096)
def _target(url: str) -> URL:
    """The URL parsed once; endpoints are few and sends are many."""
    try:
        return check_url(url)
    except InvalidInputError:
        raise RefusedError("URL not allowed") from None


def _receipt(answer: Answer) -> Receipt:
    """The status decides (E-38): 2xx is sent, some say later, the rest is final."""
    status = answer.status
    if 200 <= status < 300:
        return Receipt(detail=f"HTTP {status}")
    if status >= 500 or status in _TRY_AGAIN:
        wait = retry_after(answer.headers.get("Retry-After"))
        # An endpoint that says when to come back works; it is obeyed and not held against it.
        raise NotSentError(f"HTTP {status}", retry_after=wait, provider_failed=not (status == 429 and wait))
    if 300 <= status < 400:
        raise RefusedError(f"HTTP {status}: redirects are not followed")
    raise RefusedError("HTTP 410: gone" if status == 410 else f"HTTP {status}")
