"""What passes for a cron line."""

from __future__ import annotations

import pytest

from domain.cron import cron_problem


@pytest.mark.parametrize(
    "line", ["0 8 * * *", "*/15 * * * *", "0 8,12-18/2 1,15 */3 1-5", "59 23 31 12 7", "  0   8 * * 0 "]
)
def test_a_usable_line_has_no_problem(line: str) -> None:
    assert cron_problem(line) is None


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "five fields"),
        ("daily", "five fields"),
        ("0 8 * *", "five fields"),
        ("0 8 * * * *", "five fields"),
        ("60 8 * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 8 0 * *", "day"),
        ("0 8 * 13 *", "month"),
        ("0 8 * * 8", "weekday"),
        ("0 18-8 * * *", "hour"),
        ("*/0 8 * * *", "minute"),
        ("*/60 8 * * *", "minute"),
        ("0, 8 * * *", "minute"),
        ("-1 8 * * *", "minute"),
        ("٣ 8 * * *", "minute"),
    ],
)
def test_a_line_that_cannot_be_used_says_which_field(line: str, named: str) -> None:
    problem = cron_problem(line)
    assert problem is not None
    assert named in problem
