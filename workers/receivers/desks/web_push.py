"""A browser's push service with its browsers: it checks the signature, and they decrypt what they get.

Source: RFC 8030, RFC 8291, RFC 8292; errors as in https://mozilla-services.github.io/autopush-rs/errors.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from collections import OrderedDict
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

BODY_LIMIT: Final = 4096
LONGEST: Final = 86400  # seconds that a signature may be good for
KEPT: Final = 1000  # messages that are remembered decrypted

_VAPID: Final = re.compile(r"vapid t=([\w.-]+), ?k=([\w-]+)", re.IGNORECASE)


class Browser(NamedTuple):
    """One that has subscribed. `server_key`: the VAPID key it was told; None takes any."""

    private: ec.EllipticCurvePrivateKey
    auth: bytes
    server_key: str | None


class WebPushDesk(Desk):
    """The target is the browser's name, the key the delivery's id from what it decrypts.

    Attributes:
        shown: what browsers decrypted, by key: text, or what it is as JSON.
    """

    name = "web_push"

    def __init__(self) -> None:
        self.shown: OrderedDict[str, Any] = OrderedDict()
        self._browsers: dict[str, Browser] = {}

    def subscribe(self, name: str, url: str, server_key: str | None = None) -> str:
        """A browser's PushSubscription as JSON; the same for the same name.

        Args:
            url: the base address of this desk.
        """
        browser = self._browsers.get(name)
        if browser is None:
            browser = Browser(ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(16), server_key)
            self._browsers[name] = browser
        point = browser.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _encoded(point), "auth": _encoded(browser.auth)}
        return json.dumps({"endpoint": f"{url}/wpush/v2/{name}", "expirationTime": None, "keys": keys})

    def identify(self, request: Request) -> tuple[str, str]:
        name = request.path.rpartition("/")[2]
        content = self._decrypted(name, request.body)
        if content is None:
            return "", name
        try:
            shown = json.loads(content)
            key = str(shown["data"]["deliveryId"])
        except (ValueError, KeyError, TypeError):
            shown = content.decode("utf-8", "replace")
            key = hashlib.sha256(content).hexdigest()
        self.shown[key] = shown
        if len(self.shown) > KEPT:
            self.shown.popitem(last=False)
        return key, name

    def answer(self, request: Request) -> Reply:
        name = request.path.rpartition("/")[2]
        browser = self._browsers.get(name)
        if request.method != "POST" or browser is None:
            return problem(404, 102, "Invalid URL endpoint")
        refusal = _unsigned(request, browser) or _malformed(request)
        if refusal is not None:
            return refusal
        if self._decrypted(name, request.body) is None:
            return problem(400, 110, "Invalid crypto keys specified")
        location = f"http://{request.headers.get('host', '')}/{self.name}/m/{secrets.token_hex(8)}"
        return Reply(201, b"", {"Location": location, "TTL": request.headers["ttl"]})

    def _decrypted(self, name: str, body: bytes) -> bytes | None:
        import http_ece  # type: ignore[import-untyped]

        browser = self._browsers.get(name)
        if browser is None:
            return None
        try:
            content = http_ece.decrypt(body, private_key=browser.private, auth_secret=browser.auth)
        except Exception:  # the library lets every kind through
            return None
        return bytes(content)


def problem(status: int, errno: int, words: str, **headers: str) -> Reply:
    """An error as Mozilla words it: ``problem(410, 106, "Subscription has expired")``."""
    return json_reply(status, {"code": status, "errno": errno, "error": "", "message": words}, **headers)


def _unsigned(request: Request, browser: Browser) -> Reply | None:
    """RFC 8292: who we are, for whom it is meant, until when."""
    found = _VAPID.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return problem(401, 109, "Missing or invalid VAPID authorization header")
    token, key = found.groups()
    try:
        point = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        claims = jwt.decode(token, public, ["ES256"], audience=f"http://{request.headers.get('host', '')}")
    except (jwt.PyJWTError, ValueError):
        return problem(401, 109, "Invalid bearer token: invalid JWT")
    if claims.get("exp", 0) - time.time() > LONGEST or not str(claims.get("sub")).startswith(("mailto:", "https://")):
        return problem(401, 109, "Invalid bearer token: invalid JWT")
    if browser.server_key not in {None, key.rstrip("=")}:
        return problem(401, 109, "VAPID public key mismatch")
    return None


def _malformed(request: Request) -> Reply | None:
    headers = request.headers
    if not headers.get("ttl", "").isdigit():
        return problem(400, 111, "Missing TTL Header")
    if headers.get("urgency", "normal") not in {"very-low", "low", "normal", "high"}:
        return problem(400, 111, "Invalid Urgency header")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", headers.get("topic", "none")):
        return problem(400, 113, "Invalid Topic value")
    if headers.get("content-encoding") != "aes128gcm":
        return problem(400, 110, "Unknown Content-Encoding")
    if len(request.body) > BODY_LIMIT:
        return problem(413, 104, "Request payload is too large")
    return None


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
