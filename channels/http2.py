"""HTTP/2 for a provider that speaks nothing else: one connection for everything, opened anew when it is gone."""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from channels.base import NotSentError, OutcomeUnknownError
from channels.http import CONNECT_TIMEOUT, not_connected
from channels.http2_connection import Answer, Connection, Headers, NotProcessedError

OPENINGS: Final = 3  # connections that one request tries: a server that says goodbye has done nothing with it


class Http2Client:
    """Posts to one server, on one event loop. `http://` is HTTP/2 without encryption and without asking before."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._context: ssl.SSLContext | None = None
        self._connection: Connection | None = None
        self._retired: set[Connection] = set()
        self._opening: asyncio.Lock | None = None

    async def post(self, headers: Headers, body: bytes, seconds: float) -> Answer:
        """One request, with all its headers, and its answer within `seconds`.

        Raises:
            NotSentError, OutcomeUnknownError: no status came; the text has no address.
        """
        end = asyncio.get_running_loop().time() + seconds
        left = OPENINGS
        while True:
            connection = await self._turn(end)
            began, left = monotonic(), left - 1
            try:
                async with asyncio.timeout_at(end):
                    return await connection.exchange(headers, body)
            except NotProcessedError:
                if not left:
                    raise
            except TimeoutError:
                if connection.heard < began:  # nothing for anybody: the connection may be dead
                    self._replace(connection)
                raise OutcomeUnknownError(f"no answer within {seconds:g} s") from None

    async def close(self) -> None:
        """Close the connections; the next request opens a new one."""
        connection, self._connection = self._connection, None
        for one in {connection, *self._retired} - {None}:
            assert one is not None
            one.close()
        self._retired.clear()

    async def _turn(self, end: float) -> Connection:
        """A connection on which the next request may begin at once."""
        try:
            async with asyncio.timeout_at(end):
                for _ in range(OPENINGS):
                    connection = await self._connected()
                    if await connection.turn():
                        return connection
        except TimeoutError:
            raise NotSentError("no free place on a connection in time") from None
        raise NotSentError("the server ended each connection at once")

    async def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None and not connection.is_closing and not connection.is_silent:
            return connection
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            connection = self._connection
            if connection is not None and not connection.is_closing and await connection.is_alive():
                return connection
            if connection is not None:
                self._replace(connection)
            self._connection = await self._open()
            return self._connection

    def _replace(self, connection: Connection) -> None:
        """Begin nothing more on it. What is under way ends there, in its own time."""
        if self._connection is connection:
            self._connection = None
        self._retired = {one for one in self._retired if not one.is_closed}
        self._retired.add(connection)
        connection.retire()

    async def _open(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self._tls and self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["h2"])
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                transport, connection = await loop.create_connection(
                    Connection, self._host, self._port, ssl=self._context
                )
        except TimeoutError:
            raise NotSentError("no connection in time") from None
        except ssl.SSLCertVerificationError:
            raise NotSentError("TLS: the certificate is not valid for the host") from None
        except OSError as error:
            raise not_connected(error) from None
        if connection.is_closing:
            transport.abort()
            raise NotSentError("the server does not speak HTTP/2")
        return connection
