"""Reads the audit: who did what, when and from where, what was before and after; the newest first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.fields import check_text
from domain.errors import InvalidInputError
from pipeline.filters import Conditions, Filter, conditions
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.moments import read_moment, written

LIST: Final = """
SELECT id, actor, action, subject, at, remote_address, before, after FROM audit
WHERE tenant = :tenant AND {conditions} ORDER BY tenant DESC, at DESC, id DESC LIMIT :most
"""

MOST_ID: Final = 2**63 - 1
_ACTION: Final = re.compile(r"[a-z_.*]+")


def list_audit(
    connection: Connection,
    *,
    tenant: str,
    filters: Mapping[str, Any] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the audit, and the cursor of the next. See `FILTERS`.

    Raises:
        InvalidInputError: naming the filter, or the cursor.
    """
    asked = conditions(filters, FILTERS)
    most = check_limit(limit)
    wanted, values = ["true", *asked.range, *asked.rest], {**asked.values, "tenant": tenant, "most": most + 1}
    if cursor is not None:
        wanted.append("(at, id) < (:before_at, :before_id)")
        values["before_at"], values["before_id"] = _place(cursor)
    rows = connection.execute(text(LIST.format(conditions=" AND ".join(wanted))), values).all()
    following = _cursor(rows[most - 1]) if len(rows) > most else None
    return [_shown(row) for row in rows[:most]], following


def _cursor(row: Row[Any]) -> str:
    return cursor_after(f"{row.at.astimezone(UTC).isoformat()} {row.id}")


def _place(cursor: str) -> tuple[datetime, int]:
    """Where a page ended. Raises InvalidInputError for what no list has answered."""
    at, _, number = key_of(cursor).partition(" ")
    try:
        moment, id_ = datetime.fromisoformat(at), int(number)
        if moment.tzinfo is not None and 0 < id_ <= MOST_ID:
            return moment, id_
    except ValueError:
        pass
    raise InvalidInputError("cursor", "is none that a list has answered")


def _equal(name: str, value: str, into: Conditions) -> None:
    into.rest.append(f"{name} = :{name}")
    into.values[name] = check_text(value, name)


def _action(name: str, value: str, into: Conditions) -> None:
    """An action, or a pattern such as ``webhook.*``."""
    if not _ACTION.fullmatch(value):
        raise InvalidInputError(name, "has a character that no action has")
    into.rest.append(f"action LIKE :{name}")
    into.values[name] = value.replace("_", "\\_").replace("*", "%")


def _since(name: str, value: str, into: Conditions) -> None:
    into.range.append(f"at >= :{name}")
    into.values[name] = read_moment(value, name, datetime.now(UTC))


FILTERS: Final[Mapping[str, Filter]] = {"actor": _equal, "action": _action, "subject": _equal, "since": _since}


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": written(row.at),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "remote_address": row.remote_address,
        "before": row.before,
        "after": row.after,
    }
