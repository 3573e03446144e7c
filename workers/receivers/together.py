"""All receivers on one event loop in a thread of their own, for callers that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Final, Protocol, Self

from workers.receivers import apns
from workers.receivers.apns import ApnsReceiver
from workers.receivers.desks import DESKS, fcm, postmark, resend, sendgrid, ses, twilio, whatsapp
from workers.receivers.desks.fcm import GoogleDesk
from workers.receivers.desks.web_push import WebPushDesk
from workers.receivers.http import HttpReceiver
from workers.receivers.lab import Lab
from workers.receivers.mail import MailReceiver
from workers.receivers.telegram import TOKEN, TelegramReceiver

# Of the demo; it signs for nobody else.
VAPID_KEY: Final = "c2lnbnMtZm9yLXRoZS1kZW1vLWFuZC1mb3Itbm9uZSE"


class Receiver(Protocol):
    """What can be started and stopped on a loop."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Running:
    """Keeps receivers running while the block lasts."""

    def __init__(self, *receivers: Receiver) -> None:
        self._receivers = receivers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="receivers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for receiver in self._receivers:
            asyncio.run_coroutine_threadsafe(receiver.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for receiver in self._receivers:
            asyncio.run_coroutine_threadsafe(receiver.stop(), self._loop).result(10)
        asyncio.run_coroutine_threadsafe(_finish(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _finish() -> None:
    """End what still hangs on purpose."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


class Receivers(Running):
    """One of each: `webhook`, `telegram`, `mail`, `apns`, and the `lab` of all others; with the settings to them.

    `google`: where FCM's account logs in, on a port of its own as it is on a host of its own.
    """

    def __init__(self) -> None:
        self.webhook = HttpReceiver()
        self.telegram = TelegramReceiver()
        self.mail = MailReceiver()
        self.lab = Lab(*(desk() for desk in DESKS))
        self.apns = ApnsReceiver()
        self.google = Lab(GoogleDesk())
        super().__init__(self.webhook, self.telegram, self.mail, self.lab, self.apns, self.google)

    def environment(self) -> dict[str, str]:
        """The variables with which every process of a stack sends to these receivers."""
        return {
            "BELLWIRE_SMTP_URL": self.mail.url,
            "BELLWIRE_TELEGRAM_URL": self.telegram.url,
            "BELLWIRE_TELEGRAM_BOT_TOKEN": TOKEN,
            "BELLWIRE_WEBHOOK_ALLOW_NETWORKS": "127.0.0.1/32",
        }

    def whole_environment(self) -> dict[str, str]:
        """The same with an account at every provider: email goes by SMTP first, and by Resend where that fails."""
        return {
            **self.environment(),
            "BELLWIRE_EMAIL_PROVIDERS": "smtp,resend",
            "BELLWIRE_EMAIL_FROM": "Bellwire <bellwire@cloud.example.com>",
            "BELLWIRE_RESEND_URL": self.lab.url_of("resend"),
            "BELLWIRE_RESEND_API_KEY": resend.KEY,
            "BELLWIRE_TWILIO_URL": self.lab.url_of("twilio"),
            "BELLWIRE_TWILIO_ACCOUNT_SID": twilio.ACCOUNT_SID,
            "BELLWIRE_TWILIO_AUTH_TOKEN": twilio.AUTH_TOKEN,
            "BELLWIRE_TWILIO_FROM": twilio.FROM,
            "BELLWIRE_WHATSAPP_URL": self.lab.url_of("whatsapp"),
            "BELLWIRE_WHATSAPP_TOKEN": whatsapp.TOKEN,
            "BELLWIRE_WHATSAPP_PHONE_NUMBER_ID": whatsapp.PHONE_NUMBER_ID,
            "BELLWIRE_APNS_URL": self.apns.url,
            "BELLWIRE_APNS_KEY": self.apns.key,
            "BELLWIRE_APNS_KEY_ID": apns.KEY_ID,
            "BELLWIRE_APNS_TEAM_ID": apns.TEAM_ID,
            "BELLWIRE_APNS_TOPIC": apns.TOPIC,
            "BELLWIRE_FCM_URL": self.lab.url_of("fcm"),
            "BELLWIRE_FCM_CREDENTIALS": fcm.service_account(f"{self.google.url_of('google')}/token"),
            "BELLWIRE_VAPID_PRIVATE_KEY": VAPID_KEY,
            "BELLWIRE_VAPID_SUBJECT": "mailto:bellwire@cloud.example.com",
        }

    def every_account(self) -> dict[str, str]:
        """The same with all providers of email and text messages, in the order in which they are tried by default."""
        return {
            **self.whole_environment(),
            "BELLWIRE_EMAIL_PROVIDERS": "smtp,resend,sendgrid,ses,postmark",
            "BELLWIRE_SENDGRID_URL": self.lab.url_of("sendgrid"),
            "BELLWIRE_SENDGRID_API_KEY": sendgrid.KEY,
            "BELLWIRE_POSTMARK_URL": self.lab.url_of("postmark"),
            "BELLWIRE_POSTMARK_TOKEN": postmark.TOKEN,
            "BELLWIRE_SES_URL": self.lab.url_of("ses"),
            "BELLWIRE_SNS_ENABLED": "true",
            "BELLWIRE_SNS_URL": self.lab.url_of("sns"),
            "BELLWIRE_AWS_ACCESS_KEY_ID": ses.KEY_ID,
            "BELLWIRE_AWS_SECRET_ACCESS_KEY": ses.SECRET,
            "BELLWIRE_AWS_REGION": ses.REGION,
        }

    def subscribe(self, browser: str) -> str:
        """The PushSubscription of a browser at the lab's push service."""
        desk = self.lab.desks["web_push"]
        assert isinstance(desk, WebPushDesk)
        return desk.subscribe(browser, self.lab.url_of("web_push"))
