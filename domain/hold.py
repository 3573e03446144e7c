"""Whether a delivery waits: for the end of somebody's quiet hours, for a digest, or some minutes for what follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from domain.event import Person, PreferenceEntry
from domain.preferences import cadence
from domain.quiet import quiet_until
from domain.schedule import first_of_week, next_time, zone_named
from domain.vocabulary import CHANNELS, Reason, Severity

HOLDABLE: Final = tuple(channel for channel in CHANNELS if channel not in ("in_app", "webhook"))
"""The channels that knock at a person's door. An inbox disturbs nobody, and programs do not sleep."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A delivery waits until a moment."""

    reason: Reason
    until: datetime


@dataclass(frozen=True, slots=True)
class DigestDefaults:
    """What a tenant has for whoever says nothing himself: a schedule, a time zone and how often what is told."""

    cron: str | None = None
    time_zone: str | None = None
    entries: tuple[PreferenceEntry, ...] = ()


NO_DEFAULTS: Final = DigestDefaults()


@dataclass(frozen=True, slots=True)
class Subject:
    """What of an event decides whether a delivery of it waits.

    Attributes:
        batch: seconds for which an email of it is gathered with others of the same user; 0: not at all.
    """

    severity: Severity
    transactional: bool
    group: str
    event: str
    customer_id: str | None = None
    batch: int = 0

    @property
    def may_wait(self) -> bool:
        """What is critical is told at once, and so is what is owed to somebody."""
        return self.severity is not Severity.CRITICAL and not self.transactional


def hold(
    subject: Subject, person: Person, channel: str, now: datetime, defaults: DigestDefaults = NO_DEFAULTS
) -> Hold | None:
    """Whether a delivery waits that would go out at `now`; None sends it.

    A digest that would come in quiet hours comes at their end. An address that only the event names is told at once:
    nobody can say when it is night there.
    """
    if not subject.may_wait or person.user_id is None or channel not in HOLDABLE:
        return None
    often = _cadence(subject, person.preferences, channel) or _cadence(subject, defaults.entries, channel)
    waits = often not in (None, "instant") or person.quiet_hours is not None
    batched = subject.batch and channel == "email"
    if not waits and not batched:
        return None
    zone = zone_named(person.time_zone, defaults.time_zone)
    if often is not None and often != "instant":
        at = digest_time(often, person.digest or defaults.cron, now, zone)
        return Hold(Reason.DIGEST, _quiet(person, at, zone) or at)
    over = _quiet(person, now, zone)
    if over is not None:
        return Hold(Reason.QUIET_HOURS, over)
    if not batched:
        return None
    at = now + timedelta(seconds=subject.batch)
    return Hold(Reason.BATCH, _quiet(person, at, zone) or at)


def digest_time(often: str, cron: str | None, now: datetime, zone: tzinfo) -> datetime:
    """When the next digest is due, in UTC.

    Args:
        often: ``hourly``: at every full hour; ``daily``: with every digest of the schedule; ``weekly``: with the
            first one of a week.
        cron: the schedule; None: every day at eight.
    """
    line = cron or "daily"
    if often == "hourly":
        found = next_time("hourly", now, zone)
    else:
        found = first_of_week(line, now, zone) if often == "weekly" else next_time(line, now, zone)
    # One that never comes round was refused when it was set; what is held must go out all the same.
    found = found or next_time("daily", now, zone)
    assert found is not None  # there is an eight o'clock every day
    return found


def _cadence(subject: Subject, entries: Iterable[PreferenceEntry], channel: str) -> str | None:
    return cadence(entries, group=subject.group, event=subject.event, customer_id=subject.customer_id, channel=channel)


def _quiet(person: Person, at: datetime, zone: tzinfo) -> datetime | None:
    return None if person.quiet_hours is None else quiet_until(at, *person.quiet_hours, zone)
