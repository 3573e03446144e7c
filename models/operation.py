"""What runs the house: counts by hour, slots of shared bulkheads, the last rounds, and what others left for us."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Small


class Statistic(Base):
    """Deliveries that reached a status, counted by hour. `shard` keeps workers from waiting for each other's row."""

    __tablename__ = "statistics"
    __table_args__ = {"postgresql_with": {"fillfactor": "50"}}  # noqa: RUF012

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(Small, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class BulkheadSlot(Base):
    """The right to one send at a time on a channel whose bulkhead is shared by all workers."""

    __tablename__ = "bulkhead_slots"

    channel: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Small, primary_key=True)
    token: Mapped[int | None] = mapped_column(BigInteger)
    held_until: Mapped[datetime | None]


class Round(Base):
    """When a round was last made, so that of many workers that could only one does."""

    __tablename__ = "rounds"

    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class OutboxEvent(Base):
    """What `bellwire_publish` was given in a transaction of the caller's own; gone once its event is accepted."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant: Mapped[str]
    event: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class MovedAddress(Base):
    """Addresses that moved for good, as a provider told us (a Telegram group that became a supergroup)."""

    __tablename__ = "moved_addresses"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    moved_to: Mapped[str]
    delivery_id: Mapped[UUID]
