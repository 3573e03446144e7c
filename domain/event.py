"""What an event is once it was taken at the door, and who is told about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from domain.vocabulary import Severity

MASK: Final = "••••••"  # what stands in place of a secret


class Condition(StrEnum):
    """Whether the event opens its issue or closes it."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(slots=True)
class Event:
    """Something happened upstream, validated and complete.

    Attributes:
        id: UUID version 7 in its text form.
        data: the payload, with dots for what is secret; `data_json` is the same as canonical JSON text (sorted keys,
            no spaces).
        recipients: as the event named them: user ids or address objects; None when it named none.
        fingerprint: 32 bytes, the identity of the issue.
        dedupe_window: seconds in which the same fingerprint is folded into this event; 0 folds never.
        sealed: the payload with its secrets, encrypted; None when it has none.
    """

    id: str
    tenant: str
    type: str
    condition: Condition
    severity: Severity
    data: dict[str, Any]
    data_json: str
    fingerprint: bytes
    dedupe_window: int
    occurred_at: datetime
    branch: str | None = None
    customer_id: str | None = None
    actor_id: str | None = None
    recipients: list[Any] | None = None
    expires_at: datetime | None = None
    send_at: datetime | None = None
    attachments: list[dict[str, str]] | None = None
    sealed: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """Where a registered webhook listens, as far as routing needs to know."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreferenceEntry:
    """What a user wants of a group (`event` None) or of one event, for all customers (None) or for one.

    `cadence`: how often, on all channels; `cadences`: on one. What they do not say, a less specific entry says.
    """

    group: str
    event: str | None
    customer_id: str | None
    channels: dict[str, bool]
    cadence: str | None = None
    cadences: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be told: a user of the platform, or an address that the event named (`user_id` None).

    `addresses` maps a channel to the address on it; `push_tokens` are the ids of the devices that can be pushed to;
    `disabled` are the channels that were switched off for this person altogether; `quiet_hours` the times of day from
    which and until which nothing is to be heard, `digest` the cron line of this person's digests.
    """

    user_id: str | None
    name: str | None
    locale: str | None
    addresses: dict[str, str]
    webhooks: tuple[WebhookEndpoint, ...] = ()
    preferences: tuple[PreferenceEntry, ...] = ()
    push_tokens: tuple[str, ...] = ()
    disabled: frozenset[str] = frozenset()
    time_zone: str | None = None
    quiet_hours: tuple[str, str] | None = None
    digest: str | None = None

    @property
    def label(self) -> str:
        """How the ledger names this recipient; an address is masked."""
        return self.user_id or masked(next(iter(self.addresses.values()), "nobody"))


_END_OF_HOST = re.compile(r"[/?#\\]")


def masked(address: str) -> str:
    """An address that a reader recognises if he knows it already: ``o•••@example.org``, ``https://host/•••``."""
    if "://" in address:
        scheme, _, rest = address.partition("://")
        return f"{scheme}://{_END_OF_HOST.split(rest, maxsplit=1)[0].rpartition('@')[2]}/•••"
    if "@" in address[1:]:
        local, _, domain = address.rpartition("@")
        return f"{local[:1]}•••@{domain}"
    return f"•••{address[-3:]}" if len(address) > 5 else "•••"
