"""All tables, gathered: importing this makes `metadata` complete."""

from __future__ import annotations

from models import access, ledger, operation, people, reach
from models.base import Base

metadata = Base.metadata

__all__ = ["access", "ledger", "metadata", "operation", "people", "reach"]
