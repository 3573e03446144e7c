"""The last look before sending: what was decided at routing may have changed since."""

from __future__ import annotations

from datetime import datetime

from domain.states import DeliveryStatus
from domain.vocabulary import Reason


def no_longer_wanted(
    *,
    now: datetime,
    expires_at: datetime | None,
    resolved: bool,
    cancelled: bool,
    acknowledged: bool,
    wanted: bool,
    refused: Reason | None = None,
) -> tuple[DeliveryStatus, Reason] | None:
    """Where a delivery goes instead of out; None when it is to be sent.

    Args:
        resolved: the issue is over.
        cancelled: the event was withdrawn, or its recipient erased.
        acknowledged: somebody took it.
        wanted: the user's preference now; always true if transactional.
        refused: why the address must not be used, whatever is to be said: switched off, suppressed.
    """
    if expires_at is not None and expires_at <= now:
        return DeliveryStatus.EXPIRED, Reason.EXPIRED
    if cancelled:
        return DeliveryStatus.CANCELLED, Reason.CANCELLED
    if resolved:
        return DeliveryStatus.CANCELLED, Reason.RESOLVED
    if acknowledged:
        return DeliveryStatus.CANCELLED, Reason.ACKNOWLEDGED
    if refused is not None:
        return DeliveryStatus.SUPPRESSED, refused
    if not wanted:
        return DeliveryStatus.SUPPRESSED, Reason.PREFERENCE
    return None
