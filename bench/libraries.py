"""The providers' own libraries, as a script would use them: one message after the other over one open connection.

Run as ``python -m bench.libraries``; it takes the same questions as ``bench.publisher``. Nothing is made per message
that a library lets us keep: clients, sessions, keys and access tokens live as long as the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from bench.people import device_of, email_of, phone_of, registration_of
from bench.publisher import Publish, answer_questions

TITLE = "Certificate expires in 7 days"


def text_of(number: int) -> str:
    """What is said."""
    return f"The certificate of shop-{number}.example.org expires in 7 days."


def one_by_one(send: Callable[[int], None]) -> Publish:
    """Send `count` messages, each after the answer to the one before."""

    def publish(first: int, count: int, batch: int) -> None:
        for number in range(first, first + count):
            send(number)

    return publish


def smtp() -> Publish:
    """The standard library: one connection, opened anew only if the server has closed it between two runs."""
    server = urlsplit(os.environ["BELLWIRE_SMTP_URL"])
    client = smtplib.SMTP(server.hostname or "", server.port or 25)

    def send(number: int) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"] = os.environ["BELLWIRE_EMAIL_FROM"], email_of(number)
        mail["Subject"], mail["Message-ID"] = TITLE, f"<{uuid4()}@example.org>"
        mail.set_content(text_of(number))
        mail.add_alternative(f"<html><body><h1>{TITLE}</h1><p>{text_of(number)}</p></body></html>", subtype="html")
        client.send_message(mail)

    def publish(first: int, count: int, batch: int) -> None:
        try:
            client.noop()
        except smtplib.SMTPServerDisconnected:
            client.connect(server.hostname or "", server.port or 25)
        one_by_one(send)(first, count, batch)

    return publish


def web_push() -> Publish:
    """pywebpush.webpush with a session of requests and a key that is read once."""
    import pywebpush  # type: ignore[import-untyped]
    import requests
    from py_vapid import Vapid02  # type: ignore[import-untyped]

    browsers = [json.loads(one) for one in json.loads(os.environ["BENCH_BROWSERS"])]
    key = Vapid02.from_string(os.environ["BELLWIRE_VAPID_PRIVATE_KEY"])
    subject = os.environ["BELLWIRE_VAPID_SUBJECT"]
    session = requests.Session()

    def send(number: int) -> None:
        shown = {"title": TITLE, "body": text_of(number), "data": {"deliveryId": str(uuid4())}}
        pywebpush.webpush(
            browsers[number % len(browsers)],
            json.dumps(shown),
            vapid_private_key=key,
            vapid_claims={"sub": subject},
            ttl=3600,
            timeout=10,
            requests_session=session,
        )

    return one_by_one(send)


def sms() -> Publish:
    """Twilio's client, led to the lab: it knows no other host than Twilio's."""
    from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
    from twilio.rest import Client  # type: ignore[import-untyped]

    here = os.environ["BELLWIRE_TWILIO_URL"]

    class HereInstead(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, *arguments: Any, **named: Any) -> Any:
            return super().request(method, url.replace("https://api.twilio.com", here), *arguments, **named)

    account, token = os.environ["BELLWIRE_TWILIO_ACCOUNT_SID"], os.environ["BELLWIRE_TWILIO_AUTH_TOKEN"]
    client = Client(account, token, http_client=HereInstead())
    receipts = f"{os.environ['BELLWIRE_PUBLIC_URL']}/v1/receipts/twilio"

    def send(number: int) -> None:
        client.messages.create(
            to=phone_of(number),
            from_=os.environ["BELLWIRE_TWILIO_FROM"],
            body=text_of(number),
            status_callback=f"{receipts}?delivery={uuid4()}",
        )

    return one_by_one(send)


def fcm() -> Publish:
    """Google's AuthorizedSession, which keeps the access token and the connection."""
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.service_account import Credentials

    account = json.loads(os.environ["BELLWIRE_FCM_CREDENTIALS"])
    scopes = ["https://www.googleapis.com/auth/firebase.messaging"]
    credentials = Credentials.from_service_account_info(account, scopes=scopes)  # type: ignore[no-untyped-call]
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    url = f"{os.environ['BELLWIRE_FCM_URL']}/v1/projects/{account['project_id']}/messages:send"

    def send(number: int) -> None:
        message = {
            "token": registration_of(number),
            "notification": {"title": TITLE, "body": text_of(number)},
            "data": {"deliveryId": str(uuid4())},
        }
        session.post(url, json={"message": message}, timeout=10).raise_for_status()

    return one_by_one(send)


def apns() -> Publish:
    """aioapns over HTTP/2 without encryption, as Bellwire speaks to the lab."""
    import aioapns
    from aioapns.connection import APNsProductionClientProtocol

    server = urlsplit(os.environ["BELLWIRE_APNS_URL"])

    class Local(APNsProductionClientProtocol):
        APNS_SERVER = server.hostname or ""
        APNS_PORT = server.port or 80

    async def opened() -> aioapns.APNs:
        key, key_id, team_id, topic = (
            os.environ[f"BELLWIRE_APNS_{name}"] for name in ("KEY", "KEY_ID", "TEAM_ID", "TOPIC")
        )
        client = aioapns.APNs(key=key, key_id=key_id, team_id=team_id, topic=topic)
        client.pool.protocol_class, client.pool.ssl_context = Local, None
        return client

    runner = asyncio.Runner()
    client = runner.run(opened())

    async def send_all(first: int, count: int) -> None:
        for number in range(first, first + count):
            shown = {"aps": {"alert": {"title": TITLE, "body": text_of(number)}, "sound": "default"}}
            request = aioapns.NotificationRequest(device_of(number), shown, notification_id=str(uuid4()))
            answer = await client.send_notification(request)
            if not answer.is_successful:
                raise RuntimeError(f"the lab answered {answer.status} {answer.description}")

    return lambda first, count, _batch: runner.run(send_all(first, count))


KINDS: dict[str, Callable[[], Publish]] = {"email": smtp, "sms": sms, "web_push": web_push, "fcm": fcm, "apns": apns}

if __name__ == "__main__":
    answer_questions(KINDS)
