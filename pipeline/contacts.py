"""What may be said about a user: addresses, language, time zone, quiet hours. Stored by pipeline.users."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

import phonenumbers
from babel import Locale, UnknownLocaleError
from email_validator import EmailNotValidError, validate_email

from channels.apprise import check_apprise
from config.fields import Fields, check_list, check_text, check_word, field_at
from domain.cron import cron_problem
from domain.errors import InvalidInputError
from domain.schedule import SHORT, comes_round
from domain.vocabulary import CHANNEL_ALIASES, CHANNELS
from pipeline.identifiers import check_uuid

MOST_ROLES: Final = 100

_CHAT: Final = re.compile(r"-?[1-9]\d{0,18}|@[A-Za-z]\w{3,31}", re.ASCII)
_CLOCK: Final = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)


def check_user(body: object) -> dict[str, Any]:
    """The fields that a body names, checked and in their stored form; None clears a field.

    Raises:
        InvalidInputError: naming the field, such as ``customers[1]`` or ``quiet_hours.from``.
    """
    Fields(body, "", tuple(_CHECKS))
    assert isinstance(body, Mapping)  # Fields has seen to it
    return {name: None if value is None else _CHECKS[name](value, name) for name, value in body.items()}


def check_address(given: Mapping[str, str], at: str) -> dict[str, str]:
    """An address that an event names itself, checked as a user's and in the same stored form.

    Its name stays as it was written: nobody must miss a message for a blank behind a name.

    Raises:
        InvalidInputError: naming the field, such as ``recipients[0].email``.
    """
    return {
        name: value if name == "name" else _CHECKS[name](value, field_at(at, name)) for name, value in given.items()
    }


def _email(value: object, at: str) -> str:
    """RFC 5321 and 5322, without asking the network: a server that is away must not refuse a user."""
    try:
        # Intranets deliver to names that the internet does not know.
        return validate_email(
            check_text(value, at, length=254), check_deliverability=False, globally_deliverable=False
        ).normalized
    except EmailNotValidError:
        raise InvalidInputError(at, "is not an email address") from None


def _phone(value: object, at: str) -> str:
    """E.164. Possible is enough: numbers are handed out faster than lists of valid ones are updated."""
    written = check_text(value, at, length=40)
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or number.extension or not phonenumbers.is_possible_number(number):
        raise InvalidInputError(at, "must be a phone number with its country code, such as +4930901820")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _chat(value: object, at: str) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _CHAT.fullmatch(text):
        raise InvalidInputError(at, "must be the number of a chat or the @name of a public channel")
    return text


def _locale(value: object, at: str) -> str:
    written = check_text(value, at, length=40).replace("_", "-")
    try:
        Locale.parse(written, sep="-")
    except (UnknownLocaleError, ValueError):
        raise InvalidInputError(at, "must be a known language, such as en or pt-BR") from None
    return written


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def check_time_zone(value: object, at: str) -> str:
    """A time zone by its name. Raises InvalidInputError."""
    if not isinstance(value, str) or value not in _time_zones():
        raise InvalidInputError(at, "must be a time zone of the IANA list, such as Europe/Berlin")
    return value


def _roles(value: object, at: str) -> list[str]:
    return sorted({check_text(entry, entry_at) for entry_at, entry in check_list(value, at, length=MOST_ROLES)})


def _customers(value: object, at: str) -> list[str]:
    return sorted({check_uuid(entry, entry_at) for entry_at, entry in check_list(value, at)})


def _channels(value: object, at: str) -> list[str]:
    """Channels by their names, in one order whatever order they were given in."""
    known = (*CHANNELS, *CHANNEL_ALIASES)
    given = [check_word(entry, entry_at, known) for entry_at, entry in check_list(value, at)]
    named = {CHANNEL_ALIASES.get(channel, channel) for channel in given}
    return [channel for channel in CHANNELS if channel in named]


def _quiet_hours(value: object, at: str) -> dict[str, str]:
    fields = Fields(value, at, ("from", "to"))
    hours = {name: fields.required(name) for name in ("from", "to")}
    for name, time in hours.items():
        if not isinstance(time, str) or not _CLOCK.fullmatch(time):
            raise InvalidInputError(fields.place(name), "must be a time of day such as 22:00")
    if hours["from"] == hours["to"]:
        raise InvalidInputError(at, "must not end when they begin")
    return {name: str(time) for name, time in hours.items()}


def check_cron(value: object, at: str) -> str:
    """A schedule: a cron line or one of its short forms. Raises InvalidInputError."""
    line = check_text(value, at)
    problem = None if line in SHORT else cron_problem(line)
    if problem is None and not comes_round(line):
        problem = "names a day that none of its months has"
    if problem is not None:
        raise InvalidInputError(at, problem)
    return line


def _digest(value: object, at: str) -> dict[str, str]:
    fields = Fields(value, at, ("cron",))
    return {"cron": check_cron(fields.required("cron"), fields.place("cron"))}


_CHECKS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "name": check_text,
    "email": _email,
    "phone": _phone,
    "telegram_chat_id": _chat,
    "whatsapp": _phone,
    "apprise": check_apprise,
    "disabled_channels": _channels,
    "locale": _locale,
    "time_zone": check_time_zone,
    "roles": _roles,
    "customers": _customers,
    "quiet_hours": _quiet_hours,
    "digest": _digest,
}
