"""The ways out: one literal table. A new channel or provider is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from channels.apprise import AppriseProvider
from channels.base import Provider
from channels.email_postmark import PostmarkProvider
from channels.email_resend import ResendProvider
from channels.email_sendgrid import SendGridProvider
from channels.email_ses import SesProvider
from channels.email_smtp import SmtpProvider
from channels.preview import PREVIEWED, preview_of
from channels.push_apns import ApnsProvider
from channels.push_fcm import FcmProvider
from channels.push_web import WebPushProvider
from channels.sms_sns import SnsProvider
from channels.sms_twilio import TwilioProvider
from channels.telegram import TelegramProvider
from channels.webhook import WebhookProvider
from channels.whatsapp import WhatsAppProvider
from config.settings import Settings, SettingsError

PROVIDERS: Final[Mapping[str, Mapping[str, type[Provider]]]] = {
    "apprise": {"apprise": AppriseProvider},
    "email": {
        "smtp": SmtpProvider,
        "resend": ResendProvider,
        "sendgrid": SendGridProvider,
        "ses": SesProvider,
        "postmark": PostmarkProvider,
    },
    "push": {"apns": ApnsProvider, "fcm": FcmProvider, "web_push": WebPushProvider},
    "sms": {"twilio": TwilioProvider, "sns": SnsProvider},
    "telegram": {"telegram": TelegramProvider},
    "webhook": {"webhook": WebhookProvider},
    "whatsapp": {"whatsapp": WhatsAppProvider},
}


def configured(settings: Settings, preview: bool | None = None) -> dict[str, tuple[Provider, ...]]:
    """The providers that can be used, by channel, the first choice first; a channel that is missing has none.

    Args:
        preview: whether a channel without a provider gets the preview; by default what the settings say.

    Raises:
        SettingsError: providers' settings cannot be used, or name a provider that does not exist; it tells all of them.
    """
    found: dict[str, tuple[Provider, ...]] = {}
    wrong = _unknown_limits(settings)
    for channel, table in PROVIDERS.items():
        providers = tuple(_made(channel, table, settings, wrong))
        if providers:
            found[channel] = providers
    if wrong:
        raise SettingsError("; ".join(dict.fromkeys(wrong)))
    if settings.preview if preview is None else preview:
        for channel in PREVIEWED:
            found.setdefault(channel, (preview_of(channel),))
    return found


def _made(
    channel: str, table: Mapping[str, type[Provider]], settings: Settings, wrong: list[str]
) -> Iterator[Provider]:
    """The providers of a channel that are set up; what hinders others is added to `wrong`."""
    try:
        order = _order(channel, table, settings)
    except SettingsError as error:
        wrong.append(str(error))
        return
    for name in order:
        try:
            provider = table[name].from_settings(settings)
        except SettingsError as error:
            wrong.append(str(error))
        else:
            if provider is not None:
                yield provider


def _unknown_limits(settings: Settings) -> list[str]:
    """A limit for nobody limits nothing, and nobody would notice."""
    names = [name for table in PROVIDERS.values() for name in table]
    unknown = sorted(settings.rate_limits.keys() - set(names))
    return [f"BELLWIRE_RATE_LIMITS: must be of {', '.join(names)}, not {', '.join(unknown)}"] if unknown else []


def _order(channel: str, table: Mapping[str, type[Provider]], settings: Settings) -> tuple[str, ...]:
    """In which order a channel's providers are tried; only email has a setting for it."""
    if channel != "email":
        return tuple(table)
    unknown = [name for name in settings.email_providers if name not in table]
    if unknown:
        raise SettingsError(f"BELLWIRE_EMAIL_PROVIDERS: must be of {', '.join(table)}, not {', '.join(unknown)}")
    return tuple(dict.fromkeys(settings.email_providers))
