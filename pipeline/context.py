"""What templates are told about an event, its recipient and where to read more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from config.settings import settings
from domain.brand import DEFAULT_BRAND, Brand
from domain.vocabulary import Severity
from pipeline.event_types import SHIPPED_TYPES, EventTypes
from pipeline.render import Context, EventView, Person


def context(
    *,
    event_id: str,
    event_type: str,
    severity: Severity,
    condition: str,
    occurred_at: datetime,
    branch: str | None,
    data: Mapping[str, Any],
    tenant: str,
    user_id: str | None,
    name: str | None,
    locale: str | None,
    time_zone: str | None = None,
    unsubscribe_url: str | None = None,
    acknowledge_url: str | None = None,
    preferences_url: str | None = None,
    more: tuple[str, ...] = (),
    more_count: int = 0,
    brand: Brand = DEFAULT_BRAND,
    event_types: EventTypes = SHIPPED_TYPES,
) -> Context:
    """The context of one message. Links lead to the public URL and nowhere else.

    `more`: the titles of what was folded into it, at most 20; `more_count`: how many there are.
    """
    listed = event_types.entry(event_type)
    return Context(
        event=EventView(event_id, event_type, severity, occurred_at, condition, branch, listed.title),
        data=data,
        tenant=tenant,
        user=Person(user_id, name, locale, time_zone),
        link=f"{settings().public_url.rstrip('/')}/inbox" if user_id else None,
        secret=listed.secret,
        unsubscribe_url=unsubscribe_url,
        acknowledge_url=acknowledge_url,
        preferences_url=preferences_url,
        more=more,
        more_count=more_count,
        brand=brand,
    )
