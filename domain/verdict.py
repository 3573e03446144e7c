"""What follows from an attempt: one small table from outcome to state, reason and wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.retry import LONGEST_RETRY_AFTER, wait_before_retry
from domain.states import DeliveryStatus
from domain.vocabulary import Outcome, Reason, UnknownPolicy

MOST_CRASHES = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a delivery goes on.

    Attributes:
        wait: seconds until it is due again; None when nothing more is to be done.
        outcome: what the attempt was; None when none was made (postponed, withdrawn).
        failures: the number of failed attempts that counts against the schedule from now on.
    """

    status: DeliveryStatus
    reason: Reason | None
    wait: float | None
    outcome: Outcome | None
    failures: int


def sent(failures: int, *, preview: bool = False) -> Verdict:
    """A provider took it."""
    return Verdict(DeliveryStatus.SENT, Reason.PREVIEW if preview else None, None, Outcome.SENT, failures)


def refused(failures: int) -> Verdict:
    """Permanent: a dead letter at once."""
    return Verdict(DeliveryStatus.DEAD_LETTER, Reason.REFUSED, None, Outcome.REFUSED, failures)


def not_rendered(failures: int) -> Verdict:
    """The words could not be made; a person mends the template and replays."""
    return Verdict(DeliveryStatus.DEAD_LETTER, Reason.NOT_RENDERED, None, Outcome.REFUSED, failures)


def failed(failures: int, schedule: Sequence[int], chance: float, retry_after: float | None) -> Verdict:
    """Certainly not sent: again after the schedule's wait, or a dead letter."""
    return _again(Outcome.FAILED, failures, schedule, chance, retry_after)


def unknown(failures: int, schedule: Sequence[int], chance: float, policy: UnknownPolicy) -> Verdict:
    """Nobody can say: sent again, or parked for a person, as the channel's policy has it."""
    if policy is UnknownPolicy.PARK:
        return Verdict(DeliveryStatus.DEAD_LETTER, Reason.OUTCOME_UNKNOWN, None, Outcome.UNKNOWN, failures + 1)
    return _again(Outcome.UNKNOWN, failures, schedule, chance, None)


def lost(crashes: int, failures: int, policy: UnknownPolicy) -> Verdict | None:
    """A worker died with it. None: send it again now; it uses up no retry, but the third crash ends it.

    The lost attempt itself is recorded when the delivery is claimed again, so the verdict carries no outcome.
    """
    if crashes >= MOST_CRASHES:
        return Verdict(DeliveryStatus.DEAD_LETTER, Reason.WORKER_LOST, None, None, failures)
    if policy is UnknownPolicy.PARK:
        return Verdict(DeliveryStatus.DEAD_LETTER, Reason.OUTCOME_UNKNOWN, None, None, failures)
    return None


def postponed(failures: int, reason: Reason, wait: float) -> Verdict:
    """Not tried: an open breaker, a full bulkhead, a rate limit. Uses up no attempt (A-23, A-25, E-45)."""
    status = DeliveryStatus.FAILED if failures else DeliveryStatus.QUEUED
    return Verdict(status, reason, wait, None, failures)


def blocked(failures: int, reason: Reason, wait: float) -> Verdict:
    """Tried, and the account was at fault, not the message (401, 429): it is recorded and uses up no retry."""
    status = DeliveryStatus.FAILED if failures else DeliveryStatus.QUEUED
    return Verdict(status, reason, min(wait, LONGEST_RETRY_AFTER), Outcome.FAILED, failures)


def held(failures: int, reason: Reason, wait: float) -> Verdict:
    """Waits on purpose; not tried."""
    return Verdict(DeliveryStatus.HELD, reason, wait, None, failures)


def device_gone(failures: int) -> Verdict:
    """The provider says that the push token is no more: nothing to be done for anybody."""
    return Verdict(DeliveryStatus.SUPPRESSED, Reason.NO_TOKENS, None, Outcome.REFUSED, failures)


def withdrawn(failures: int, status: DeliveryStatus, reason: Reason) -> Verdict:
    """Not to be sent any more: acknowledged, expired, not wanted."""
    return Verdict(status, reason, None, None, failures)


def _again(
    outcome: Outcome, failures: int, schedule: Sequence[int], chance: float, retry_after: float | None
) -> Verdict:
    failures += 1
    wait = wait_before_retry(failures, schedule, chance, retry_after)
    if wait is None:
        return Verdict(DeliveryStatus.DEAD_LETTER, Reason.RETRIES_EXHAUSTED, None, outcome, failures)
    return Verdict(DeliveryStatus.FAILED, Reason.RETRY, wait, outcome, failures)
