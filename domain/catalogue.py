"""What an event type and a route are. Where they come from is config's and models' business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from domain.vocabulary import Priority, Severity

Audience = Literal["customer", "admin"]


class Plan(StrEnum):
    """Which channels go when (F.7). Critical severity is always simultaneous."""

    SIMULTANEOUS = "simultaneous"
    OFFLINE_EMAIL = "offline_email"
    STAGED = "staged"


class OnlyIf(StrEnum):
    """What must be true of a notification for one of its deliveries to be sent."""

    UNSEEN = "unseen"  # it was not shown to somebody who is still there
    UNREAD = "unread"
    UNDELIVERED = "undelivered"  # nothing else of it has arrived


@dataclass(frozen=True, slots=True)
class When:
    """A condition, and the seconds after which it is looked at for the first time."""

    only_if: OnlyIf
    wait: int


@dataclass(frozen=True, slots=True)
class EventType:
    """An entry of the catalogue.

    Attributes:
        name: ``ssl_expiry``, ``billing.invoice-generated``.
        group: the heading under which people find it in their preferences: ``chat``, ``billing``.
        severity: the default when an event names none.
        audience: who is meant; decides whom an acknowledgement silences.
        key: the fields of ``data`` that make "the same issue"; empty means all of ``data``.
        dedupe_window: seconds in which the same fingerprint is folded; 0 folds never.
        template: folder under ``templates/``.
        transactional: owed to the recipient, so preferences do not stop it.
        secret: fields of ``data`` that appear only in the email.
        title: one sentence for people, with ``{field}`` places, used where a template has no face.
    """

    name: str
    group: str
    severity: Severity = Severity.MEDIUM
    audience: tuple[Audience, ...] = ("admin",)
    key: tuple[str, ...] = ()
    dedupe_window: int = 300
    template: str = "default"
    transactional: bool = False
    secret: tuple[str, ...] = ()
    title: str = ""


ResolverName = Literal["user", "role", "explicit", "payload", "participants", "owner", "customer"]


@dataclass(frozen=True, slots=True)
class Resolver:
    """How a route finds its recipients; one of seven, see the contract."""

    resolver: ResolverName
    users: tuple[str, ...] = ()
    role: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Which events go to whom over which channels.

    Attributes:
        event: glob over event types; ``severity``: empty matches all; ``branch``: glob over branches.
        recipients: the union of these resolvers. Empty: the route adds its channels to everybody whom the other
            matching routes tell, and to the tenant's own webhooks.
        template: overrides the catalogue's.
        sms_severity: the least severity that is worth a text message (E-34).
        when: channels that are used on a condition only.
        own: made by the tenant, not shipped; wins over a shipped route of the same priority.
    """

    name: str
    event: str = "*"
    severity: tuple[Severity, ...] = ()
    branch: str = "*"
    recipients: tuple[Resolver, ...] = ()
    channels: tuple[str, ...] = ()
    priority: Priority = Priority.NORMAL
    plan: Plan = Plan.SIMULTANEOUS
    template: str | None = None
    own: bool = field(default=False)
    sms_severity: Severity = Severity.CRITICAL
    when: Mapping[str, When] = field(default_factory=dict)
