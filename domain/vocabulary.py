"""The words that are chosen once: severities, channels, statuses, reasons, outcomes.

They are plain strings in the database, the API and the metrics, so they are plain strings here too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How bad it is (B-7). The order is the order of urgency."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 (low) to 3 (critical)."""
        return SEVERITIES.index(self)


SEVERITIES: Final = tuple(Severity)


class Priority(StrEnum):
    """In which turn a delivery is sent when there is a backlog, and how it is shown (C-3)."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 (low) to 3 (critical)."""
        return PRIORITIES.index(self)


PRIORITIES: Final = tuple(Priority)

CHANNELS: Final = ("email", "sms", "push", "telegram", "whatsapp", "webhook", "in_app", "apprise")
CHANNEL_ALIASES: Final = {"websocket": "in_app", "system": "in_app"}


class Outcome(StrEnum):
    """How one attempt ended."""

    SENT = "sent"  # the provider accepted it
    FAILED = "failed"  # certainly not sent: tried again
    REFUSED = "refused"  # permanent: dead letter at once
    UNKNOWN = "unknown"  # bytes left, no answer: the channel's policy decides
    LOST = "lost"  # the worker died: the channel's policy decides


class ReceiptKind(StrEnum):
    """What a provider says later of a message that it accepted."""

    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"


class Suppression(StrEnum):
    """Why an address is told no more."""

    PERMANENT_BOUNCE = "permanent_bounce"
    REPEATED_SOFT_BOUNCES = "repeated_soft_bounces"
    SPAM_COMPLAINT = "spam_complaint"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"


class UnknownPolicy(StrEnum):
    """What follows when nobody can say whether it was sent."""

    RESEND = "resend"  # rather twice than never
    RECONCILE = "reconcile"  # ask the provider first
    PARK = "park"  # a dead letter; a person decides


class Reason(StrEnum):
    """Why a thing is as it is. Stored, shown by the API and counted under the same word."""

    NO_RECIPIENTS = "no_recipients"
    NO_ENABLED_CHANNELS = "no_enabled_channels"
    NO_ADDRESS = "no_address"
    EMAIL_DISABLED = "email_disabled"
    SMS_DISABLED = "sms_disabled"
    PUSH_DISABLED = "push_disabled"
    USER_SUPPRESSED = "user_suppressed"
    NO_TOKENS = "no_tokens"
    NO_WEBHOOKS_CONFIGURED = "no_webhooks_configured"
    NO_PROVIDER = "no_provider"
    PREVIEW = "preview"
    PREFERENCE = "preference"
    QUIET_HOURS = "quiet_hours"
    DIGEST = "digest"
    BATCH = "batch"
    RELEASED = "released"
    CONDITION = "condition"
    SEEN = "seen"
    TOLD_OTHERWISE = "told_otherwise"
    DUPLICATE = "duplicate"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SCHEDULED = "scheduled"
    RATE_LIMITED = "rate_limited"
    BREAKER_OPEN = "breaker_open"
    BULKHEAD_FULL = "bulkhead_full"
    RENDERER_BUSY = "renderer_busy"
    ACCOUNT_REJECTED = "account_rejected"
    TOO_MANY = "too_many"
    FOLDED = "folded"
    BOUNCED = "bounced"
    SMS_CRITICAL_ONLY = "sms_critical_only"
    WORKER_LOST = "worker_lost"
    OUTCOME_UNKNOWN = "outcome_unknown"
    RETRIES_EXHAUSTED = "retries_exhausted"
    REFUSED = "refused"
    RETRY = "retry"
    REPLAYED = "replayed"
    UNKNOWN_USER = "unknown_user"
    IS_ACTOR = "is_actor"
    NOT_RENDERED = "not_rendered"
    NOT_ROUTED = "not_routed"
    PATH_NOT_FOUND = "path_not_found"
    TOO_MANY_RECIPIENTS = "too_many_recipients"
    SAME_ADDRESS = "same_address"
    NO_CUSTOMER = "no_customer"
    CHANNEL_NOT_BUILT = "channel_not_built"
    EVENT_MISMATCH = "event_mismatch"
    SEVERITY_MISMATCH = "severity_mismatch"
    BRANCH_MISMATCH = "branch_mismatch"
