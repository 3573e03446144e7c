"""Dates, times, numbers and money as the recipient's language writes them, by the recipient's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from config.catalogue import TEMPLATES
from pipeline import wording
from pipeline.fit import share_of
from pipeline.language import ENGLISH, SPOKEN, Languages
from pipeline.sentences import gettext, ngettext

SPEAK = Languages(TEMPLATES)
MONEY = {
    None: "€1,280.50",
    "de": "1.280,50\xa0€",
    "de-AT": "€\xa01.280,50",
    "de-CH": "EUR\xa01’280.50",
    "en-IN": "€1,280.50",
}


def spoken(locale: str | None, zone: str | None, said: Callable[[], str]) -> str:
    """What `said` says to somebody."""
    before = SPOKEN.set(SPEAK.of(locale, zone))
    try:
        return said()
    finally:
        SPOKEN.reset(before)


@pytest.mark.mission("E-16", "E-25")
@pytest.mark.parametrize(
    ("locale", "zone", "shown"),
    [
        (None, None, "20 November 2026, 23:30 UTC"),
        ("en", "UTC", "20 November 2026, 23:30 UTC"),
        ("de", None, "20. November 2026, 23:30 UTC"),
        ("de", "Europe/Berlin", "21. November 2026, 00:30 MEZ"),
        ("de-AT", "Europe/Vienna", "21. November 2026, 00:30 MEZ"),
        (None, "Europe/Berlin", "21 November 2026, 00:30 CET"),
        ("en-GB", "Europe/London", "20 November 2026, 23:30 GMT"),
        ("en-US", "America/New_York", "November 20, 2026, 6:30\u202fPM EST"),
        (None, "Asia/Kolkata", "21 November 2026, 05:00 UTC+5:30"),
        ("de", "America/St_Johns", "20. November 2026, 20:00 UTC-3:30"),
        ("fr", "Europe/Paris", "21 November 2026, 00:30 CET"),
        ("xx", "Nowhere/Else", "20 November 2026, 23:30 UTC"),
        ("de", "../../etc/passwd", "20. November 2026, 23:30 UTC"),
        ("de", "\x00", "20. November 2026, 23:30 UTC"),
        ("de", "Europe", "20. November 2026, 23:30 UTC"),
        ("de", "x" * 5000, "20. November 2026, 23:30 UTC"),
        ("\x00", "", "20 November 2026, 23:30 UTC"),
    ],
)
def test_a_time_is_told_by_the_clock_of_its_reader(locale: str | None, zone: str | None, shown: str) -> None:
    value = "2026-11-20T23:30:00Z"
    assert spoken(locale, zone, lambda: wording.moment(value)) == shown
    assert spoken(locale, zone, lambda: wording.moment(datetime(2026, 11, 20, 23, 30, tzinfo=UTC))) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2026-03-29T00:59:00Z", "29. März 2026, 01:59 MEZ"),
        ("2026-03-29T01:00:00Z", "29. März 2026, 03:00 MESZ"),
        ("2026-10-25T00:59:00Z", "25. Oktober 2026, 02:59 MESZ"),
        ("2026-10-25T01:00:00Z", "25. Oktober 2026, 02:00 MEZ"),
    ],
)
def test_summer_time_begins_and_ends_at_the_right_minute(value: str, shown: str) -> None:
    assert spoken("de", "Europe/Berlin", lambda: wording.moment(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2028-02-29", "29. Februar 2028"),
        ("2026-11-20T09:00:00", "20. November 2026, 09:00"),  # no offset: it is what it says
        ("2027-02-29", "2027-02-29"),
        ("0001-01-01T00:00:00+14:00", "1. Januar 1, 00:00"),
        ("9999-12-31T23:59:59-12:00", "31. Dezember 9999, 23:59"),
        ("tomorrow", "tomorrow"),
    ],
)
def test_days_stay_what_they_are_and_odd_ones_are_no_error(value: str, shown: str) -> None:
    assert spoken("de", "Asia/Tokyo", lambda: wording.moment(value)) == shown


@pytest.mark.parametrize("locale", MONEY)
def test_money_is_written_as_in_the_country(locale: str | None) -> None:
    assert spoken(locale, None, lambda: wording.money("1280.5", "EUR")) == MONEY[locale]


@pytest.mark.parametrize("locale", MONEY)
@pytest.mark.parametrize("amount", [1280.5, "1280.50"])
def test_an_amount_may_be_a_number_or_a_text(locale: str | None, amount: object) -> None:
    assert spoken(locale, None, lambda: wording.money(amount, "EUR")) == MONEY[locale]
    whole = spoken(locale, None, lambda: wording.money(1280, "EUR"))
    assert whole == MONEY[locale].replace("50", "00")


@pytest.mark.parametrize(("locale", "shown"), [(None, "10,000"), ("de", "10.000"), ("de-CH", "10’000")])
def test_a_large_number_of_things_is_grouped(locale: str | None, shown: str) -> None:
    assert spoken(locale, None, lambda: wording.number_of(10_000, "day")).split()[0] == shown
    assert shown in spoken(locale, None, lambda: gettext("and %(count)s more", count=10_000))
    assert shown in spoken(locale, None, lambda: ngettext("And %(num)s more", "And %(num)s more", 10_000))


@pytest.mark.parametrize(
    ("event_type", "locale", "shown"),
    [
        ("billing.invoice-generated", None, "Billing: invoice generated"),
        ("billing.invoice-generated", "de", "Rechnung erstellt"),
        ("acme.ssl-renewed", None, "Acme: SSL renewed"),
        ("ssl_expiry", None, "SSL expiry"),
        ("digest", None, "Digest"),
        ("a.", None, "A"),
        (".", None, ""),
    ],
)
def test_what_happened_is_named_in_peoples_words(event_type: str, locale: str | None, shown: str) -> None:
    assert spoken(locale, None, lambda: wording.kind(event_type)) == shown


def test_a_name_is_written_as_its_owner_writes_it() -> None:
    assert wording.label("whatsapp") == "WhatsApp"


def test_a_share_is_the_same_in_every_language() -> None:
    assert spoken("de", None, lambda: str(share_of(2.5, "10"))) == "25"


@pytest.mark.parametrize(
    ("locale", "value", "shown"),
    [
        ("de", 1.5, "1,5"),
        ("de", 1280.25, "1280,25"),
        ("de", 1e300, "1e+300"),
        ("de", 2026, "2026"),
        ("de", True, "ja"),
        ("de", [1.5, False], "1,5, nein"),
        ("de", "1.5", "1.5"),
        (None, 1.5, "1.5"),
        (None, True, "yes"),
    ],
)
def test_numbers_have_the_sign_of_the_language_and_text_is_left_alone(
    locale: str | None, value: object, shown: str
) -> None:
    assert spoken(locale, None, lambda: wording.words(value)) == shown


def test_whoever_named_nothing_costs_no_look_at_languages() -> None:
    assert SPEAK.of(None, None) is ENGLISH
    assert SPEAK.of("de", "Europe/Berlin") is SPEAK.of("de", "Europe/Berlin")


@pytest.mark.parametrize(
    ("locale", "words", "tag"),
    [("fr-CA", "fr", "fr-CA"), ("fr", "fr", "fr"), ("fr-CA", "fr-CA", "fr-CA"), ("fr", "", "en"), ("fr", "de", "en")],
)
def test_a_tenants_own_template_makes_its_language_spoken(locale: str, words: str, tag: str) -> None:
    language = SPEAK.of(locale, None, words)
    assert language.tag == tag
    before = SPOKEN.set(language)
    assert wording.moment("2026-11-20") == ("20 November 2026" if tag == "en" else "20 novembre 2026")
    SPOKEN.reset(before)
