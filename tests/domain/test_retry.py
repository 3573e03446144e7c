"""When a failed delivery is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from domain.retry import JITTER, LONGEST_RETRY_AFTER, wait_before_retry

SCHEDULE = (60, 300, 900, 1800, 3600)


@pytest.mark.mission("B-10")
def test_the_shipped_schedule_is_1_5_15_30_and_60_minutes() -> None:
    assert Settings.model_fields["retry_schedule"].default == SCHEDULE


@pytest.mark.mission("B-10", "B-11", "A-26")
@pytest.mark.parametrize(
    ("failures", "wait"),
    [(1, 60), (2, 300), (3, 900), (4, 1800), (5, 3600), (6, None), (7, None)],
    ids=["first", "second", "third", "fourth", "fifth", "none-is-left", "nor-later"],
)
def test_each_failure_waits_longer_until_five_retries_are_used_up(failures: int, wait: float | None) -> None:
    assert wait_before_retry(failures, SCHEDULE, 0.0) == wait


@pytest.mark.mission("B-10")
@given(st.integers(1, 5), st.floats(0, 1, exclude_max=True))
def test_the_jitter_adds_up_to_a_tenth_and_never_shortens(failures: int, chance: float) -> None:
    planned = SCHEDULE[failures - 1]
    wait = wait_before_retry(failures, SCHEDULE, chance)
    assert wait is not None
    assert planned <= wait <= planned * (1 + JITTER)


@pytest.mark.mission("B-10", "E-45")
@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        pytest.param(None, 60, id="not-asked"),
        pytest.param(10, 60, id="shorter-than-the-schedule"),
        pytest.param(120, 120, id="longer-than-the-schedule"),
        pytest.param(86400, LONGEST_RETRY_AFTER, id="a-day-is-cut-to-an-hour"),
        pytest.param(float("inf"), LONGEST_RETRY_AFTER, id="for-ever-is-cut-to-an-hour"),
        pytest.param(-5, 60, id="negative"),
        pytest.param(float("nan"), 60, id="no-number"),
    ],
)
def test_a_provider_may_ask_for_more_but_not_for_less(asked: float | None, wait: float) -> None:
    assert wait_before_retry(1, SCHEDULE, 0.0, asked) == wait


def test_what_a_provider_asks_for_gives_no_retry_that_the_schedule_does_not_have() -> None:
    assert wait_before_retry(6, SCHEDULE, 0.0, 30) is None


def test_without_a_schedule_the_first_failure_is_the_last() -> None:
    assert wait_before_retry(1, (), 0.5) is None
