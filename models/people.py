"""Users, their roles, customers, webhooks and preferences, and the tenant's own routes and types."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class User(Base):
    """Somebody who can be told. The id is the platform's own, an opaque string.

    `apprise` is an address with secrets in it, stored encrypted. `disabled_channels`: switched off altogether.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index("users_phone", "phone", postgresql_where=text("phone IS NOT NULL")),
        Index(
            "users_telegram_chat_id",
            "tenant",
            "telegram_chat_id",
            postgresql_where=text("telegram_chat_id IS NOT NULL"),
        ),
    )

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    telegram_chat_id: Mapped[str | None]
    whatsapp: Mapped[str | None]
    apprise: Mapped[str | None]
    disabled_channels: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    locale: Mapped[str | None]
    time_zone: Mapped[str | None]
    quiet_hours: Mapped[dict[str, Any] | None]
    digest: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class UserRole(Base):
    """A role is for routing and gives no power. Keyed so that "who has this role" is one index range."""

    __tablename__ = "user_roles"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_id"], ["users.tenant", "users.id"], ondelete="CASCADE"),
        Index("user_roles_tenant_user_id", "tenant", "user_id"),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)


class UserCustomer(Base):
    """The customers that a user acts for."""

    __tablename__ = "user_customers"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_id"], ["users.tenant", "users.id"], ondelete="CASCADE"),
        Index("user_customers_tenant_user_id", "tenant", "user_id"),
    )

    tenant: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)


class Webhook(Base):
    """A registered endpoint: the tenant's (`user_id` is null) or one user's. Secrets are stored encrypted."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index("webhooks_tenant_user_id_name", "tenant", text("coalesce(user_id, '')"), "name", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    user_id: Mapped[str | None]
    name: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]]
    headers: Mapped[dict[str, Any]]
    secret: Mapped[str]
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TenantRoute(Base):
    """A tenant's own route, in the form of the contract."""

    __tablename__ = "routes"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TenantEventType(Base):
    """A tenant's own event type, in the form of the contract; `sample`: the data of an example."""

    __tablename__ = "event_types"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    sample: Mapped[dict[str, Any] | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Preference(Base):
    """What a user wants; a missing row means everything. `event` null is the whole group; the most specific wins.

    `cadence`: how often on every channel, null where a less specific entry says it; `cadences`: by channel.
    """

    __tablename__ = "preferences"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "user_id"], ["users.tenant", "users.id"], ondelete="CASCADE"),
        Index(
            "preferences_entry",
            "tenant",
            "user_id",
            "group_name",
            text("coalesce(event, '')"),
            text("coalesce(customer_id, '00000000-0000-0000-0000-000000000000'::uuid)"),
            unique=True,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    user_id: Mapped[str]
    group_name: Mapped[str]
    event: Mapped[str | None]
    customer_id: Mapped[UUID | None]
    channels: Mapped[dict[str, Any]]
    cadence: Mapped[str | None]
    cadences: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
