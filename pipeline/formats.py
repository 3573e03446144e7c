"""Dates, times, numbers and money as the recipient's language writes them, by the recipient's clock.

Babel takes some 30 us for each, so what repeats is kept: days, minutes of the day, names of zones.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal

from babel.numbers import UnknownCurrencyError, format_currency, format_decimal

from pipeline.language import SPOKEN

_SHORT_NAME: Final = re.compile(r"[^\W\d_]{2,5}")  # CET, MEZ, EST; not "Eastern Standard Time" nor "+0100"


def day(value: date) -> str:
    """A day: "27 November 2026", "27. November 2026"."""
    return _day(value.year, value.month, value.day, SPOKEN.get().locale)


def moment(value: datetime) -> str:
    """A time by the recipient's clock, which is named; one without an offset is taken as it is, without a name."""
    language = SPOKEN.get()
    if value.tzinfo is None:
        return _joined(value, "", language.locale)
    try:
        value = value.astimezone(language.zone)
    except OverflowError:  # at the very ends of the calendar
        return _joined(value, "", language.locale)
    name = "UTC" if value.tzinfo is UTC else _zone(str(value.tzinfo), value, language.locale)
    return _joined(value, name, language.locale)


def money(value: Decimal, currency: str) -> str:
    """An amount with its currency: "€1,280.00", "1.280,00 €".

    Raises:
        babel.numbers.UnknownCurrencyError: `currency` is none.
    """
    return _money(value, currency, SPOKEN.get().locale)


def decimal(digits: str) -> str:
    """Digits with the usual sign before the fraction; they are not grouped, for nobody knows what they are."""
    locale = SPOKEN.get().locale
    return digits if locale is None or "e" in digits else digits.replace(".", _point(locale), 1)


def grouped(number: int) -> str:
    """A number of things: "10,000", "10.000"."""
    return str(number) if abs(number) < 1000 else _grouped(number, SPOKEN.get().locale)


def _joined(value: datetime, zone: str, locale: str | None) -> str:
    on = _day(value.year, value.month, value.day, locale)
    at = _clock(value.hour, value.minute, locale)
    if zone:
        at = f"{at} {zone}"
    return f"{on}, {at}" if locale is None else _glue(locale).replace("{0}", at).replace("{1}", on)


@lru_cache(maxsize=4096)
def _day(year: int, month: int, of_month: int, locale: str | None) -> str:
    value = date(year, month, of_month)
    if locale is None:
        return f"{of_month} {value:%B} {year}"
    from babel.dates import format_date

    return format_date(value, "long", locale)


@lru_cache(maxsize=4096)
def _clock(hour: int, minute: int, locale: str | None) -> str:
    if locale is None:
        return f"{hour:02}:{minute:02}"
    from babel.dates import format_time

    return format_time(time(hour, minute), "short", locale=locale)


@lru_cache(maxsize=64)
def _glue(locale: str) -> str:
    """How a day and a time stand together: "{1}, {0}"."""
    from babel import Locale

    return str(Locale.parse(locale).datetime_formats["long"]).replace("'", "")


@lru_cache(maxsize=64)
def _point(locale: str) -> str:
    from babel.numbers import get_decimal_symbol

    return get_decimal_symbol(locale)


def _zone(key: str, value: datetime, locale: str | None) -> str:
    return _zone_name(key, value.utcoffset() or timedelta(0), bool(value.dst()), locale)


@lru_cache(maxsize=1024)
def _zone_name(key: str, offset: timedelta, summer: bool, locale: str | None) -> str:
    """What people call it, else how far it is from UTC: "MEZ", "CET", "UTC+5:30"."""
    from babel.dates import get_timezone_name

    variant: Literal["daylight", "standard"] = "daylight" if summer else "standard"
    for spoken in ("en_GB", "en_US") if locale is None else (locale,):
        name = get_timezone_name(key, "short", locale=spoken, zone_variant=variant)
        if _SHORT_NAME.fullmatch(name):
            return name
    minutes = round(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    shown = f"{hours}:{rest:02}" if rest else str(hours)
    return f"UTC{'-' if minutes < 0 else '+'}{shown}" if minutes else "UTC"


@lru_cache(maxsize=1024)
def _grouped(number: int, locale: str | None) -> str:
    return format_decimal(number, locale=locale or "en")


@lru_cache(maxsize=1024)
def _money(value: Decimal, currency: str, locale: str | None) -> str:
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise UnknownCurrencyError(currency)
    return format_currency(value, currency, locale=locale or "en", group_separator=True)
