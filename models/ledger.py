"""The ledger: events, whom they told, what became of each delivery and attempt.

What changes often is one narrow row (`deliveries`); everything else is only added. Nothing here has an index on
a finished row's status: such an index costs for ever and nobody but an operator's list asks for it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, Numeric, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Small


class Issue(Base):
    """The latest event of a fingerprint, and until when the same fingerprint is folded into it.

    `previous_id` and the events' own `previous_id` chain the events of one issue, so that an acknowledgement finds what
    was not sent yet without an index over fingerprints, which would cost every event something.
    """

    __tablename__ = "issues"
    __table_args__ = {"postgresql_with": {"fillfactor": "80"}}  # noqa: RUF012

    tenant: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    previous_id: Mapped[UUID | None]
    status: Mapped[str]
    severity: Mapped[int] = mapped_column(Small)
    window_until: Mapped[datetime]


class Acknowledgement(Base):
    """Somebody took an issue: silence for one user, or for everyone (`user_id` is empty)."""

    __tablename__ = "acknowledgements"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    notification_id: Mapped[UUID | None]
    by_user_id: Mapped[str]
    note: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    until: Mapped[datetime]


class Event(Base):
    """Something happened upstream. `routing_id` and `skipped` lead to the reasons of its routing."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_tenant_id", "tenant", "id"),
        Index("events_accepted", "accepted_at", postgresql_where=text("status = 'accepted'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    type: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    condition: Mapped[str]
    severity: Mapped[str]
    fingerprint: Mapped[bytes]
    branch: Mapped[str | None]
    customer_id: Mapped[UUID | None]
    actor_id: Mapped[str | None]
    recipients: Mapped[list[Any] | None]
    data: Mapped[dict[str, Any]]
    attachments: Mapped[list[Any] | None]
    occurred_at: Mapped[datetime]
    accepted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    send_at: Mapped[datetime | None]
    duplicate_of: Mapped[UUID | None]
    repeats: Mapped[int] = mapped_column(Integer, server_default="0")
    previous_id: Mapped[UUID | None]
    routing_id: Mapped[UUID | None]
    skipped: Mapped[list[Any] | None]


class EventSecret(Base):
    """All of an event's data, encrypted, where some of it is secret; in the event itself there are dots instead.

    Gone once no email of the event needs it any more. `looked_at`: when that was last asked.
    """

    __tablename__ = "event_secrets"
    __table_args__ = (Index("event_secrets_looked_at", "looked_at"),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    sealed: Mapped[str]
    looked_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RoutingExplanation(Base):
    """What was said of every route for a kind of event: stored once, named by many events.

    The id is a hash of the content, so that every worker arrives at the same one.
    """

    __tablename__ = "routings"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    routes: Mapped[list[Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Inbox(Base):
    """A user's inbox: the number of the latest notification in it.

    Its row is locked until the transaction that numbers a notification commits, so whoever has seen a number has seen
    all before it.
    """

    __tablename__ = "inboxes"
    __table_args__ = {"postgresql_with": {"fillfactor": "50"}}  # noqa: RUF012

    tenant: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


class Notification(Base):
    """One event for one recipient: a user, or an address that the event named.

    `sequence`: its number in the user's inbox, from 1 without gaps; null while it is not in it. The indexes over it
    carry what an inbox is counted by, so that ten thousand rows are counted without being read.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index("notifications_event_id", "event_id"),
        Index("notifications_inbox", "tenant", "user_id", "id"),
        Index(
            "notifications_sequence",
            "tenant",
            "user_id",
            "sequence",
            unique=True,
            postgresql_include=("customer_id", "read_at", "deleted_at"),
            postgresql_where=text("sequence IS NOT NULL"),
        ),
        Index(
            "notifications_unread",
            "tenant",
            "user_id",
            "sequence",
            postgresql_include=("customer_id",),
            postgresql_where=text("sequence IS NOT NULL AND read_at IS NULL AND deleted_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    event_id: Mapped[UUID]
    user_id: Mapped[str | None]
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    recipient: Mapped[str]
    audience: Mapped[str]
    event: Mapped[str]
    group_name: Mapped[str]
    customer_id: Mapped[UUID | None]
    title: Mapped[str]
    content: Mapped[str]
    link_url: Mapped[str | None]
    link_text: Mapped[str | None]
    priority: Mapped[str]
    severity: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="created")
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    read_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    ack_by_user_id: Mapped[str | None]
    ack_at: Mapped[datetime | None]
    ack_note: Mapped[str | None]


class Delivery(Base):
    """One notification on one channel to one address: the outbox row.

    `unsure`: an attempt may have arrived although no answer came. `folded_into`: the delivery that told it along.
    `only_if`: what must be true of its notification for it to be sent; null sends it in any case. `template_version`,
    `brand_version`: what its words were made of, null for what is shipped.
    `due_at` is null once nothing more is to be done, so the index over it holds live work only. A claim touches no
    indexed column, which keeps it a heap-only update.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_due", "channel", "priority", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("deliveries_event_id", "event_id", "notification_id"),
        Index("deliveries_tenant_id", "tenant", "id"),
        Index("deliveries_folded_into", "folded_into", postgresql_where=text("folded_into IS NOT NULL")),
        {"postgresql_with": {"fillfactor": "45", "autovacuum_vacuum_scale_factor": "0.05"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    event_id: Mapped[UUID]
    notification_id: Mapped[UUID | None]
    webhook_id: Mapped[UUID | None]
    channel: Mapped[str]
    provider: Mapped[str | None]
    address: Mapped[str]
    name: Mapped[str | None]
    template: Mapped[str]
    priority: Mapped[int] = mapped_column(Small)
    status: Mapped[str]
    reason: Mapped[str | None]
    due_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    crashes: Mapped[int] = mapped_column(Small, server_default="0")
    unsure: Mapped[bool] = mapped_column(server_default=text("false"))
    folded_into: Mapped[UUID | None]
    only_if: Mapped[str | None]
    template_version: Mapped[UUID | None]
    brand_version: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    replayed_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]


class Hold(Base):
    """A delivery that waits for the end of quiet hours or for a digest; its own `due_at` is null meanwhile.

    `not_before`: until when it would wait for its condition all the same.

    A row of its own, so that what may wait for a week lies in no claim's way.
    """

    __tablename__ = "holds"
    __table_args__ = (
        Index("holds_release_at", "release_at"),
        Index("holds_tenant_user_id", "tenant", "user_id"),
    )

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    user_id: Mapped[str]
    channel: Mapped[str]
    address: Mapped[str]
    reason: Mapped[str]
    release_at: Mapped[datetime]
    not_before: Mapped[datetime | None]


class Attempt(Base):
    """One try. Only ever added; `message_id` is the provider's own id, by which its receipts find the delivery.

    `segments`: parts of a text message. `cost` in units of the currency that is configured.
    """

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_message_id", "message_id", postgresql_where=text("message_id IS NOT NULL")),)

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    provider: Mapped[str]
    started_at: Mapped[datetime]
    duration_ms: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str]
    detail: Mapped[str]
    message_id: Mapped[str | None]
    segments: Mapped[int | None] = mapped_column(Small)
    cost: Mapped[Decimal | None] = mapped_column(Numeric(12, 6))


class DeadLetter(Base):
    """A delivery that waits for a person. `announced_at` is null until it was published on the exchange."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index("dead_letters_tenant", "tenant", "delivery_id"),
        Index("dead_letters_unannounced", "created_at", postgresql_where=text("announced_at IS NULL")),
    )

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    channel: Mapped[str]
    event: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    announced_at: Mapped[datetime | None]


class Preview(Base):
    """What a channel without a provider would have sent."""

    __tablename__ = "previews"
    __table_args__ = (Index("previews_tenant", "tenant", "delivery_id"),)

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    channel: Mapped[str]
    address: Mapped[str]
    title: Mapped[str | None]
    text: Mapped[str]
    html: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Rejection(Base):
    """A message from the broker that is no event. Nobody waits for an answer there, so it is kept for a person."""

    __tablename__ = "rejections"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    tenant: Mapped[str | None]
    error: Mapped[str]
    payload: Mapped[bytes]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
