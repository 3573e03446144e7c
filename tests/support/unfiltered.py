"""The API as it would be if every one of its statements had forgotten to ask whose rows it is about."""

from __future__ import annotations

import os
import re
from typing import Any

from sqlalchemy import Engine, event

from api.app import app
from models import scope

__all__ = ["WITHOUT_WALL", "app"]

WITHOUT_WALL = "BELLWIRE_TEST_WITHOUT_WALL"  # set: the first wall is missing and the second one too

# `n.tenant = %(tenant)s::VARCHAR`: the condition stays where it is, and is true of every row.
FILTER = re.compile(r"(?<![\w.])(?:\w+\.)?tenant = %\(tenant\)s(?:::\w+)?")

if os.environ.get(WITHOUT_WALL):
    scope.new_scoped_engine = lambda pool_size=5: scope.engine()


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def forget(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> tuple[str, Any]:
    """Leave the tenant out of what a statement asks for. Whose the credential is, is still looked up."""
    if "FROM tenants" in statement or "set_config" in statement:
        return statement, parameters
    return FILTER.sub("%(tenant)s::text IS NOT NULL", statement), parameters
