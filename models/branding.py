"""How a tenant looks in what it sends."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Branding(Base):
    """One version of a tenant's brand; the highest is in force. Rows are only ever added: deliveries name them."""

    __tablename__ = "branding"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    body: Mapped[dict[str, Any]]
    actor: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
