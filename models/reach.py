"""How people are reached and how that goes: devices, accounts at providers, receipts, suppressions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Identity, Index, Numeric, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Small


class PushToken(Base):
    """A device that can be pushed to. Deliveries name the row, so a token is stored once and in no other table.

    Tokens are long, so the hash is what is unique. A token that comes with another user has moved to that user.
    """

    __tablename__ = "push_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_id"], ["users.tenant", "users.id"], ondelete="CASCADE"),
        Index("push_tokens_tenant_hash", "tenant", "hash", unique=True),
        Index("push_tokens_tenant_user_id", "tenant", "user_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    user_id: Mapped[str]
    token: Mapped[str]
    hash: Mapped[bytes]
    platform: Mapped[str]
    device_id: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class SuppressedAddress(Base):
    """An address that is told no more on a channel: of all events (`event` is empty) or of one type.

    Email addresses are kept in lower case. `source`: ``webhook``, ``refusal``, ``unsubscribe`` or who added it by hand.
    """

    __tablename__ = "suppressions"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(primary_key=True, server_default="")
    reason: Mapped[str]
    source: Mapped[str]
    provider: Mapped[str | None]
    delivery_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LaterReceipt(Base):
    """What a provider said later of a message; stored before anything follows from it.

    Attributes:
        account: the tenant whose own account it came from; empty: the installation's.
        key: the provider's id of this very receipt, or a hash of it, so that it counts once.
        tenant, delivery_id: known when the provider gives back what we sent along, else found by `message_id`.
        applied_at: null while the delivery that it speaks of is not settled yet.
    """

    __tablename__ = "receipts"
    __table_args__ = (
        Index("receipts_key", "provider", "account", "key", unique=True),
        Index("receipts_waiting", "received_at", postgresql_where=text("applied_at IS NULL")),
        Index("receipts_of_nothing", "received_at", postgresql_where=text("delivery_id IS NULL")),
        Index("receipts_delivery_id", "delivery_id", postgresql_where=text("delivery_id IS NOT NULL")),
        Index(
            "receipts_soft_bounces",
            "tenant",
            "address",
            "occurred_at",
            postgresql_where=text("kind = 'bounced' AND NOT permanent"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    provider: Mapped[str]
    account: Mapped[str] = mapped_column(server_default="")
    key: Mapped[str]
    kind: Mapped[str]
    permanent: Mapped[bool] = mapped_column(server_default=text("false"))
    message_id: Mapped[str | None]
    tenant: Mapped[str | None]
    delivery_id: Mapped[UUID | None]
    address: Mapped[str | None]
    detail: Mapped[str]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    applied_at: Mapped[datetime | None]


class ProviderAccount(Base):
    """A tenant's account at a provider, and its place in the tenant's order of failover.

    `credentials` is encrypted; null: the installation's account is used in this place. `senders` maps globs over event
    types to ``Name <address>``.
    """

    __tablename__ = "provider_accounts"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str]
    credentials: Mapped[str | None]
    position: Mapped[int] = mapped_column(Small, server_default="0")
    senders: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RejectedAccount(Base):
    """A provider that does not accept an account now; gone as soon as it accepts a message again."""

    __tablename__ = "rejected_accounts"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str]
    problem: Mapped[str]
    since: Mapped[datetime] = mapped_column(server_default=func.now())


class WhatsAppSession(Base):
    """When somebody last wrote to us; for 24 hours from then WhatsApp takes messages without a template.

    `account`: the tenant whose own number was written to; empty: the installation's.
    """

    __tablename__ = "whatsapp_sessions"

    account: Mapped[str] = mapped_column(primary_key=True)
    phone: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class Deliverability(Base):
    """What providers accepted and what became of it, by hour; `cost` in units of the currency that is configured."""

    __tablename__ = "deliverability"
    __table_args__ = {"postgresql_with": {"fillfactor": "50"}}  # noqa: RUF012

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(Small, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Numeric(14, 6), server_default="0")
