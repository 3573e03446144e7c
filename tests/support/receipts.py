"""What providers would send: calls signed as each of them signs, with secrets of the tests' own."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator

from channels.receipts.base import Call
from tests.support.amazon import TOPIC

PUBLIC = "https://bell.example.org"
SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
SENDGRID_PUBLIC = b64encode(
    SENDGRID_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()

SECRETS: Mapping[str, Mapping[str, str]] = {
    "resend": {"webhook_secret": "whsec_" + b64encode(b"the secret of Resend's webhook").decode()},
    "sendgrid": {"webhook_secret": SENDGRID_PUBLIC},
    "ses": {"topic_arns": f"arn:aws:sns:us-east-1:123456789012:other, {TOPIC}"},
    "postmark": {"webhook_secret": "postmark:a password with : and ü"},
    "twilio": {"auth_token": "the auth token of Twilio's account"},
    "whatsapp": {
        "webhook_secret": "the app's secret",
        "verify_token": "the verify token",
        "phone_number_id": "106540352242922",
    },
    "telegram": {"webhook_secret": "the-secret_token"},
}
SETTINGS = {
    "BELLWIRE_PUBLIC_URL": PUBLIC,
    "BELLWIRE_RESEND_WEBHOOK_SECRET": SECRETS["resend"]["webhook_secret"],
    "BELLWIRE_SENDGRID_WEBHOOK_SECRET": SENDGRID_PUBLIC,
    "BELLWIRE_SES_TOPIC_ARNS": SECRETS["ses"]["topic_arns"],
    "BELLWIRE_POSTMARK_WEBHOOK_SECRET": SECRETS["postmark"]["webhook_secret"],
    "BELLWIRE_TWILIO_AUTH_TOKEN": SECRETS["twilio"]["auth_token"],
    "BELLWIRE_WHATSAPP_WEBHOOK_SECRET": SECRETS["whatsapp"]["webhook_secret"],
    "BELLWIRE_WHATSAPP_VERIFY_TOKEN": SECRETS["whatsapp"]["verify_token"],
    "BELLWIRE_WHATSAPP_PHONE_NUMBER_ID": SECRETS["whatsapp"]["phone_number_id"],
    "BELLWIRE_TELEGRAM_WEBHOOK_SECRET": SECRETS["telegram"]["webhook_secret"],
}


def url_of(provider: str, query: str = "") -> str:
    """Where a provider calls us."""
    return f"{PUBLIC}/v1/receipts/{provider}{'?' if query else ''}{query}"


def credentials(
    provider: str,
    body: bytes,
    *,
    now: datetime | None = None,
    query: str = "",
    secrets: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers that prove a call; none for SES, whose message carries its own signature."""
    own = secrets or SECRETS[provider]
    make = SIGNERS.get(provider)
    return make(body, now or datetime.now(UTC), url_of(provider, query), own) if make else {}


def call(provider: str, body: bytes, *, now: datetime | None = None, query: str = "", **headers: str | None) -> Call:
    """A call as it arrives, with headers changed, or left out where they are None."""
    at = now or datetime.now(UTC)
    given = credentials(provider, body, now=at, query=query) | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    kept = {name: value for name, value in given.items() if value is not None}
    return Call(kept, body, url_of(provider, query), at)


def form(**fields: str) -> bytes:
    """A form as Twilio sends one."""
    return urlencode(fields).encode()


def _resend(body: bytes, now: datetime, url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    identity = f"msg_{hmac.digest(b'', body, 'sha256').hex()[:20]}"
    try:
        signature = Webhook(secrets["webhook_secret"]).sign(identity, now, body.decode())
    except UnicodeDecodeError:  # the library signs text only
        key = b64decode(secrets["webhook_secret"].removeprefix("whsec_"))
        signed = f"{identity}.{int(now.timestamp())}.".encode() + body
        signature = "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {"svix-id": identity, "svix-timestamp": str(int(now.timestamp())), "svix-signature": signature}


def _sendgrid(body: bytes, now: datetime, url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    at = str(int(now.timestamp()))
    signature = SENDGRID_KEY.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "x-twilio-email-event-webhook-signature": b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": at,
    }


def _postmark(body: bytes, now: datetime, url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(secrets["webhook_secret"].encode()).decode()}


def _twilio(body: bytes, now: datetime, url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return {"x-twilio-signature": RequestValidator(secrets["auth_token"]).compute_signature(url, fields)}


def _whatsapp(body: bytes, now: datetime, url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    signature = hmac.digest(secrets["webhook_secret"].encode(), body, "sha256").hex()
    return {"x-hub-signature-256": f"sha256={signature}"}


def _telegram(body: bytes, now: datetime, url: str, secrets: Mapping[str, str]) -> dict[str, str]:
    return {"x-telegram-bot-api-secret-token": secrets["webhook_secret"]}


SIGNERS: Mapping[str, Callable[[bytes, datetime, str, Mapping[str, str]], dict[str, str]]] = {
    "resend": _resend,
    "sendgrid": _sendgrid,
    "postmark": _postmark,
    "twilio": _twilio,
    "whatsapp": _whatsapp,
    "telegram": _telegram,
}
