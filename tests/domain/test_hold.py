"""What waits, until when, and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.event import Person, PreferenceEntry
from domain.hold import HOLDABLE, DigestDefaults, Hold, Subject, hold
from domain.vocabulary import CHANNELS, Reason, Severity

NIGHT = datetime(2026, 11, 20, 23, tzinfo=UTC)  # a Friday; in Berlin it is midnight
NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)
BILL = Subject(Severity.HIGH, False, "billing", "billing.invoice-generated", "c1")
STAGED = replace(BILL, batch=300)
ANA = Person("ana", None, None, {}, time_zone="Europe/Berlin")
SLEEPER = replace(ANA, quiet_hours=("22:00", "07:00"))


def wants(*entries: PreferenceEntry, **more: Any) -> Person:
    return replace(ANA, preferences=entries, **more)


def entry(cadence: str | None = None, event: str | None = None, customer: str | None = None, **own: str) -> Any:
    return PreferenceEntry("billing", event, customer, {}, cadence, own)


DAILY = wants(entry("daily"))
EIGHT = datetime(2026, 11, 21, 7, tzinfo=UTC)
SEVEN = datetime(2026, 11, 21, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("person", "now", "expected"),
    [
        pytest.param(ANA, NIGHT, None, id="nothing-is-said"),
        pytest.param(SLEEPER, NOON, None, id="by-day"),
        pytest.param(SLEEPER, NIGHT, Hold(Reason.QUIET_HOURS, SEVEN), id="by-night"),
        pytest.param(DAILY, NIGHT, Hold(Reason.DIGEST, EIGHT), id="daily"),
        pytest.param(
            replace(DAILY, quiet_hours=("22:00", "09:00")),
            NOON,
            Hold(Reason.DIGEST, datetime(2026, 11, 21, 8, tzinfo=UTC)),
            id="a-digest-wakes-nobody",
        ),
        pytest.param(
            replace(DAILY, digest="30 17 * * 1-5"),
            NIGHT,
            Hold(Reason.DIGEST, datetime(2026, 11, 23, 16, 30, tzinfo=UTC)),
            id="at-the-users-own-time",
        ),
        pytest.param(
            wants(entry("hourly"), digest="30 17 * * 1-5"),
            NIGHT + timedelta(minutes=10),
            Hold(Reason.DIGEST, datetime(2026, 11, 21, tzinfo=UTC)),
            id="hourly",
        ),
        pytest.param(
            wants(entry("weekly"), digest="30 17 * * *"),
            NIGHT,
            Hold(Reason.DIGEST, datetime(2026, 11, 23, 16, 30, tzinfo=UTC)),
            id="weekly",
        ),
        pytest.param(
            replace(DAILY, time_zone=None), NIGHT, Hold(Reason.DIGEST, EIGHT + timedelta(hours=1)), id="without-a-zone"
        ),
        pytest.param(
            replace(DAILY, time_zone="Mars/Olympus"),
            NIGHT,
            Hold(Reason.DIGEST, EIGHT + timedelta(hours=1)),
            id="a-zone-that-is-gone",
        ),
        pytest.param(replace(DAILY, digest="0 0 30 2 *"), NIGHT, Hold(Reason.DIGEST, EIGHT), id="never-is-daily"),
        pytest.param(wants(entry("instant"), quiet_hours=None), NIGHT, None, id="instant"),
    ],
)
def test_a_delivery_waits_for_the_end_of_the_night_or_for_a_digest(
    person: Person, now: datetime, expected: Hold | None
) -> None:
    assert hold(BILL, person, "email", now) == expected


@pytest.mark.parametrize("person", [SLEEPER, DAILY, replace(DAILY, quiet_hours=("00:00", "23:59"))])
@pytest.mark.parametrize(
    "subject",
    [replace(STAGED, severity=Severity.CRITICAL), replace(STAGED, transactional=True)],
    ids=["critical", "transactional"],
)
def test_nothing_holds_what_is_critical_or_owed(person: Person, subject: Subject) -> None:
    assert [hold(subject, person, channel, NIGHT) for channel in CHANNELS] == [None] * len(CHANNELS)


def test_inbox_and_webhooks_and_bare_addresses_never_wait() -> None:
    held = {channel for channel in CHANNELS if hold(BILL, SLEEPER, channel, NIGHT) is not None}
    assert held == set(HOLDABLE) == set(CHANNELS) - {"in_app", "webhook"}
    assert hold(STAGED, replace(SLEEPER, user_id=None), "email", NIGHT) is None


@pytest.mark.mission("E-40")
@pytest.mark.parametrize(
    ("person", "channel", "expected"),
    [
        (ANA, "email", Hold(Reason.BATCH, NIGHT + timedelta(minutes=5))),
        (ANA, "telegram", None),
        (SLEEPER, "email", Hold(Reason.QUIET_HOURS, SEVEN)),
        (replace(ANA, quiet_hours=("00:03", "07:00")), "email", Hold(Reason.BATCH, SEVEN)),
        (DAILY, "email", Hold(Reason.DIGEST, EIGHT)),
    ],
)
def test_emails_of_a_staged_plan_are_gathered_for_some_minutes(
    person: Person, channel: str, expected: Hold | None
) -> None:
    assert hold(STAGED, person, channel, NIGHT) == expected


INVOICE = "billing.invoice-generated"


@pytest.mark.parametrize(
    ("entries", "waits"),
    [
        pytest.param([entry("daily"), entry("instant", INVOICE)], False, id="the-event-before-its-group"),
        pytest.param([entry("instant"), entry("daily", customer="c1")], True, id="one-customer-before-all"),
        pytest.param([entry("daily", customer="c2")], False, id="another-customer"),
        pytest.param([entry("daily", event="billing.other")], False, id="another-event"),
        pytest.param([entry("daily"), entry(None, INVOICE)], True, id="what-says-nothing-decides-nothing"),
        pytest.param([entry("instant", email="daily")], True, id="the-channels-own"),
        pytest.param([entry("daily", telegram="instant")], True, id="another-channels-own"),
        pytest.param([entry(email="daily"), entry("instant", INVOICE)], False, id="specific-before-the-channels-own"),
        pytest.param([PreferenceEntry("chat", None, None, {}, "daily")], False, id="another-group"),
    ],
)
def test_the_most_specific_entry_that_says_how_often_decides(entries: list[PreferenceEntry], waits: bool) -> None:
    assert (hold(BILL, wants(*entries), "email", NOON) is not None) is waits


@pytest.mark.parametrize(
    ("person", "defaults", "until"),
    [
        (ANA, DigestDefaults("0 6 * * *", "Asia/Kathmandu"), None),
        (ANA, DigestDefaults(None, None, (entry("daily"),)), EIGHT),
        (ANA, DigestDefaults("0 6 * * *", "Asia/Kathmandu", (entry("daily"),)), datetime(2026, 11, 21, 5, tzinfo=UTC)),
        (wants(entry("instant")), DigestDefaults("0 6 * * *", None, (entry("daily"),)), None),
        (DAILY, DigestDefaults("0 6 * * *", "Asia/Kathmandu"), datetime(2026, 11, 21, 5, tzinfo=UTC)),
        (
            replace(DAILY, time_zone=None),
            DigestDefaults("0 6 * * *", "Asia/Kathmandu"),
            datetime(2026, 11, 21, 0, 15, tzinfo=UTC),
        ),
        (replace(DAILY, digest="weekly"), DigestDefaults("0 6 * * *"), datetime(2026, 11, 23, 7, tzinfo=UTC)),
    ],
)
def test_a_tenants_defaults_stand_in_for_what_a_user_does_not_say(
    person: Person, defaults: DigestDefaults, until: datetime | None
) -> None:
    found = hold(BILL, person, "email", NOON, defaults)
    assert (found and found.until) == until
