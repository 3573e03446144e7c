"""An account on a mail server: where it is, as whom, and how to get there without reaching what it must not."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from channels.guard import AddressRefusedError, Guard


@dataclass(frozen=True, slots=True)
class Account:
    """Where and as whom: ``smtp://user:password@host:587?starttls=true`` or ``smtps://``.

    Without `starttls` in the URL it is demanded exactly when there is a password, which must not travel in clear.
    `guard`: checks the address that the socket connects to; None for the installation's own server.
    """

    host: str
    port: int
    implicit_tls: bool
    starttls: bool
    user: str = ""
    password: str = ""
    guard: Guard | None = None

    @classmethod
    def from_url(cls, url: str) -> Account:
        """Raises ValueError: a sentence that does not repeat the URL."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("must look like smtp://user:password@host:587?starttls=true") from None
        if parts.scheme not in {"smtp", "smtps"} or not host or port == 0:
            raise ValueError("must look like smtp://user:password@host:587?starttls=true or smtps://user:password@host")
        starttls = parse_qs(parts.query).get("starttls", ["true" if parts.password else "false"])[-1].lower()
        if starttls not in {"true", "false"}:
            raise ValueError("starttls must be true or false")
        implicit = parts.scheme == "smtps"
        return cls(
            host=host,
            port=port or (465 if implicit else 587 if starttls == "true" else 25),
            implicit_tls=implicit,
            starttls=starttls == "true" and not implicit,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


def connect(account: Account, timeout: float) -> socket.socket:
    """A connection to the first address of the server that answers, within `timeout` seconds for each.

    Raises:
        AddressRefusedError: the guard lets none of them through.
        OSError: none answered.
    """
    if account.guard is None:
        return socket.create_connection((account.host, account.port), timeout)
    failure: OSError | None = None
    for info in socket.getaddrinfo(account.host, account.port, 0, socket.SOCK_STREAM):
        try:
            return _open(info, timeout, account.guard)
        except OSError as error:
            failure = error if failure is None or isinstance(failure, AddressRefusedError) else failure
    raise failure or OSError("the host has no address")


def _open(info: tuple[Any, Any, int, str, tuple[Any, ...]], timeout: float, guard: Guard) -> socket.socket:
    connection = guard.open_socket(info)
    try:
        connection.settimeout(timeout)
        connection.connect(info[4])
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def tls_context() -> ssl.SSLContext:
    """Certificates are verified; loading the authorities takes 20 ms."""
    return ssl.create_default_context()
