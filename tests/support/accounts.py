"""Settings with an account at every provider, and recipients for each channel, for tests that send on all of them."""

from __future__ import annotations

from typing import Any, Final

from tests.support.installation import TENANT
from workers.receivers.desks import postmark, sns
from workers.receivers.lab import Lab
from workers.receivers.together import Receivers

Event = dict[str, Any]

# Reached by the recipients that an event of the type names, whatever its severity.
ROUTES: Final = {
    f"to-{channel}": {
        "match": {"event": f"by.{channel}"},
        "recipients": {"resolver": "explicit"},
        "channels": [channel],
        "sms_severity": "low",
    }
    for channel in ("email", "sms", "push", "whatsapp")
}


def accounts(receivers: Receivers, second: Lab | None = None, **more: str) -> dict[str, str]:
    """Settings with an account everywhere: email by Resend, then Postmark; text messages by Twilio, then Amazon SNS.

    Args:
        second: where the second ones are; None: Resend and Twilio are all there is.
    """
    led = {name.removeprefix("BELLWIRE_"): value for name, value in receivers.whole_environment().items()}
    led |= {
        "PUBLIC_URL": "https://bell.example.org",
        "EMAIL_PROVIDERS": "resend,postmark",
        "RATE_LIMITS": "resend=1000/1,sns=1000/1",
        "RECIPIENT_CAPS": "email=1000/60",
    }
    if second is not None:
        led |= {
            "POSTMARK_URL": second.url_of("postmark"),
            "POSTMARK_TOKEN": postmark.TOKEN,
            "SNS_ENABLED": "true",
            "SNS_URL": second.url_of("sns"),
            "AWS_ACCESS_KEY_ID": sns.ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": sns.SECRET_ACCESS_KEY,
            "AWS_REGION": sns.REGION,
        }
    return led | more


def phone(number: int) -> str:
    """A telephone number that nobody else has, up to the ten thousandth."""
    return f"+491512345{number:04d}"


def mails(count: int, tenant: str = TENANT, domain: str = "example.org") -> list[Event]:
    """Events that are told by one email each, to an address of its own."""
    return [_to("email", n, tenant, {"email": f"user{n}@{domain}"}) for n in range(count)]


def texts(count: int, tenant: str = TENANT, first: int = 0) -> list[Event]:
    """Events that are told by one text message each, to a number of its own."""
    return [_to("sms", n, tenant, {"phone": phone(n)}) for n in range(first, first + count)]


def whatsapps(count: int, tenant: str = TENANT) -> list[Event]:
    """Events that are told by one WhatsApp message each."""
    return [_to("whatsapp", n, tenant, {"whatsapp": phone(n)}) for n in range(count)]


def _to(channel: str, number: int, tenant: str, recipient: Any) -> Event:
    return {"type": f"by.{channel}", "tenant": tenant, "recipients": [recipient], "data": {"n": number}}
