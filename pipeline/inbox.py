"""The inbox's side of routing: the words of a notification, and the frame that live clients are shown."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final

import structlog

from domain.event import Event, Person
from pipeline.context import context
from pipeline.custom import SandboxAwayError, render_custom
from pipeline.looks import SHIPPED_LOOK, Look
from pipeline.render import Content, Context, RenderError, render

# Seconds. Words are found while a transaction is open: it holds locks, and ends after ten seconds of silence.
AT_MOST: Final = 5.0  # for tenants' own templates, in one batch
OF_TENANT: Final = 3.0  # of them for one tenant
AT_ONCE: Final = 2.0  # for one notification, however busy the machine is

# What is the user's stands in a template under this name, or in what it takes in from elsewhere.
PERSONAL: Final = re.compile(r"user|extends|include|import")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Words:
    """Title and content of a notification."""

    title: str
    content: str
    link_url: str | None = None
    link_text: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A notification that has appeared in a user's inbox, for live clients. `sequence`: its number there."""

    tenant: str
    user_id: str
    sequence: int
    notification: dict[str, Any]


@dataclass(slots=True)
class Allowance:
    """How long one batch has waited for tenants' own templates. When that is over, its others are told as shipped."""

    waited: dict[str, float] = field(default_factory=dict)

    def is_over(self, tenant: str) -> bool:
        """Whether the batch must not wait for this tenant any more."""
        return self.waited.get(tenant, 0.0) >= OF_TENANT or sum(self.waited.values()) >= AT_MOST

    def note(self, tenant: str, seconds: float) -> None:
        """It has waited for so long."""
        self.waited[tenant] = self.waited.get(tenant, 0.0) + seconds


def likeness(event: Event, template: str, person: Person, look: Look) -> Hashable:
    """Whoever is alike is told the same: thousands are, and their words are found once."""
    published = look.own(event.type, "in_app", person.locale)
    spoken = template, person.locale, person.time_zone
    if published is None:  # a shipped template may name the name, and has no link for those who have no inbox
        return (*spoken, person.name, person.user_id is None)
    whole = {"title", "text"} <= published.body.keys()
    if whole and not any(PERSONAL.search(source) for source in published.body.values()):
        return (*spoken, person.user_id is None)
    return (*spoken, person.name, person.user_id)


def words(
    event: Event, template: str, person: Person, look: Look = SHIPPED_LOOK, allowance: Allowance | None = None
) -> Words:
    """The in-app face. Words that fail must not hold up a whole batch, so the type stands in for them.

    Args:
        allowance: of the batch; one of its own where there is none.
    """
    told = context(
        event_id=event.id,
        event_type=event.type,
        severity=event.severity,
        condition=event.condition,
        occurred_at=event.occurred_at,
        branch=event.branch,
        data=event.data,
        tenant=event.tenant,
        user_id=person.user_id,
        name=person.name,
        locale=person.locale,
        time_zone=person.time_zone,
        brand=look.brand,
        event_types=look.event_types,
    )
    try:
        said = _own(told, template, look, allowance or Allowance()) or render("in_app", template, told)
    except RenderError as error:
        log.warning("not_rendered", event_id=event.id, channel="in_app", problem=str(error))
        return Words(event.type, "")
    except Exception:  # a bug, which one event's data must not turn into a standstill
        log.exception("not_rendered", event_id=event.id, channel="in_app")
        return Words(event.type, "")
    return Words(said.title or event.type, said.text, said.link_url, said.link_text)


def _own(told: Context, template: str, look: Look, allowance: Allowance) -> Content | None:
    """In the tenant's own template; None where it has none, or where that cannot be filled: an inbox has no retry."""
    published = look.own(told.event.type, "in_app", told.user.locale if told.user else None)
    if published is None or allowance.is_over(told.tenant):
        return None
    began = monotonic()
    try:
        return render_custom(published, "in_app", told, template, until=began + AT_ONCE)
    except (RenderError, SandboxAwayError) as error:
        log.warning("shipped_template_used", event_type=told.event.type, channel="in_app", problem=str(error))
        return None
    finally:
        allowance.note(told.tenant, monotonic() - began)
        if allowance.is_over(told.tenant):
            log.warning(
                "shipped_template_used", event_type=told.event.type, channel="in_app", problem="all took too long"
            )


def notification_frame(row: dict[str, Any], created_at: datetime) -> dict[str, Any]:
    """N of the contract, as it is the moment it is stored (D-17)."""
    return {
        "id": row["id"],
        "type": row["group_name"],
        "event": row["event"],
        "title": row["title"],
        "content": row["content"],
        "link_url": row["link_url"],
        "link_text": row["link_text"],
        "priority": row["priority"],
        "severity": row["severity"],
        "customer_id": row["customer_id"],
        "read": False,
        "read_at": None,
        "status": row["status"],
        "reason": None,
        "ack_by_user_id": None,
        "ack_at": None,
        "ack_note": None,
        "created_at": created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
