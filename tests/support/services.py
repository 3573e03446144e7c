"""The internet as far as Apprise's plugins know it: a proxy on loopback that is every service at once.

The plugins have fixed addresses, so they cannot be pointed elsewhere; but `requests`, which they use, goes through
HTTPS_PROXY and believes REQUESTS_CA_BUNDLE. So the plugin, its URL, TLS and HTTP are all real, and the host that it
wanted to reach is written down.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from workers.receivers.http import HttpReceiver, parse_head


class Services(HttpReceiver):
    """Takes CONNECT, then whatever is said inside; answers 200 with an empty object unless a script says otherwise.

    Attributes:
        hosts: where somebody wanted to connect to, as ``host:port``, in their order.
    """

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        super().__init__()
        self.hosts: list[str] = []
        self._folder = folder
        self._context = _certificate(folder, names)

    def environment(self) -> Mapping[str, str]:
        """The variables with which a process takes this for the internet."""
        bundle = str(self._folder / "authority.pem")
        ways = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), self.url)
        return {**ways, "NO_PROXY": "", "no_proxy": "", "REQUESTS_CA_BUNDLE": bundle}

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        if writer.get_extra_info("sslcontext") is not None:
            return await super()._one(reader, writer, number)
        target, _ = parse_head(await reader.readuntil(b"\r\n\r\n"))
        self.hosts.append(target)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._context)
        return True

    def identify(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """The key is the body, the target the host."""
        return body.decode("utf-8", "replace"), headers.get("host", "")


def _certificate(folder: Path, names: tuple[str, ...]) -> ssl.SSLContext:
    """A certificate for those names, vouched for by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "every service")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "authority.pem").write_bytes(made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "authority.pem", folder / "key.pem")
    return context
