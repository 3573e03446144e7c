"""Firebase Cloud Messaging over HTTP v1, and Google's token endpoint, which logs its service account in.

Source: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages,
https://developers.google.com/identity/protocols/oauth2/service-account
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
import secrets
import time
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

PROJECT: Final = "bellwire-lab"
ACCOUNT: Final = f"push@{PROJECT}.iam.gserviceaccount.com"
SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
TOKEN: Final = "c-Lab0123456789_AbCdEf:APA91b" + "Zz09_-" * 20
AUDIENCE: Final = "https://oauth2.googleapis.com/token"  # of every login, wherever the endpoint is
LIFE: Final = 3599  # seconds of an access token
PAYLOAD_LIMIT: Final = 4096

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_:.%-]{100,4096}")
_RESERVED: Final = re.compile(r"(?:from|message_type)$|google|gcm")
_TTL: Final = re.compile(r"(\d{1,7})(\.\d{1,9})?s")
_SEAL: Final = secrets.token_bytes(32)
_FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"


def service_account(token_uri: str) -> str:
    """The key file of the account that both desks know, JSON. The same key all the while the process lives."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "0f1e2d3c",
            "private_key": _private_key(),
            "client_email": ACCOUNT,
            "client_id": "100000000000000000001",
            "token_uri": token_uri,
        }
    )


class GoogleDesk(Desk):
    """The token endpoint: takes logins signed by the service account."""

    name = "google"

    def identify(self, request: Request) -> tuple[str, str]:
        return "", ""

    def answer(self, request: Request) -> Reply:
        form = request.form()
        if request.path != "/token" or form.get("grant_type") != _GRANT:
            return json_reply(400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"})
        try:
            claims = jwt.decode(form["assertion"], _public_key(), ["RS256"], audience=AUDIENCE, issuer=ACCOUNT)
        except (jwt.PyJWTError, KeyError):
            return json_reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        if claims.get("scope") != SCOPE:
            return json_reply(400, {"error": "invalid_scope", "error_description": "Invalid OAuth scope."})
        return json_reply(200, {"access_token": access_token(), "expires_in": LIFE, "token_type": "Bearer"})


class FcmDesk(Desk):
    """One project. The target is the registration token."""

    name = "fcm"

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def identify(self, request: Request) -> tuple[str, str]:
        """The delivery's id from the data, where Bellwire puts it."""
        message = _message(request)
        data = message.get("data")
        return (data.get("deliveryId", "") if isinstance(data, dict) else ""), str(message.get("token", ""))

    def answer(self, request: Request) -> Reply:
        if not _is_ours(request.headers.get("authorization", "").removeprefix("Bearer ")):
            words = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            return problem(401, "UNAUTHENTICATED", words, code=None)
        if request.path != f"/v1/projects/{PROJECT}/messages:send" or request.method != "POST":
            return problem(404, "NOT_FOUND", "Requested entity was not found.", code=None)
        refusal = _refusal(request)
        if refusal is not None:
            return refusal
        name = f"projects/{PROJECT}/messages/0:{time.time_ns() // 1000}%{next(self._numbers):016x}"
        return json_reply(200, {"name": name})


def access_token(issued: float | None = None) -> str:
    """One that the FCM desk takes for an hour from when it was issued."""
    stamp = str(int(time.time() if issued is None else issued))
    return f"ya29.{stamp}.{hmac.digest(_SEAL, stamp.encode(), hashlib.sha256).hex()}"


def problem(status: int, name: str, words: str, code: str | None = "", field: str = "", **headers: str) -> Reply:
    """An error in Google's form.

    Args:
        name: the general status, ``NOT_FOUND``.
        code: FCM's own; by default the general one, None for errors that are not FCM's.
        field: the part of the request that is wrong.
    """
    details: list[dict[str, Any]] = []
    if code is not None:
        details.append({"@type": _FCM_ERROR, "errorCode": code or name})
    if field:
        details.append({"@type": _BAD_REQUEST, "fieldViolations": [{"field": field, "description": words}]})
    error = {"code": status, "message": words, "status": name, "details": details}
    return json_reply(status, {"error": error}, **headers)


def unregistered() -> Reply:
    """What FCM says of an app that was removed."""
    return problem(404, "NOT_FOUND", "Requested entity was not found.", code="UNREGISTERED")


def _is_ours(token: str) -> bool:
    _, _, rest = token.partition("ya29.")
    stamp = rest.partition(".")[0]
    return stamp.isdigit() and hmac.compare_digest(token, access_token(int(stamp))) and time.time() - int(stamp) < LIFE


def _message(request: Request) -> dict[str, Any]:
    content = request.json()
    message = content.get("message") if isinstance(content, dict) else None
    return message if isinstance(message, dict) else {}


def _refusal(request: Request) -> Reply | None:
    message = _message(request)
    if not message:
        return _invalid("Recipient of the message is not set.", "message")
    if not _TOKEN.fullmatch(str(message.get("token", ""))):
        return _invalid("The registration token is not a valid FCM registration token", "message.token")
    for number, (name, value) in enumerate((message.get("data") or {}).items()):
        if not isinstance(value, str):
            return _invalid(f"Invalid value at 'message.data[{number}].value' (TYPE_STRING), {value}", "message.data")
        if _RESERVED.match(name):
            return _invalid(f"Invalid data payload key: {name}", "message.data")
    android = message.get("android") or {}
    ttl = _TTL.fullmatch(android.get("ttl", "0s"))
    if not ttl or int(ttl[1]) > 28 * 86400:
        return _invalid("Invalid TTL", "message.android.ttl")
    if android.get("priority", "NORMAL") not in {"NORMAL", "HIGH"}:
        return _invalid("Invalid value at 'message.android.priority'", "message.android.priority")
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", (android.get("notification") or {}).get("color", "#000000")):
        return _invalid("Invalid color", "message.android.notification.color")
    if len(request.body) - len(message["token"]) - len('{"message":{"token":"",}}') > PAYLOAD_LIMIT:
        return problem(400, "INVALID_ARGUMENT", "Android message is too big")
    return None


def _invalid(words: str, field: str) -> Reply:
    return problem(400, "INVALID_ARGUMENT", words, field=field)


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def _private_key() -> str:
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return _key().private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode()


@cache
def _public_key() -> rsa.RSAPublicKey:
    return _key().public_key()
