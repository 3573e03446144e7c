"""Credentials and senders that a tenant gives for a provider: checked without ever being repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import structlog

from channels.base import Provider
from channels.mime import sender
from channels.registry import PROVIDERS
from config.catalogue import check_event_pattern
from config.fields import Fields, check_text
from config.settings import Settings, SettingsError, settings
from domain.errors import InvalidInputError

log = structlog.get_logger(__name__)

MOST_SENDERS: Final = 50
LONGEST_CREDENTIAL: Final = 8_192  # characters; a service account of Google's has about 2,400

KNOWN: Final[Mapping[str, type[Provider]]] = {
    name: provider
    for table in PROVIDERS.values()
    for name, provider in table.items()
    if provider.credentials or len(table) > 1
}
"""The providers that a tenant can say something about: an account of its own, or a place in an order."""

# Settings that an operator may give as the path of a file. A tenant must not: it would read our files.
FILES: Final = {
    "apns_key": re.compile(r"-----BEGIN"),
    "fcm_credentials": re.compile(r"\A\s*\{"),
    "vapid_private_key": re.compile(r"\A\s*[A-Za-z0-9_-]{43}=?\s*\Z|-----BEGIN"),
}

_WORD: Final = re.compile(r"\w{3,}")
_UNWANTED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def check_credentials(kind: type[Provider], given: object) -> dict[str, str] | None:
    """A tenant's credentials, checked one by one and then by making the provider with them; None for none.

    Raises:
        InvalidInputError: naming the field, never repeating a value.
    """
    if given is None:
        return None
    if not kind.credentials:
        raise InvalidInputError("credentials", "must be left out: tenants have no account of their own here")
    fields = Fields(given, "credentials", tuple(kind.credentials))
    checked = {
        name: _credential(fields.raw(name), fields.place(name), setting)
        for name, setting in kind.credentials.items()
        if name in fields
    }
    _try_out(kind, checked)
    return checked


def _credential(value: object, at: str, setting: str) -> str:
    """Text. Line breaks are only in what is otherwise kept in a file."""
    form = FILES.get(setting)
    if form is None:
        return check_text(value, at, length=LONGEST_CREDENTIAL)
    if not isinstance(value, str) or len(value) > LONGEST_CREDENTIAL:
        raise InvalidInputError(at, f"must be text of at most {LONGEST_CREDENTIAL} characters")
    if not form.search(value):
        raise InvalidInputError(at, "must be the key itself, not the name of a file")
    if _UNWANTED.search(value):
        raise InvalidInputError(at, "must not contain control characters")
    return value


def _try_out(kind: type[Provider], credentials: Mapping[str, str]) -> None:
    """What libraries raise over a key that is none is anybody's guess, and a tenant's mistake is none of ours."""
    try:
        made = kind.from_account(settings(), credentials)
    except SettingsError as error:
        raise _refused(kind, str(error), credentials) from None
    except Exception as error:
        log.warning("credentials_not_usable", provider=kind.name, problem=type(error).__name__)
        raise InvalidInputError("credentials", "cannot be used") from None
    if made is None:
        missing = next((name for name in kind.credentials if name not in credentials), None)
        if missing is None:
            raise InvalidInputError("credentials", "cannot be used")
        raise InvalidInputError(f"credentials.{missing}", "is missing")


def _refused(kind: type[Provider], said: str, credentials: Mapping[str, str]) -> InvalidInputError:
    """The provider's own words, unless a part of a credential may be among them."""
    name, _, problem = said.partition(": ")
    if name not in kind.credentials:
        return InvalidInputError("credentials", "cannot be used")
    if name not in credentials:
        return InvalidInputError(f"credentials.{name}", "is missing")
    form = Settings.model_fields[kind.credentials[name]].description or ""
    secret = {part for value in credentials.values() for part in _WORD.findall(value)} - set(_WORD.findall(form))
    if any(part in problem for part in secret):
        problem = f"cannot be used; what it is: {form}"
    return InvalidInputError(f"credentials.{name}", problem)


def check_senders(kind: type[Provider], given: object) -> dict[str, str]:
    """Whom emails come from, by patterns over event types. Raises InvalidInputError, naming the pattern."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidInputError("senders", "must be an object of event patterns and senders")
    if given and kind.channel != "email":
        raise InvalidInputError("senders", "must be empty: only emails have a sender of their own")
    if len(given) > MOST_SENDERS:
        raise InvalidInputError("senders", f"must be at most {MOST_SENDERS}")
    return {check_event_pattern(glob, "senders"): _sender(value, f"senders.{glob}") for glob, value in given.items()}


def check_domains(senders: Mapping[str, str]) -> None:
    """Over the installation's account a tenant writes from the installation's own domains: another tenant's may be
    verified there as well.

    Raises:
        InvalidInputError: naming the pattern.
    """
    ours = {sender(one).domain for one in (settings().email_from, *(value for _, value in settings().email_senders))}
    for glob, written in senders.items():
        if sender(written).domain not in ours:
            words = f"must be at {' or '.join(sorted(ours))}, unless the account is your own"
            raise InvalidInputError(f"senders.{glob}", words)


def _sender(value: object, at: str) -> str:
    written = check_text(value, at)
    try:
        sender(written)
    except ValueError:
        raise InvalidInputError(at, "must look like Name <address@example.org>") from None
    return written
