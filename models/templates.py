"""Tenants' own templates: every version that was ever saved, and which of them is in force."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class TemplateVersion(Base):
    """A tenant's words for an event type on a channel; never changed. `locale` is empty where it is for all.

    Attributes:
        body: ``subject``, ``html`` and ``text`` of an email, ``title`` and ``text`` of anything else, as written.
        fallback: whether the shipped template is used where this one cannot be rendered.
    """

    __tablename__ = "template_versions"
    __table_args__ = (Index("template_versions_number", "tenant", "event", "channel", "locale", "number", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    event: Mapped[str]
    channel: Mapped[str]
    locale: Mapped[str] = mapped_column(server_default="")
    number: Mapped[int] = mapped_column(Integer)
    body: Mapped[dict[str, Any]]
    fallback: Mapped[bool] = mapped_column(server_default=text("false"))
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PublishedTemplate(Base):
    """Which version is in force; without a row it is the shipped template. Publishing and rolling back change one row.

    `earlier`: the numbers of the versions that were in force before, the latest last.
    """

    __tablename__ = "published_templates"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True)
    event: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str] = mapped_column(primary_key=True, server_default="")
    version_id: Mapped[UUID] = mapped_column(ForeignKey("template_versions.id", ondelete="CASCADE"))
    earlier: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    published_by: Mapped[str]
    published_at: Mapped[datetime] = mapped_column(server_default=func.now())
