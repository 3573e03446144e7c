"""What no single setting shows: accounts and receipts that are set up by half, or would be believed by nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from channels.letter import default_sender
from channels.receipts.registry import RECEIVERS, secrets_of
from config.settings import Settings


def half_set(given: Settings) -> list[str]:
    """One sentence for each setting that cannot work as it is, beside those that a provider itself refuses."""
    return [*_receipts(given), *_telegram(given)]


def doubtful(given: Settings, providers: Mapping[str, Sequence[str]]) -> list[str]:
    """One sentence for each setting that works and is hardly meant so."""
    real = [name for name in providers.get("email", ()) if name != "preview"]
    if real and default_sender(given).domain == "localhost":
        return [
            "BELLWIRE_EMAIL_FROM is an address at localhost, which nobody can answer and most mail servers refuse;"
            f" set one that {real[0]} may send from."
        ]
    return []


def _receipts(given: Settings) -> Iterator[str]:
    for receiver in RECEIVERS.values():
        name, setting = next(iter(receiver.secrets.items()))
        secrets = secrets_of(receiver, given)
        wrong = receiver.problem(secrets[name]) if secrets else None
        if wrong:
            yield f"BELLWIRE_{setting.upper()}: {wrong}"


def _telegram(given: Settings) -> Iterator[str]:
    if given.telegram_updates != "webhook":
        return
    secret = given.telegram_webhook_secret
    if secret is None or not secret.get_secret_value():
        yield "BELLWIRE_TELEGRAM_WEBHOOK_SECRET: must be set, because BELLWIRE_TELEGRAM_UPDATES is webhook"
    if not given.public_url.lower().startswith("https://"):
        yield "BELLWIRE_PUBLIC_URL: must begin with https://, because BELLWIRE_TELEGRAM_UPDATES is webhook"
