"""The demo tenant of ``config/samples/``: who works there, who listens, and what happened to them today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from sqlalchemy import Connection, text

from config.catalogue import shipped
from config.demo import demo, sample_events
from pipeline.branding import put_brand
from pipeline.envelope import parse_many
from pipeline.publish import accept_only
from pipeline.push_tokens import register
from pipeline.setup import ensure_tenant
from pipeline.users import put_user
from pipeline.webhooks import put_webhook

ACTOR: Final = "cli"

HAS = "SELECT EXISTS (SELECT FROM {table} WHERE tenant = :tenant)"


def feed(
    connection: Connection, webhook_url: str | None = None, subscribe: Callable[[str], str] | None = None
) -> list[str]:
    """Set the demo tenant up and publish the sample events, unless it has events already.

    Users, webhooks and a branding come only to a tenant without: what a person changed stays as it is.

    Args:
        webhook_url: where receivers for its webhooks listen; None: it gets no webhooks.
        subscribe: gives the PushSubscription of a named browser; None: there are no browsers.

    Returns:
        The ids of the events, whose bell is to be rung once the transaction has committed.
    """
    sample = demo(webhook_url or "", subscribe)
    ensure_tenant(connection, sample.tenant, ACTOR)
    if _has(connection, "events", sample.tenant):
        return []
    if not _has(connection, "branding", sample.tenant):
        put_brand(connection, tenant=sample.tenant, body=sample.branding, actor=ACTOR)
    if not _has(connection, "users", sample.tenant):
        for user_id, user in sample.users.items():
            put_user(connection, tenant=sample.tenant, user_id=user_id, body=user, actor=ACTOR)
        for user_id, devices in sample.devices.items():
            for device in devices:
                register(connection, tenant=sample.tenant, user_id=user_id, body=device, actor=ACTOR)
    if webhook_url and not _has(connection, "webhooks", sample.tenant):
        for name, hook in sample.webhooks.items():
            put_webhook(connection, tenant=sample.tenant, user_id=None, name=name, body=hook, actor=ACTOR)
    events = parse_many(sample_events(), tenant=sample.tenant, catalogue=shipped().event_types)
    return [answer.id for answer in accept_only(connection, events)]


def _has(connection: Connection, table: Literal["branding", "users", "webhooks", "events"], tenant: str) -> bool:
    return bool(connection.execute(text(HAS.format(table=table)), {"tenant": tenant}).scalar_one())
