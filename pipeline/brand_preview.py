"""Shows a brand before anybody else sees it: what a sample event says in it."""

from __future__ import annotations

from datetime import datetime

from config.catalogue import shipped
from config.demo import sample
from config.settings import settings
from domain.brand import Brand
from domain.errors import InvalidInputError
from domain.vocabulary import Severity
from pipeline.context import context
from pipeline.render import RENDERED, Content, render

EXAMPLE = "order.created"  # it has a bit of everything


def preview(*, tenant: str, brand: Brand, event: str = EXAMPLE, channel: str = "email", locale: str | None) -> Content:
    """What the sample of `event` says on `channel` in the shipped template and this brand; nothing is stored or sent.

    Raises:
        InvalidInputError: on ``event`` or ``channel``.
    """
    listed, example = shipped().event_types.get(event), sample(event)
    if listed is None or example is None:
        raise InvalidInputError("event", "is no shipped event type")
    if channel not in RENDERED:
        raise InvalidInputError("channel", f"must be one of {', '.join(RENDERED)}")
    inbox = f"{settings().public_url.rstrip('/')}/inbox"
    made = context(
        event_id="",
        event_type=event,
        severity=Severity(example.get("severity", listed.severity)),
        condition=example.get("status", "firing"),
        occurred_at=datetime.fromisoformat(example["occurred_at"]),
        branch=example.get("branch"),
        data=example["data"],
        tenant=tenant,
        user_id="preview",
        name=None,
        locale=locale,
        unsubscribe_url=inbox,
        preferences_url=inbox,
        brand=brand,
    )
    return render(channel, listed.template, made)
