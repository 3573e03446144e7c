"""Amazon's SNS on loopback: a real HTTPS server with certificates of its own, which signs messages as SNS does."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from requests.adapters import HTTPAdapter

REGION = "eu-central-1"
HOST = f"sns.{REGION}.amazonaws.com"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:ses-events"
PAGE = "/SimpleNotificationService-0a1b2c3d.pem"
CERTIFICATE = f"https://{HOST}{PAGE}"
SUBSCRIBE = f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t0ken"

SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
SIGNED["UnsubscribeConfirmation"] = SIGNED["SubscriptionConfirmation"]


@dataclass
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue(name: str, *, san: bool = False, ended: bool = False) -> Issued:
    """A certificate issued to a name, by itself; `ended` yesterday."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    until = datetime.now(UTC) + timedelta(days=-1 if ended else 30)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=60))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Issued(builder.sign(key, hashes.SHA256()), key)


@dataclass
class AmazonServer:
    """What SNS would answer, by path; and what it was asked."""

    port: int
    trusted: Path
    signer: Issued
    pages: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def open_session(self) -> requests.Session:
        """Carries requests for Amazon's host to this server; TLS is checked as ever."""
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", _Nearby(self.port, self.trusted))
        return session

    def message(self, event: Any, *, version: str = "1", by: Issued | None = None, **changes: Any) -> bytes:
        """A signed message; a change that is None leaves the field out. What is changed is signed."""
        message = {
            "Type": "Notification",
            "MessageId": str(uuid4()),
            "TopicArn": TOPIC,
            "Message": event if isinstance(event, str) else json.dumps(event),
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE,
        } | changes
        message = {name: value for name, value in message.items() if value is not None}
        names = [name for name in SIGNED.get(message.get("Type", ""), ()) if name in message]
        text = "".join(f"{name}\n{message[name]}\n" for name in names).encode()
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = (by or self.signer).key.sign(text, PKCS1v15(), algorithm)
        return json.dumps(message | {"Signature": b64encode(signature).decode()}).encode()


class _Nearby(HTTPAdapter):
    def __init__(self, port: int, trusted: Path) -> None:
        self._port, self._trusted = port, trusted
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, server_hostname=HOST, assert_hostname=HOST)  # type: ignore[no-untyped-call]

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        assert parts.netloc == HOST, "only Amazon's host is asked"
        request.headers["Host"] = HOST
        request.url = parts._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        return super().send(request, *args, **{**options, "verify": str(self._trusted)})


@contextmanager
def amazon(folder: Path) -> Iterator[AmazonServer]:
    """The server, as long as the block lasts."""
    own, signer = issue(HOST, san=True), issue("sns.amazonaws.com")
    trusted = folder / "amazon.pem"
    trusted.write_bytes(own.pem)
    both = folder / "server.pem"
    both.write_bytes(own.key_pem + own.pem)
    found: list[AmazonServer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found[0].asked.append(self.path)
            status, body, headers = found[0].pages.get(self.path, (404, b"nothing here", {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made = AmazonServer(server.server_address[1], trusted, signer)
    made.pages[PAGE] = (200, signer.pem, {})
    found.append(made)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
