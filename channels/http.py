"""HTTP for the ways out: connections that are kept, one deadline for the whole exchange, and every ending named.

Whoever sends over HTTP calls `exchange` and sees an answer or one of the three errors, never the library's own.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from channels.base import NotSentError, OutcomeUnknownError, RefusedError, SendError
from channels.guard import AddressRefusedError, Guard, GuardedResolver

ANSWER_LIMIT: Final = 64 * 1024  # bytes of an answer that are read at most
CONNECT_TIMEOUT: Final = 4.0  # seconds; shorter than every deadline, so that what ends here was certainly not sent
KEEP_ALIVE: Final = 1.5  # seconds; shorter than common servers', or they hang up just when we write
CONNECTIONS: Final = 512  # per process; above every bulkhead, which is what really limits


_KEPT: Final[dict[str, Any]] = {"limit": CONNECTIONS, "keepalive_timeout": KEEP_ALIVE}


class UnreachableError(NotSentError):
    """Refused or not found: nobody was there, so another try a second later is free."""


class Answer(NamedTuple):
    """What came back. `body` holds at most `ANSWER_LIMIT` bytes, and less if the rest came too slowly."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class _GuardedConnector(aiohttp.TCPConnector):
    """Connects to what the guard permits, and closes the resolver that it brought along."""

    def __init__(self, guard: Guard) -> None:
        self._names = GuardedResolver(guard)
        super().__init__(resolver=self._names, socket_factory=guard.open_socket, **_KEPT)

    async def close(self, *, abort_ssl: bool = False) -> None:
        await super().close(abort_ssl=abort_ssl)
        await self._names.close()


def timeout_of(seconds: float) -> aiohttp.ClientTimeout:
    """The timeout for an exchange that ends within `seconds`. Build it once, it is on the hot path."""
    return aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT_TIMEOUT, seconds * 0.9), ceil_threshold=seconds + 1)


def open_session(
    timeout: aiohttp.ClientTimeout, guard: Guard | None = None, headers: Mapping[str, str] | None = None
) -> aiohttp.ClientSession:
    """A session for one provider on the running loop, without cookies and without decompression.

    With a guard every socket is checked. Proxies of the environment are ignored: they would connect for us, past the
    guard.
    """
    connector = _GuardedConnector(guard) if guard else aiohttp.TCPConnector(**_KEPT)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding"),
    )


async def exchange(
    session: aiohttp.ClientSession,
    url: URL | str,
    body: bytes,
    headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
) -> Answer:
    """POST once and read the answer. Once the status is known it stands, however the body ends.

    Raises:
        UnreachableError, NotSentError, RefusedError, OutcomeUnknownError: no status came; the text has no address.
    """
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False, timeout=timeout) as response:
            return Answer(response.status, response.headers, await _read(response))
    except (aiohttp.ClientError, OSError) as error:
        raise ending(error, timeout.total) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body up to the limit. What breaks here breaks after the answer, so it is no error."""
    stream = response.content
    if stream.is_eof():
        return stream.read_nowait(ANSWER_LIMIT)
    chunks: list[bytes] = []
    left = ANSWER_LIMIT
    try:
        while left > 0 and (chunk := await stream.read(left)):
            chunks.append(chunk)
            left -= len(chunk)
    except (aiohttp.ClientError, OSError):
        response.close()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def ending(error: BaseException, total: float | None = None) -> SendError:
    """Which of the errors this one of the library is, decided by whether bytes can have left."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return NotSentError("TLS: the certificate is not valid for the host")
        case aiohttp.ClientConnectorError():
            return not_connected(error.os_error)
        case aiohttp.ConnectionTimeoutError():
            return NotSentError("no connection in time")
        case aiohttp.InvalidURL():
            return RefusedError("URL not allowed")
        case TimeoutError():
            return OutcomeUnknownError(f"no answer within {total:g} s" if total else "no answer in time")
        case aiohttp.ClientResponseError():
            return OutcomeUnknownError("the answer is not HTTP")
        case _:
            return OutcomeUnknownError("the connection was lost before the answer")


def not_connected(error: OSError) -> SendError:
    """Which of the errors it is when no connection came about."""
    match error:
        case AddressRefusedError():
            return RefusedError(str(error))
        case ConnectionRefusedError():
            return UnreachableError("connection refused")
        case socket.gaierror():
            return UnreachableError("host not found")
        case ssl.SSLError():
            return NotSentError("TLS: the handshake failed")
        case _:
            return NotSentError(f"no connection ({errno.errorcode.get(error.errno or 0, 'network')})")


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from a ``Retry-After`` header, whole seconds or an HTTP date; None for the past and for nonsense."""
    if not value:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII):
        return float(value) or None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None
