"""The inbox's side of routing: the words of a notification, and the frame that live clients are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from domain.event import Event, Person
from pipeline.context import context
from pipeline.custom import SandboxAwayError, render_custom
from pipeline.looks import SHIPPED_LOOK, Look
from pipeline.render import Content, Context, RenderError, render

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


def words(event: Event, template: str, person: Person, look: Look = SHIPPED_LOOK) -> Words:
    """The in-app face. Words that fail must not hold up a whole batch, so the type stands in for them."""
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
        said = _own(told, template, look) or render("in_app", template, told)
    except RenderError as error:
        log.warning("not_rendered", event_id=event.id, channel="in_app", problem=str(error))
        return Words(event.type, "")
    except Exception:  # a bug, which one event's data must not turn into a standstill
        log.exception("not_rendered", event_id=event.id, channel="in_app")
        return Words(event.type, "")
    return Words(said.title or event.type, said.text, said.link_url, said.link_text)


def _own(told: Context, template: str, look: Look) -> Content | None:
    """In the tenant's own template; None where it has none, or where that cannot be filled: an inbox has no retry."""
    published = look.own(told.event.type, "in_app", told.user.locale if told.user else None)
    if published is None:
        return None
    try:
        return render_custom(published, "in_app", told, template)
    except (RenderError, SandboxAwayError) as error:
        log.warning("shipped_template_used", event=told.event.type, channel="in_app", problem=str(error))
        return None


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
