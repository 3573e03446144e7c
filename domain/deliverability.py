"""Deliverability: how much of what a provider accepts bounces or is complained about, and when that is too much."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

ACCEPTED: Final = "accepted"
DELIVERED: Final = "delivered"
BOUNCED: Final = "bounced"
COMPLAINED: Final = "complained"
DEACTIVATED: Final = "deactivated"
SEGMENTS: Final = "segments"
COUNTED: Final = (ACCEPTED, DELIVERED, BOUNCED, COMPLAINED, DEACTIVATED, SEGMENTS)
"""What is counted by hour, tenant, channel and provider: messages, push tokens that are no more, parts of texts."""

# Amazon puts an account under review at 5 % and at 0.1 %, and pauses it at 10 % and at 0.5 %:
# https://docs.aws.amazon.com/ses/latest/dg/reputationdashboardmessages.html
# Google asks for less than 0.1 % and blocks from 0.3 % on: https://support.google.com/a/answer/81126
MOST_BOUNCED: Final = 0.05
MOST_COMPLAINED: Final = 0.001
LEAST_ACCEPTED: Final = 200  # fewer say nothing
LEAST_COMPLAINED: Final = 2  # one person's click is no rate


def rate(count: int, accepted: int) -> float | None:
    """The part of what was accepted; None when nothing was."""
    return count / accepted if accepted else None


def is_poor(accepted: int, bounced: int, complained: int) -> bool:
    """Whether the others of a channel are to be tried first. More would spoil the sender's name with all of them."""
    if accepted < LEAST_ACCEPTED:
        return False
    complaints = complained >= LEAST_COMPLAINED and complained > MOST_COMPLAINED * accepted
    return complaints or bounced > MOST_BOUNCED * accepted


def reordered(order: Sequence[str], demoted: Collection[str]) -> tuple[str, ...]:
    """The providers in the order in which they are tried: the demoted ones last, each kind as it was."""
    return (*(name for name in order if name not in demoted), *(name for name in order if name in demoted))
