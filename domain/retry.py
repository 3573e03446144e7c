"""When a failed delivery is tried again, and when it is given up."""

from __future__ import annotations

from collections.abc import Sequence

JITTER = 0.10  # of the wait, on top: a thousand deliveries that failed together do not come back together
LONGEST_RETRY_AFTER = 3600.0  # seconds; a provider that asks for more gets the last wait of the schedule


def wait_before_retry(
    failures: int, schedule: Sequence[int], chance: float, retry_after: float | None = None
) -> float | None:
    """Seconds until the next attempt, or None when there is none left.

    Args:
        failures: how many attempts have failed, this one included (1 after the first).
        schedule: the waits; its length is the number of retries.
        chance: a number in [0, 1) that places the jitter.
        retry_after: what the provider asked for; never shortens the schedule's wait, capped at an hour.
    """
    if failures > len(schedule):
        return None
    wait = schedule[failures - 1] * (1 + JITTER * chance)
    if retry_after is None:
        return wait
    return max(wait, min(retry_after, LONGEST_RETRY_AFTER))
