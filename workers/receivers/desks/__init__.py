"""The desks of the provider lab, one file a provider. A new one is a file and one line here."""

from __future__ import annotations

from typing import Final

from workers.receivers.desks.fcm import FcmDesk
from workers.receivers.desks.postmark import PostmarkDesk
from workers.receivers.desks.resend import ResendDesk
from workers.receivers.desks.sendgrid import SendGridDesk
from workers.receivers.desks.ses import SesDesk
from workers.receivers.desks.sns import SnsDesk
from workers.receivers.desks.twilio import TwilioDesk
from workers.receivers.desks.web_push import WebPushDesk
from workers.receivers.desks.whatsapp import WhatsAppDesk
from workers.receivers.lab import Desk

DESKS: Final[tuple[type[Desk], ...]] = (
    SesDesk,
    SendGridDesk,
    ResendDesk,
    PostmarkDesk,
    SnsDesk,
    TwilioDesk,
    WhatsAppDesk,
    FcmDesk,
    WebPushDesk,
)
