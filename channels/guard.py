"""Keeps webhooks out of private networks (server-side request forgery), by the address that the socket connects to.

What a name resolves to, today or in a second, does not matter: every new socket is checked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from config.settings import Network
from domain.errors import InvalidInputError

URL_LIMIT: Final = 2048
SETTING: Final = "BELLWIRE_WEBHOOK_ALLOW_NETWORKS"

# An explicit list: `is_global` says yes to NAT64 and 6to4 forms of 169.254.169.254, to multicast and to 168.63.129.16.
REFUSED: Final[tuple[Network, ...]] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches loopback
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers, and the metadata of some clouds
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own services behind a public address
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",  # reserved, and 255.255.255.255
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64: an IPv4 address in disguise
        "64:ff9b:1::/48",
        "100::/64",
        "100:0:0:1::/64",
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


LOOPBACK: Final[tuple[str, ...]] = ("127.0.0.1", "::1")


class AddressRefusedError(OSError):
    """The address lies in a network that webhooks may not reach. Says no address: the text is shown to tenants."""

    def __init__(self) -> None:
        super().__init__(f"address not allowed; see {SETTING}")


class Guard:
    """Decides about addresses. `allowed` networks pass although they are on the list."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def permits(self, address: str) -> bool:
        """Whether a socket may connect to this numeric address; False for what is no address."""
        try:
            parsed = _unwrapped(ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        if any(parsed in network for network in self._allowed):
            return True
        return not any(parsed in network for network in REFUSED)

    def open_socket(self, info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        """The socket for one result of `getaddrinfo`; aiohttp connects it to nothing but `info`.

        Raises:
            AddressRefusedError: before a socket exists.
        """
        family, kind, protocol, _, target = info
        if not self.permits(target[0]):
            raise AddressRefusedError
        return socket.socket(family, kind, protocol)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside ``::ffff:a.b.c.d``, which the kernel connects to as IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


Lookup = Callable[..., Sequence[tuple[Any, Any, int, str, tuple[Any, ...]]]]


class GuardedResolver(AbstractResolver):
    """Names to permitted addresses.

    Has threads of its own: a name server that never answers blocks a thread for half a minute, and those of the
    event loop are needed for the database.
    """

    def __init__(self, guard: Guard, lookup: Lookup = socket.getaddrinfo, threads: int = 16) -> None:
        self._guard = guard
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The permitted addresses of a name.

        Raises:
            AddressRefusedError: the name has addresses and none is permitted.
            socket.gaierror: the name has none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, self._lookup, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
        permitted = [info for info in found if self._guard.permits(info[4][0])]
        if found and not permitted:
            raise AddressRefusedError
        return [
            ResolveResult(
                hostname=host,
                host=info[4][0],
                port=info[4][1],
                family=info[0],
                proto=info[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for info in permitted
        ]

    async def close(self) -> None:
        """Let the threads go; one that waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def check_url(url: str, guard: Guard | None = None) -> URL:
    """The URL of a webhook as it will be requested; with `guard`, a private address in it is refused at once.

    Parsed by the library that connects, so that both read the same host.

    Raises:
        InvalidInputError: on field ``url``, in words for whoever registers it.
    """
    if len(url) > URL_LIMIT:
        raise InvalidInputError("url", f"must be at most {URL_LIMIT} characters")
    if not url.isprintable() or " " in url:
        raise InvalidInputError("url", "must not contain spaces or control characters")
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        raise InvalidInputError("url", "is not a URL; it should look like https://example.org/hook") from None
    if parsed.scheme not in {"http", "https"}:
        raise InvalidInputError("url", "must begin with https:// or http://")
    if not host or not all(0 < len(label) <= 63 for label in host.removesuffix(".").split(".")) or len(host) > 253:
        raise InvalidInputError("url", "must name a host")
    if parsed.user is not None or parsed.password is not None or "@" in parsed.raw_authority:
        raise InvalidInputError("url", "must not contain a user or password; send them in a header")
    if not port:
        raise InvalidInputError("url", "must have a port between 1 and 65535")
    _check_host(host, guard)
    return parsed.with_fragment(None)


def _check_host(host: str, guard: Guard | None) -> None:
    """Refuse numeric hosts that are written in a form only C libraries understand, and what the guard refuses.

    Names are looked up when something is sent; only `localhost` is sure to be private everywhere (RFC 6761).
    """
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        if _is_legacy_number(host):
            raise InvalidInputError("url", "must write an IPv4 address as four decimal numbers") from None
        if not _is_localhost(host):
            return
        addresses = LOOPBACK
    else:
        addresses = (host,)
    if guard is not None and not any(map(guard.permits, addresses)):
        raise InvalidInputError("url", f"must not point to a private or reserved address, unless {SETTING} allows it")


def _is_localhost(host: str) -> bool:
    return host.lower().removesuffix(".").rpartition(".")[2] == "localhost"


def _is_legacy_number(host: str) -> bool:
    """``2130706433``, ``0x7f.1``, ``127.1``, ``0177.0.0.1``: loopback, to a C library."""
    try:
        socket.inet_aton(host.rstrip("."))
    except (OSError, UnicodeEncodeError):
        return False
    return True
