"""Amazon's own pages: the certificates that SNS signs with, and the addresses that confirm a subscription.

An address is fetched only when it is of the region of a topic of ours. Source:
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

from channels.receipts.base import ForgedError, NotNowError

if TYPE_CHECKING:
    import requests

TIMEOUT: Final = (3.0, 5.0)  # seconds to connect, and between two pieces of the answer
LONGEST: Final = 10.0  # seconds for the whole answer
LARGEST: Final = 64 * 1024  # bytes; a certificate has two thousand
KEPT: Final = timedelta(days=1)
MOST_KEPT: Final = 50
FETCHES_A_MINUTE: Final = 10  # anybody can make us ask Amazon for a certificate that does not exist

_TOPIC: Final = re.compile(r"arn:aws(?:-cn|-us-gov)?:sns:([a-z0-9-]{3,30}):\d{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE: Final = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,100}\.pem")

# What each region's certificates are issued to, beside the name of its host; as Amazon's SDK for Java has it:
# https://github.com/aws/aws-sdk-java-v2, services-custom/sns-message-manager, SnsHostProvider.
ISSUED_TO: Final = (
    "sns.amazonaws.com",
    "sns-us-gov-west-1.amazonaws.com",
    "sns-signing.{region}.amazonaws.com",
    "sns-{region}.amazonaws.com.cn",
    "sns.{region}.amazonaws.com",
    "sns.{region}.amazonaws.com.cn",
)


def region_of(topic: str) -> str:
    """The region in a topic's ARN. Raises ForgedError when it is no ARN of a topic."""
    found = _TOPIC.fullmatch(topic)
    if found is None:
        raise ForgedError("The topic is not the ARN of one.")
    return found[1]


def check_host(url: str, region: str) -> str:
    """The path of an address that is certainly Amazon's. Raises ForgedError for any other."""
    hosts = (f"sns.{region}.amazonaws.com", f"sns.{region}.amazonaws.com.cn")
    # What is compared is the text itself: parsers disagree about userinfo, backslashes, ports and odd characters.
    begun = next((f"https://{host}/" for host in hosts if url.startswith(f"https://{host}/")), None)
    if begun is None or not re.fullmatch(r"[!-~]{1,2000}", url) or "\\" in url or "#" in url:
        raise ForgedError("The address is not Amazon's.")
    return urlsplit(url).path


class Amazon:
    """Fetches from Amazon, with limits on time, size and number. Safe to use from several threads."""

    def __init__(self, open_session: Callable[[], requests.Session] | None = None) -> None:
        """`open_session`: who carries the requests; by default `requests`, with the machine's certificates."""
        self._open_session = open_session or _session
        self._fetching = threading.Lock()
        self._keys: dict[str, tuple[float, x509.Certificate]] = {}
        self._fetched: list[float] = []

    def key(self, url: str, region: str, now: datetime) -> RSAPublicKey:
        """The key of the certificate at an address, which is valid now and issued to SNS.

        Raises:
            ForgedError: the address or the certificate is not that of SNS.
            NotNowError: it could not be fetched.
        """
        if not _CERTIFICATE.fullmatch(check_host(url, region)) or "?" in url:
            raise ForgedError("The address of the certificate is not one of SNS.")
        certificate = self._certificate(url)
        key = certificate.public_key()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise ForgedError("The certificate is not valid at this time.")
        wanted = {name.format(region=region) for name in ISSUED_TO}
        if not wanted & set(_names(certificate)) or not isinstance(key, RSAPublicKey):
            raise ForgedError("The certificate was not issued to SNS.")
        return key

    def confirm(self, url: str, region: str) -> None:
        """Open the address that confirms a subscription. Raises ForgedError or NotNowError."""
        check_host(url, region)
        self._fetch(url)

    def _certificate(self, url: str) -> x509.Certificate:
        kept = self._keys.get(url)
        if kept is not None and monotonic() - kept[0] < KEPT.total_seconds():
            return kept[1]
        try:
            certificate = x509.load_pem_x509_certificate(self._fetch(url))
        except ValueError:
            raise ForgedError("There is no certificate at its address.") from None
        if len(self._keys) >= MOST_KEPT:
            self._keys.clear()
        self._keys[url] = monotonic(), certificate
        return certificate

    def _fetch(self, url: str) -> bytes:
        """One at a time; nobody waits long for another's."""
        if not self._fetching.acquire(timeout=LONGEST):
            raise NotNowError("Amazon's certificates are being fetched.")
        try:
            self._fetched = [one for one in self._fetched if monotonic() - one < 60.0]
            if len(self._fetched) >= FETCHES_A_MINUTE:
                raise NotNowError("Too many of Amazon's certificates were asked for.")
            self._fetched.append(monotonic())
            return self._get(url)
        finally:
            self._fetching.release()

    def _get(self, url: str) -> bytes:
        import requests

        until = monotonic() + LONGEST
        body = bytearray()
        try:
            with (
                self._open_session() as session,
                session.get(url, timeout=TIMEOUT, allow_redirects=False, stream=True) as answer,
            ):
                for piece in answer.iter_content(8192):
                    body += piece
                    if len(body) > LARGEST or monotonic() > until:
                        raise NotNowError("Amazon's answer is too long.")
        except (requests.RequestException, OSError):
            raise NotNowError("Amazon does not answer.") from None
        if 400 <= answer.status_code < 500 and answer.status_code not in {408, 429}:
            raise ForgedError("There is nothing at Amazon's address.")
        if answer.status_code != 200:
            raise NotNowError(f"Amazon answers {answer.status_code}.")
        return bytes(body)


def _session() -> requests.Session:
    import requests

    return requests.Session()


def _names(certificate: x509.Certificate) -> list[str]:
    """Whom a certificate was issued to."""
    names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        more = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return names + more.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        return names
