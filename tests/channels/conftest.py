"""Receivers on loopback, and settings that know nothing of the machine they are tested on."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from channels.base import Provider
from channels.registry import PROVIDERS
from config.settings import Settings
from workers.receivers.desks import postmark, resend, sendgrid, ses
from workers.receivers.http import HttpReceiver
from workers.receivers.lab import Lab
from workers.receivers.mail import MailReceiver
from workers.receivers.telegram import TelegramReceiver
from workers.receivers.together import Receivers, Running

T = TypeVar("T")


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    with Receivers() as running:
        yield running


@pytest.fixture
def hooks(receivers: Receivers) -> HttpReceiver:
    return receivers.webhook


@pytest.fixture
def bot_api(receivers: Receivers) -> TelegramReceiver:
    return receivers.telegram


@pytest.fixture
def mail(receivers: Receivers) -> MailReceiver:
    return receivers.mail


@pytest.fixture
def lab(receivers: Receivers) -> Lab:
    return receivers.lab


@pytest.fixture
def email_provider(lab: Lab, make_settings: Callable[..., Settings]) -> Callable[..., Provider]:
    """An email provider with an API, by its name, with the account of its desk in the lab."""
    accounts = {
        "resend": {"resend_url": lab.url_of("resend"), "resend_api_key": resend.KEY},
        "sendgrid": {"sendgrid_url": lab.url_of("sendgrid"), "sendgrid_api_key": sendgrid.KEY},
        "postmark": {"postmark_url": lab.url_of("postmark"), "postmark_token": postmark.TOKEN},
        "ses": {
            "ses_url": lab.url_of("ses"),
            "aws_access_key_id": ses.KEY_ID,
            "aws_secret_access_key": ses.SECRET,
            "aws_region": ses.REGION,
        },
    }

    def make(name: str, kind: type[Provider] | None = None, **values: Any) -> Provider:
        provider = (kind or PROVIDERS["email"][name]).from_settings(make_settings(**{**accounts[name], **values}))
        assert provider is not None
        return provider

    return make


@pytest.fixture
def serve() -> Iterator[Callable[[Any], Any]]:
    """Runs one more receiver until the test ends."""
    running: list[Running] = []

    def start(receiver: Any) -> Any:
        running.append(Running(receiver).__enter__())
        return receiver

    yield start
    for one in running:
        one.__exit__(None, None, None)


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings from these values alone, with the demo's sender."""

    def make(**values: Any) -> Settings:
        return Settings(_env_file=None, **{"email_from": "Bellwire <bellwire@example.org>", **values})

    return make


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine on the event loop that workers use."""
    return uvloop.run


@pytest.fixture
def within() -> Callable[[type[Provider], float], type[Provider]]:
    """The same provider with a shorter deadline, so that a test of it does not take its ten seconds."""

    def shortened(kind: type[Provider], seconds: float) -> type[Provider]:
        return type(kind.__name__, (kind,), {"capabilities": replace(kind.capabilities, deadline=seconds)})

    return shortened


@dataclass(frozen=True)
class Certificate:
    """A server's context for `localhost`, and the file of the one authority that vouches for it: itself."""

    server: ssl.SSLContext
    authority: Path


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (tmp_path / "certificate.pem").write_bytes(made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return Certificate(context, tmp_path / "certificate.pem")
