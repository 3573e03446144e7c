"""All tables, gathered: importing this makes `metadata` complete."""

from __future__ import annotations

from models import access, branding, ledger, operation, people, reach, templates
from models.base import Base

metadata = Base.metadata

__all__ = ["access", "branding", "ledger", "metadata", "operation", "people", "reach", "templates"]
