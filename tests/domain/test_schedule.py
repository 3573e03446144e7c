"""Cron lines by the clock on the wall, and what happens when it is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from domain.cron import cron_problem
from domain.quiet import quiet_until
from domain.schedule import SHORT, comes_round, first_of_week, instant, next_time, zone_named

BERLIN = ZoneInfo("Europe/Berlin")  # to 03:00 at 02:00 on 29 March 2026, back to 02:00 at 03:00 on 25 October
NEW_YORK = ZoneInfo("America/New_York")
KATHMANDU = ZoneInfo("Asia/Kathmandu")  # +05:45
SAO_PAULO = ZoneInfo("America/Sao_Paulo")  # until 2019 its clocks were changed at midnight


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    """A time by the clock in `zone`, or with an offset of its own."""
    read = datetime.fromisoformat(text)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.mission("B-16")
@pytest.mark.parametrize(
    ("line", "after", "due"),
    [
        ("0 8 * * 1-5", "2026-11-20T07:59", "2026-11-20T08:00"),
        ("0 8 * * 1-5", "2026-11-20T08:00", "2026-11-23T08:00"),  # a Friday; what is due is not due again
        ("0 8 * * 1-5", "2026-11-20T07:59:59", "2026-11-20T08:00"),
        ("hourly", "2026-11-20T07:20", "2026-11-20T08:00"),
        ("daily", "2026-11-20T08:01", "2026-11-21T08:00"),
        ("weekly", "2026-11-20T08:01", "2026-11-23T08:00"),
        ("*/15 9-17 * * *", "2026-11-20T17:45", "2026-11-21T09:00"),
        ("5/20 * * * *", "2026-11-20T17:26", "2026-11-20T17:45"),
        ("0 0 * * 7", "2026-11-20T12:00", "2026-11-22T00:00"),
        ("0 9 1 * 1", "2026-11-20T12:00", "2026-11-23T09:00"),  # the first of the month, or a Monday
        ("0 9 1 * *", "2026-11-20T12:00", "2026-12-01T09:00"),
        ("0 9 31 * *", "2026-11-20T12:00", "2026-12-31T09:00"),
        ("0 0 29 2 *", "2026-11-20T12:00", "2028-02-29T00:00"),
        ("0 0 29 2 *", "2096-03-01T00:00", "2104-02-29T00:00"),
    ],
)
def test_a_line_comes_round_at_its_next_time(line: str, after: str, due: str) -> None:
    assert next_time(line, at(after), BERLIN) == at(due)


@pytest.mark.mission("B-16")
@pytest.mark.parametrize(
    ("line", "after", "due"),
    [
        # 02:30 is left out in spring: at the change, and then as always
        ("30 2 * * *", "2026-03-29T00:00+01:00", "2026-03-29T03:00+02:00"),
        ("30 2 * * *", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"),
        ("30 * * * *", "2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"),
        ("*/30 2,3 * * *", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"),
        # 02:30 comes twice in autumn: once, and the second time only what comes every hour
        ("30 2 * * *", "2026-10-25T00:00+02:00", "2026-10-25T02:30+02:00"),
        ("30 2 * * *", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("30 2 * * *", "2026-10-25T02:15+01:00", "2026-10-26T02:30+01:00"),
        ("0 * * * *", "2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"),
        ("0 * * * *", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"),
        ("*/30 * * * *", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00"),
        # across a change
        ("0 8 * * *", "2026-03-28T08:00+01:00", "2026-03-29T08:00+02:00"),
        ("0 8 * * *", "2026-10-24T08:00+02:00", "2026-10-25T08:00+01:00"),
    ],
)
def test_clocks_that_are_changed_neither_lose_nor_double_a_time(line: str, after: str, due: str) -> None:
    assert next_time(line, at(after), BERLIN) == at(due)


def test_a_midnight_that_does_not_exist_is_the_moment_of_the_change() -> None:
    assert next_time("0 0 * * *", at("2018-11-03T12:00", SAO_PAULO), SAO_PAULO) == at("2018-11-04T01:00-02:00")


@pytest.mark.parametrize(
    ("zone", "due"),
    [(BERLIN, "2026-11-21T07:00+00:00"), (NEW_YORK, "2026-11-20T13:00+00:00"), (KATHMANDU, "2026-11-21T02:15+00:00")],
)
def test_eight_o_clock_is_the_recipients(zone: ZoneInfo, due: str) -> None:
    assert next_time("0 8 * * *", at("2026-11-20T12:00+00:00"), zone) == at(due)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, KATHMANDU, SAO_PAULO])
@pytest.mark.parametrize("line", ["30 2 * * *", "0 */6 * * *", "*/20 1-3 * * *", "0 0 * * *"])
def test_a_year_of_times_goes_forward_without_a_gap(line: str, zone: ZoneInfo) -> None:
    """Each time leads to the next one, as a beat that looks at every one of them would find.

    Of times in any hour, as ``*/6``, one that the clock skips is left out, as cron does.
    """
    now, seen = at("2018-01-01T00:00", zone), []
    while now < at("2019-01-01T00:00", zone):
        found = next_time(line, now, zone)
        assert found is not None
        assert found > now
        seen.append(found)
        now = found
    longest = max(later - earlier for earlier, later in pairwise(seen))
    assert longest <= timedelta(hours=11 if line.startswith("0 *") else 25)


@pytest.mark.parametrize(("line", "does"), [("0 0 30 2 *", False), ("0 0 31 4,6,9 *", False), ("0 0 29 2 *", True)])
def test_a_day_that_no_month_has_never_comes(line: str, does: bool) -> None:
    assert comes_round(line) is does
    assert (next_time(line, at("2026-11-20T12:00"), BERLIN) is not None) is does


@pytest.mark.parametrize("short", SHORT)
def test_a_short_form_stands_for_a_line(short: str) -> None:
    assert cron_problem(SHORT[short]) is None
    assert next_time(short, at("2026-11-20T12:00"), UTC) == next_time(SHORT[short], at("2026-11-20T12:00"), UTC)


@pytest.mark.parametrize(
    ("line", "after", "due"),
    [
        ("30 17 * * *", "2026-11-20T12:00", "2026-11-23T17:30"),  # a Friday
        ("30 17 * * *", "2026-11-23T12:00", "2026-11-23T17:30"),  # a Monday
        ("30 17 * * *", "2026-11-23T17:30", "2026-11-30T17:30"),
        ("0 0 * * *", "2026-11-20T12:00", "2026-11-23T00:00"),
        ("0 8 * * 3", "2026-11-20T12:00", "2026-11-25T08:00"),
    ],
)
def test_once_a_week_is_the_first_time_of_a_week(line: str, after: str, due: str) -> None:
    assert first_of_week(line, at(after), BERLIN) == at(due)


@pytest.mark.parametrize(
    ("names", "zone"),
    [
        (("Europe/Berlin",), "Europe/Berlin"),
        ((None, "Asia/Kathmandu"), "Asia/Kathmandu"),
        (("Mars/Olympus", "Asia/Kathmandu"), "Asia/Kathmandu"),
        (("../etc/passwd", None), "UTC"),
        ((None, None), "UTC"),
    ],
)
def test_a_zone_that_is_not_there_gives_way_to_the_next(names: tuple[str | None, ...], zone: str) -> None:
    assert str(zone_named(*names)) == zone


def test_a_time_that_the_clock_skips_has_passed_at_the_change() -> None:
    assert instant(datetime.fromisoformat("2026-03-29T02:59"), BERLIN) == at("2026-03-29T03:00+02:00")


@pytest.mark.parametrize(
    ("now", "start", "end", "until"),
    [
        ("2026-11-20T22:00", "22:00", "07:00", "2026-11-21T07:00"),
        ("2026-11-21T06:59:59", "22:00", "07:00", "2026-11-21T07:00"),
        ("2026-11-21T07:00", "22:00", "07:00", None),
        ("2026-11-20T21:59:59", "22:00", "07:00", None),
        ("2026-11-20T13:00", "12:00", "14:00", "2026-11-20T14:00"),
        ("2026-11-20T14:00", "12:00", "14:00", None),
        ("2026-11-20T00:00", "00:00", "07:00", "2026-11-20T07:00"),
        # spring: an end that is skipped is the change, a beginning that is skipped too
        ("2026-03-29T01:00+01:00", "22:00", "02:30", "2026-03-29T03:00+02:00"),
        ("2026-03-29T03:00+02:00", "02:30", "06:00", "2026-03-29T06:00+02:00"),
        ("2026-03-29T01:59+01:00", "02:30", "06:00", None),
        # autumn: an end that comes twice is the first, and the hours do not begin again
        ("2026-10-25T02:15+02:00", "22:00", "02:30", "2026-10-25T02:30+02:00"),
        ("2026-10-25T02:15+01:00", "22:00", "02:30", None),
        ("2026-10-25T02:15+01:00", "02:30", "06:00", "2026-10-25T06:00+01:00"),
        ("2026-10-25T01:00+02:00", "22:00", "07:00", "2026-10-25T07:00+01:00"),
    ],
)
def test_quiet_hours_lie_between_two_moments(now: str, start: str, end: str, until: str | None) -> None:
    assert quiet_until(at(now), start, end, BERLIN) == (until and at(until))
