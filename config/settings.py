"""Every setting, typed and validated once at start. The consequence of changing each stands beside it.

All come from the environment with the prefix ``BELLWIRE_`` or from ``.env``; ``.env.example`` lists them.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from os import environ
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.vocabulary import CHANNELS, UnknownPolicy

Network = IPv4Network | IPv6Network


class SettingsError(ValueError):
    """A setting that cannot be used; the text names the variable and what it should be."""


class Settings(BaseSettings):
    """The settings of one process. Durations are seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="BELLWIRE_", extra="ignore", frozen=True, hide_input_in_errors=True)

    home: Path = Field(Path(".bellwire"), description="Data, sockets, logs and admin.key of the local stack.")
    host: str = Field("127.0.0.1", description="Where the API listens. 0.0.0.0 opens it to the network.")
    port: int = Field(8080, ge=0, le=65535, description="Where the API listens; 0 takes a free port.")
    public_url: str = Field("http://127.0.0.1:8080", description="The only source of links in messages.")
    trusted_proxies: str = Field("", description="Addresses whose X-Forwarded-For is believed; empty believes none.")

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL 15 or newer. Unset: the local stack starts its own."
    )
    api_database_url: SecretStr | None = Field(
        None, description="The same database for the API's requests: a login that is a member of bellwire_api only."
    )
    broker_url: SecretStr | None = Field(
        None, description="redis://, redis+socket://, amqp:// or sqs://. Unset: the local stack's Valkey."
    )
    redis_url: SecretStr | None = Field(
        None, description="redis:// or unix://, for live fan-out, limits and breakers. Unset: the local stack's Valkey."
    )

    secret_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Signs links and encrypts secrets. Several, comma separated: the first signs, all are accepted."
    )
    jwt_secret: SecretStr | None = Field(None, description="HS256 secret of users' tokens, at least 32 bytes.")
    jwt_jwks_url: str | None = Field(None, description="Where the keys of users' tokens are published (RS256, ES256).")
    jwt_audience: str = Field("bellwire", description="The `aud` that a user's token must carry.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",), description="Origins that browsers may call from."
    )

    retry_schedule: Annotated[tuple[int, ...], NoDecode] = Field(
        (60, 300, 900, 1800, 3600),
        description="Waits before the retries. Its length is the number of retries; then the dead letter.",
    )
    sweep_interval: float = Field(
        5.0, gt=0, le=60, description="How often what is due is looked for. Longer: later retries, less load when idle."
    )
    seen_grace: float = Field(
        120.0,
        ge=0,
        le=86400,
        description="How long a user with a live connection has to be shown a notification before the email of the plan"
        " offline_email follows. Shorter: more email to people who are there; longer: later email to who just left.",
    )
    batch_wait: int = Field(
        300,
        ge=0,
        le=86400,
        description="How long an email of the plan staged waits for others to the same user, to be told in one message."
        " Shorter: more emails; longer: later ones; 0 gathers none.",
    )
    lease_seconds: float = Field(
        45.0,
        ge=2,
        le=55,
        description="A worker's right to a delivery. Shorter: a crash is seen sooner. More than a channel's deadline.",
    )
    breaker_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="How long a way out that failed five times in a row is left alone. Shorter: tried more often.",
    )
    worker_processes: int = Field(
        2,
        ge=1,
        le=64,
        description="Processes of the local stack's worker. More: more memory (40 MiB each) and more cores used.",
    )
    events_per_minute: int = Field(
        600_000,
        ge=0,
        description="Events that one API key may publish over HTTP in a minute; more get 429. 0: as many as it likes.",
    )
    batch_size: int = Field(200, ge=1, le=1000, description="Deliveries claimed and events routed at once.")
    ack_ttl: int = Field(7 * 86400, gt=0, description="How long an acknowledged issue stays silent.")
    retention_days: int = Field(90, gt=0, description="Days that finished events are kept, with all that is theirs.")
    preview: bool = Field(False, description="Channels without a provider keep their messages in the preview mailbox.")
    enable_test_endpoints: bool = Field(False, description="Opens POST /v1/notifications/trigger. Never in production.")
    flower_port: int = Field(
        5555,
        ge=0,
        le=65535,
        description="Where the local stack's Flower listens, on 127.0.0.1 only; 0 takes a free port.",
    )
    server_id: str | None = Field(None, description="The name of this server in a cluster; default: the host's name.")
    live_connections_per_user: int = Field(
        10,
        ge=1,
        le=1000,
        description="Streams that a user may have open on one API process: tabs and devices. More are refused.",
    )
    live_heartbeat: float = Field(
        15.0,
        gt=0,
        le=60,
        description="How often streams show that they live. Who takes nothing for as long is cut off. Longer: less work"
        ", and proxies that close quiet connections may cut them.",
    )
    dead_letter_queue_length: int = Field(
        10_000,
        gt=0,
        description="Messages kept in the broker's dead letter queue; the oldest go first. The table keeps all.",
    )

    smtp_url: SecretStr | None = Field(None, description="smtp://user:password@host:587?starttls=true, or smtps://.")
    email_from: str = Field("Bellwire <bellwire@localhost>", description="The sender of emails.")
    email_senders: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (), description="Other senders by event type, separated by semicolons; the first that fits is used."
    )
    email_providers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("smtp", "resend", "sendgrid", "ses", "postmark"),
        description="Order of failover; those without an account are left out.",
    )
    resend_api_key: SecretStr | None = Field(None, description="From resend.com/api-keys.")
    resend_url: str = Field("https://api.resend.com", description="Base address of Resend.")
    resend_webhook_secret: SecretStr | None = Field(None, description="whsec_...: signs Resend's receipts.")
    sendgrid_api_key: SecretStr | None = Field(None, description="SG....: an API key that may send mail.")
    sendgrid_url: str = Field("https://api.sendgrid.com", description="Base address of SendGrid.")
    sendgrid_webhook_secret: SecretStr | None = Field(
        None, description="The verification key of SendGrid's signed event webhook (base64)."
    )
    postmark_token: SecretStr | None = Field(None, description="A server's API token.")
    postmark_url: str = Field("https://api.postmarkapp.com", description="Base address of Postmark.")
    postmark_webhook_secret: SecretStr | None = Field(
        None, description="user:password: the Basic credentials of Postmark's webhooks."
    )
    aws_access_key_id: str | None = Field(None, description="For SES and SNS.")
    aws_secret_access_key: SecretStr | None = Field(None, description="For SES and SNS.")
    aws_session_token: SecretStr | None = Field(None, description="Only with temporary credentials.")
    aws_region: str | None = Field(None, description="Where SES and SNS are used: eu-central-1.")
    ses_url: str | None = Field(None, description="Base address of SES; unset: the region's.")
    ses_configuration_set: str | None = Field(None, description="The configuration set whose events SES publishes.")
    ses_topic_arns: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="The SNS topics that SES's receipts come from; no other topic is believed."
    )

    twilio_account_sid: str | None = Field(None, description="AC...: the account that sends text messages.")
    twilio_auth_token: SecretStr | None = Field(None, description="Sends, and signs Twilio's receipts.")
    twilio_from: str | None = Field(None, description="A number in E.164 form, or a messaging service: MG....")
    twilio_url: str = Field("https://api.twilio.com", description="Base address of Twilio.")
    sns_enabled: bool = Field(False, description="Text messages by Amazon SNS, after Twilio, with the AWS account.")
    sns_url: str | None = Field(None, description="Base address of SNS; unset: the region's.")
    sns_sender_id: str | None = Field(None, description="The sender's name, in countries that show one.")
    sms_segments: int = Field(
        1, ge=1, le=10, description="Parts that a text message may have (160 GSM-7 or 70 other characters for one)."
    )
    sms_price: Decimal = Field(
        Decimal("0.0083"), ge=0, description="What one part of a text message costs; counted, never charged by."
    )
    sms_currency: str = Field("USD", description="The currency of sms_price.")

    apns_key: SecretStr | None = Field(None, description="The .p8 key, its text or the path of its file.")
    apns_key_id: str | None = Field(None, description="Ten characters, beside the key in Apple's portal.")
    apns_team_id: str | None = Field(None, description="Ten characters, of the developer account.")
    apns_topic: str | None = Field(None, description="The app's bundle id.")
    apns_url: str = Field("https://api.push.apple.com", description="Base address of APNs.")
    fcm_credentials: SecretStr | None = Field(
        None, description="The service account of the Firebase project, its JSON or the path of its file."
    )
    fcm_url: str = Field("https://fcm.googleapis.com", description="Base address of FCM.")
    vapid_private_key: SecretStr | None = Field(
        None, description="Signs Web Push: 32 bytes in base64url, or the path of a PEM file."
    )
    vapid_subject: str = Field("mailto:bellwire@localhost", description="Whom push services may ask about our traffic.")

    whatsapp_token: SecretStr | None = Field(None, description="A system user's access token.")
    whatsapp_phone_number_id: str | None = Field(None, description="The id of the number that sends.")
    whatsapp_template: str = Field(
        "bellwire_notification", description="The approved template with two places, for a title and a text."
    )
    whatsapp_language: str = Field("en", description="The language of that template.")
    whatsapp_url: str = Field("https://graph.facebook.com/v23.0", description="Base address of the Cloud API.")
    whatsapp_webhook_secret: SecretStr | None = Field(None, description="The app's secret: signs WhatsApp's receipts.")
    whatsapp_verify_token: SecretStr | None = Field(None, description="What Meta shows when it checks our address.")

    telegram_bot_token: SecretStr | None = Field(
        None, description="From @BotFather; unset leaves the channel without a provider."
    )
    telegram_url: str = Field("https://api.telegram.org", description="Base address of the Bot API.")
    telegram_updates: Literal["off", "webhook", "polling"] = Field(
        "off", description="How button presses reach us: at PUBLIC_URL, by asking for them, or not at all."
    )
    telegram_webhook_secret: SecretStr | None = Field(
        None, description="The secret token of Telegram's webhook: 1 to 256 of A-Z, a-z, 0-9, _ and -."
    )

    on_unknown: Annotated[dict[str, UnknownPolicy], NoDecode] = Field(
        {}, description="What follows when nobody can say whether it was sent, by channel: sms=park. Default: resend."
    )
    rate_limits: Annotated[dict[str, tuple[int, int]], NoDecode] = Field(
        {}, description="Our accounts' own limits, where they differ from the published ones: ses=200/1,twilio=10/1."
    )
    recipient_caps: Annotated[dict[str, tuple[int, int]], NoDecode] = Field(
        {"email": (30, 300), "sms": (10, 300), "push": (30, 300), "telegram": (20, 300), "whatsapp": (20, 300)},
        description="Messages to one address in so many seconds; what comes beyond is folded into one.",
    )
    soft_bounce_seconds: int = Field(
        7 * 86400, gt=0, description="The window in which five temporary bounces suppress an address."
    )
    webhook_allow_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="CIDRs that the guard against private addresses lets through; empty in production."
    )

    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator(
        "secret_key", "cors_origins", "email_providers", "ses_topic_arns", "webhook_allow_networks", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("retry_schedule", mode="before")
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            waits = tuple(int(part) for part in value.split(",") if part.strip())
        except ValueError:
            raise ValueError("must be whole seconds separated by commas, such as 60,300,900,1800,3600") from None
        if any(not 0 < wait <= 86400 for wait in waits):
            raise ValueError("every wait must be between 1 and 86400 seconds")
        return waits

    @field_validator("email_senders", mode="before")
    @classmethod
    def _by_type(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(";") if part.strip()]
        if not all(glob.strip() and sender.strip() for glob, _, sender in pairs):
            raise ValueError("must be pairs such as billing.*=Billing <billing@example.org>, apart by semicolons")
        return tuple((glob.strip(), sender.strip()) for glob, _, sender in pairs)

    @field_validator("rate_limits", "recipient_caps", mode="before")
    @classmethod
    def _rates(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found: dict[str, tuple[int, int]] = {}
        for part in filter(None, map(str.strip, value.split(","))):
            match = re.fullmatch(r"([a-z_]+)\s*=\s*([0-9]{1,9})\s*/\s*([0-9]{1,6})", part)
            if match is None or not int(match[3]):
                raise ValueError("must be pairs such as email=30/300: a name, an amount and seconds")
            found[match[1]] = (int(match[2]), int(match[3]))
        return found

    @field_validator("on_unknown", mode="before")
    @classmethod
    def _policies(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        found = {channel.strip(): policy.strip() for channel, _, policy in pairs}
        if wrong := sorted(found.keys() - set(CHANNELS)):
            raise ValueError(f"there is no channel {wrong[0]}")
        if not {UnknownPolicy.RESEND, UnknownPolicy.PARK} >= set(found.values()):
            raise ValueError("must be resend or park: no provider here can be asked what became of a message")
        return found

    @field_validator("recipient_caps")
    @classmethod
    def _of_channels(cls, value: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        if wrong := sorted(value.keys() - set(CHANNELS)):
            raise ValueError(f"there is no channel {wrong[0]}")
        return value

    @field_validator("webhook_allow_networks", mode="after")
    @classmethod
    def _networks(cls, value: tuple[Any, ...]) -> tuple[Network, ...]:
        return tuple(ip_network(part) for part in value)

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < 32:
            raise ValueError("must be at least 32 bytes (RFC 7518, section 3.2)")
        return value

    @field_validator("log_level")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()


def environment_file() -> Path:
    """What settings are read from beside the environment: ``BELLWIRE_ENV_FILE``, or ``.env`` right here."""
    return Path(environ.get("BELLWIRE_ENV_FILE", ".env"))


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: one sentence per setting that cannot be used.
    """
    try:
        return Settings(_env_file=environment_file())
    except ValidationError as error:
        raise SettingsError(
            "; ".join(
                f"BELLWIRE_{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
            )
        ) from None
