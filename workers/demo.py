"""The demo tenant of ``config/samples/``: who works there, who listens, and what happened to them today."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from config.catalogue import shipped
from config.demo import demo, sample_events
from pipeline.envelope import parse_many
from pipeline.publish import accept_only
from pipeline.setup import ensure_tenant
from pipeline.users import put_user
from pipeline.webhooks import put_webhook

ACTOR: Final = "cli"

HAS_EVENTS = text("SELECT EXISTS (SELECT FROM events WHERE tenant = :tenant)")


def feed(connection: Connection, webhook_url: str | None = None) -> list[str]:
    """Set the demo tenant up and publish the sample events, unless it has events already.

    Args:
        webhook_url: where receivers for its webhooks listen; None: it gets no webhooks.

    Returns:
        The ids of the events, whose bell is to be rung once the transaction has committed.
    """
    sample = demo(webhook_url or "")
    ensure_tenant(connection, sample.tenant)
    for user_id, user in sample.users.items():
        put_user(connection, tenant=sample.tenant, user_id=user_id, body=user, actor=ACTOR)
    for name, hook in sample.webhooks.items() if webhook_url else ():
        put_webhook(connection, tenant=sample.tenant, user_id=None, name=name, body=hook, actor=ACTOR)
    if connection.execute(HAS_EVENTS, {"tenant": sample.tenant}).scalar_one():
        return []
    events = parse_many(sample_events(), tenant=sample.tenant, catalogue=shipped().event_types)
    return [answer.id for answer in accept_only(connection, events)]
