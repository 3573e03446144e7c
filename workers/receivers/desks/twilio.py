"""Twilio's Messages resource, as far as text messages go.

Source: https://www.twilio.com/docs/messaging/api/message-resource, errors as in https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import md5
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import phonenumbers

from channels.sms import segments
from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

ACCOUNT_SID: Final = "AC" + "0a1b2c3d" * 4
AUTH_TOKEN: Final = "top-secret-twilio-token"  # noqa: S105
FROM: Final = "+15005550006"
SERVICE: Final = "MG" + "4e5f6a7b" * 4
LONGEST: Final = 1600  # characters


class TwilioDesk(Desk):
    """One account with one number and one messaging service."""

    name = "twilio"

    def identify(self, request: Request) -> tuple[str, str]:
        """The delivery of the status callback; without one, recipient and text stand for it."""
        form = request.form()
        if request.method != "POST" or "To" not in form:
            return "", ""
        named = parse_qs(urlsplit(form.get("StatusCallback", "")).query).get("delivery")
        return named[0] if named else f"{form['To']} {form.get('Body', '')}", form["To"]

    def answer(self, request: Request) -> Reply:
        expected = b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return problem(401, 20003, "Authenticate")
        if request.path != f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json" or request.method != "POST":
            return problem(404, 20404, f"The requested resource {request.path} was not found")
        return _refusal(request.form()) or _queued(request.form())


def problem(status: int, code: int, words: str, **headers: str) -> Reply:
    """An error in Twilio's form."""
    return json_reply(
        status,
        {"code": code, "message": words, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status},
        **headers,
    )


def _refusal(form: dict[str, str]) -> Reply | None:
    to, body = form.get("To", ""), form.get("Body", "")
    validity = form.get("ValidityPeriod", "1")
    if not to:
        return problem(400, 21604, "A 'To' phone number is required.")
    if not _is_number(to):
        return problem(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if not form.get("From") and not form.get("MessagingServiceSid"):
        return problem(400, 21603, "A 'From' phone number is required.")
    if form.get("From", FROM) != FROM:
        return problem(400, 21659, f"'From' {form['From']} is not a Twilio phone number or Short Code country mismatch")
    if form.get("MessagingServiceSid", SERVICE) != SERVICE:
        return problem(404, 21705, "The Messaging Service Sid is invalid.")
    if not body.strip():
        return problem(400, 21602, "Message body is required.")
    if len(body) > LONGEST:
        return problem(400, 21617, "The concatenated message body exceeds the 1600 character limit")
    if not validity.isdecimal() or not 1 <= int(validity) <= 36_000:
        return problem(400, 90007, "Invalid validity period value")
    return _bad_callback(form.get("StatusCallback"))


def _bad_callback(url: str | None) -> Reply | None:
    if url is None:
        return None
    host = urlsplit(url).hostname or ""
    if urlsplit(url).scheme in {"http", "https"} and "." in host and "_" not in host:
        return None
    return problem(400, 21609, f"The 'StatusCallback' URL {url} is not a valid URL.")


def _is_number(to: str) -> bool:
    try:
        return to.startswith("+") and phonenumbers.is_possible_number(phonenumbers.parse(to, None))
    except phonenumbers.NumberParseException:
        return False


def _queued(form: dict[str, str]) -> Reply:
    service = form.get("MessagingServiceSid")
    sid = "SM" + md5(repr(sorted(form.items())).encode(), usedforsecurity=False).hexdigest()
    content: dict[str, Any] = {
        "account_sid": ACCOUNT_SID,
        "api_version": "2010-04-01",
        "body": form["Body"],
        "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
        "date_sent": None,
        "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": form.get("From"),
        "messaging_service_sid": service,
        "num_media": "0",
        "num_segments": "0" if service else str(segments(form["Body"]).count),
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": "accepted" if service else "queued",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}/Media.json"},
        "to": form["To"],
        "uri": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}.json",
    }
    return json_reply(201, content)
