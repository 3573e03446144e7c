"""What follows from an attempt."""

from __future__ import annotations

import pytest

from domain import verdict
from domain.states import DeliveryStatus
from domain.verdict import Verdict
from domain.vocabulary import Outcome, Reason, UnknownPolicy

SCHEDULE = (60, 300)


@pytest.mark.mission("B-9", "B-10", "B-11", "A-26", "A-27")
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(verdict.sent(0), Verdict(DeliveryStatus.SENT, None, None, Outcome.SENT, 0), id="sent"),
        pytest.param(
            verdict.sent(2), Verdict(DeliveryStatus.SENT, None, None, Outcome.SENT, 2), id="sent-at-the-third-try"
        ),
        pytest.param(
            verdict.sent(0, preview=True),
            Verdict(DeliveryStatus.SENT, Reason.PREVIEW, None, Outcome.SENT, 0),
            id="sent-to-preview",
        ),
        pytest.param(
            verdict.refused(0),
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.REFUSED, None, Outcome.REFUSED, 0),
            id="refused",
        ),
        pytest.param(
            verdict.not_rendered(0),
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.NOT_RENDERED, None, Outcome.REFUSED, 0),
            id="not-rendered",
        ),
        pytest.param(
            verdict.failed(0, SCHEDULE, 0.0, None),
            Verdict(DeliveryStatus.FAILED, Reason.RETRY, 60, Outcome.FAILED, 1),
            id="failed-once",
        ),
        pytest.param(
            verdict.failed(1, SCHEDULE, 0.0, None),
            Verdict(DeliveryStatus.FAILED, Reason.RETRY, 300, Outcome.FAILED, 2),
            id="failed-twice",
        ),
        pytest.param(
            verdict.failed(2, SCHEDULE, 0.0, None),
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.RETRIES_EXHAUSTED, None, Outcome.FAILED, 3),
            id="failed-for-the-last-time",
        ),
        pytest.param(
            verdict.failed(0, SCHEDULE, 0.0, 100.0),
            Verdict(DeliveryStatus.FAILED, Reason.RETRY, 100, Outcome.FAILED, 1),
            id="asked-to-wait",
        ),
        pytest.param(
            verdict.unknown(0, SCHEDULE, 0.0, UnknownPolicy.RESEND),
            Verdict(DeliveryStatus.FAILED, Reason.RETRY, 60, Outcome.UNKNOWN, 1),
            id="unknown",
        ),
        pytest.param(
            verdict.unknown(2, SCHEDULE, 0.0, UnknownPolicy.RESEND),
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.RETRIES_EXHAUSTED, None, Outcome.UNKNOWN, 3),
            id="unknown-for-the-last-time",
        ),
        pytest.param(
            verdict.unknown(0, SCHEDULE, 0.0, UnknownPolicy.PARK),
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.OUTCOME_UNKNOWN, None, Outcome.UNKNOWN, 1),
            id="unknown-and-parked",
        ),
        pytest.param(
            verdict.postponed(0, Reason.BREAKER_OPEN, 30),
            Verdict(DeliveryStatus.QUEUED, Reason.BREAKER_OPEN, 30, None, 0),
            id="breaker-open",
        ),
        pytest.param(
            verdict.postponed(2, Reason.BREAKER_OPEN, 30),
            Verdict(DeliveryStatus.FAILED, Reason.BREAKER_OPEN, 30, None, 2),
            id="breaker-open-after-failures",
        ),
        pytest.param(
            verdict.withdrawn(1, DeliveryStatus.CANCELLED, Reason.ACKNOWLEDGED),
            Verdict(DeliveryStatus.CANCELLED, Reason.ACKNOWLEDGED, None, None, 1),
            id="withdrawn",
        ),
    ],
)
def test_an_attempt_comes_to(found: Verdict, expected: Verdict) -> None:
    assert found == expected


@pytest.mark.mission("A-23", "A-25", "E-45")
@pytest.mark.parametrize("reason", [Reason.BREAKER_OPEN, Reason.BULKHEAD_FULL, Reason.RATE_LIMITED])
@pytest.mark.parametrize("failures", [0, 1, 5])
def test_what_is_postponed_uses_up_no_attempt(reason: Reason, failures: int) -> None:
    found = verdict.postponed(failures, reason, 30)
    assert (found.outcome, found.failures) == (None, failures)


@pytest.mark.mission("A-26")
@pytest.mark.parametrize(
    ("crashes", "policy", "expected"),
    [
        pytest.param(1, UnknownPolicy.RESEND, None, id="first-crash-again"),
        pytest.param(2, UnknownPolicy.RESEND, None, id="second-crash-again"),
        pytest.param(
            3,
            UnknownPolicy.RESEND,
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.WORKER_LOST, None, None, 4),
            id="third-crash-ends-it",
        ),
        pytest.param(
            1,
            UnknownPolicy.PARK,
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.OUTCOME_UNKNOWN, None, None, 4),
            id="parked-at-once",
        ),
        pytest.param(
            3,
            UnknownPolicy.PARK,
            Verdict(DeliveryStatus.DEAD_LETTER, Reason.WORKER_LOST, None, None, 4),
            id="third-crash-before-policy",
        ),
    ],
)
def test_a_lost_worker_costs_no_retry_until_the_third_time(
    crashes: int, policy: UnknownPolicy, expected: Verdict | None
) -> None:
    assert verdict.lost(crashes, 4, policy) == expected


@pytest.mark.mission("B-11")
def test_a_delivery_is_sent_six_times_at_the_most() -> None:
    failures, sends = 0, 0
    while True:
        sends += 1
        found = verdict.failed(failures, (60, 300, 900, 1800, 3600), 0.0, None)
        if found.wait is None:
            break
        failures = found.failures
    assert (sends, found.status) == (6, DeliveryStatus.DEAD_LETTER)
