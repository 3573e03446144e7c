"""The state machine of a delivery: one table of moves. The database enforces it, the docs draw it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class DeliveryStatus(StrEnum):
    """Where a delivery stands. Each state has its sentence in `SENTENCES`."""

    QUEUED = "queued"
    HELD = "held"
    PROCESSING = "processing"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    DEAD_LETTER = "dead_letter"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


S = DeliveryStatus

SENTENCES: Final[dict[DeliveryStatus, str]] = {
    S.QUEUED: "Waits for its turn; its due time says when.",
    S.HELD: "Waits on purpose, for the end of quiet hours or for a digest.",
    S.PROCESSING: "A worker holds the lease and is sending it.",
    S.SENT: "A provider accepted it.",
    S.DELIVERED: "A receipt or a connected client confirmed that it arrived.",
    S.FAILED: "The last attempt failed; it is tried again when it is due.",
    S.DEAD_LETTER: "Out of retries, refused or unclear; waits for a person.",
    S.SUPPRESSED: "Never to be sent; the reason says why.",
    S.CANCELLED: "Withdrawn before it was sent: acknowledged, resolved or cancelled.",
    S.EXPIRED: "Its time passed before it could be sent.",
}

MOVES: Final[dict[DeliveryStatus, frozenset[DeliveryStatus]]] = {
    S.QUEUED: frozenset({S.PROCESSING, S.HELD, S.SUPPRESSED, S.CANCELLED, S.EXPIRED, S.DEAD_LETTER}),
    S.HELD: frozenset({S.QUEUED, S.PROCESSING, S.SUPPRESSED, S.CANCELLED, S.EXPIRED, S.SENT}),
    S.PROCESSING: frozenset(
        {S.SENT, S.DELIVERED, S.FAILED, S.QUEUED, S.HELD, S.DEAD_LETTER, S.SUPPRESSED, S.CANCELLED, S.EXPIRED}
    ),
    S.SENT: frozenset({S.DELIVERED, S.FAILED, S.DEAD_LETTER}),
    S.DELIVERED: frozenset(),
    S.FAILED: frozenset({S.PROCESSING, S.DELIVERED, S.HELD, S.SUPPRESSED, S.CANCELLED, S.EXPIRED, S.DEAD_LETTER}),
    S.DEAD_LETTER: frozenset({S.QUEUED, S.DELIVERED, S.SUPPRESSED, S.CANCELLED, S.EXPIRED}),
    S.SUPPRESSED: frozenset(),
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
}

WAITING: Final = frozenset({S.QUEUED, S.HELD, S.FAILED})
FINAL: Final = frozenset({S.SENT, S.DELIVERED, S.DEAD_LETTER, S.SUPPRESSED, S.CANCELLED, S.EXPIRED})


class EventStatus(StrEnum):
    """Where an event stands."""

    ACCEPTED = "accepted"
    ROUTED = "routed"
    UNROUTED = "unrouted"
    DUPLICATE = "duplicate"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"


class NotificationStatus(StrEnum):
    """Where a notification stands (C-9); an acknowledgement is shown as status too (B-9)."""

    CREATED = "created"
    DELIVERED = "delivered"
    READ = "read"
    ACKNOWLEDGED = "acknowledged"


def may_move(before: DeliveryStatus, after: DeliveryStatus) -> bool:
    """Whether the table of moves has this one; staying is always allowed."""
    return before == after or after in MOVES[before]
