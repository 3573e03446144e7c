"""A tenant's own event types (C-5): put, shown, removed; one of a shipped name replaces that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.catalogue import EVENT_FIELDS, event_type_body, parse_event_type, shipped
from config.demo import sample as shipped_sample
from config.fields import Fields
from domain.digest import DIGEST
from domain.errors import InvalidInputError
from pipeline.audit import record
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.payload import check_data
from pipeline.setup import note_change

MOST_TYPES: Final = 1_000  # of a tenant: every process that serves it keeps them all in memory

PUT = text("""
INSERT INTO event_types (tenant, name, body, sample)
VALUES (:tenant, :name, cast(:body AS jsonb), cast(:sample AS jsonb))
ON CONFLICT (tenant, name) DO UPDATE SET body = excluded.body, sample = excluded.sample, updated_at = now()
""")
READ = text("SELECT name, body, sample FROM event_types WHERE tenant = :tenant AND name = :name")
READ_ALL = text("SELECT name, body, sample FROM event_types WHERE tenant = :tenant")
COUNT = text("SELECT count(*) FROM event_types WHERE tenant = :tenant")
DELETE = text("DELETE FROM event_types WHERE tenant = :tenant AND name = :name RETURNING body")


def put_event_type(
    connection: Connection, *, tenant: str, name: str, body: object, actor: str, remote: str | None = None
) -> dict[str, Any]:
    """Make or replace an event type of the tenant's own; it counts from the next batch on.

    Args:
        body: the catalogue's fields, and as `sample` the `data` of an event that a person would believe. What it leaves
            out of a shipped type is as shipped: its template is its own, and its secrets stay secret.

    Raises:
        InvalidInputError: naming the field.
    """
    fields, sample = _parted(body)
    event_type = parse_event_type(name, _as_shipped(name, fields))
    if name == DIGEST:
        raise InvalidInputError("type", "is what digests are made of and cannot be replaced")
    note_change(connection, tenant)  # holds the tenant's row, so that of two changes at once one is after the other
    before = connection.execute(READ, {"tenant": tenant, "name": name}).first()
    if before is None and connection.execute(COUNT, {"tenant": tenant}).scalar_one() >= MOST_TYPES:
        raise InvalidInputError("type", f"would be one more than {MOST_TYPES}")
    stored = event_type_body(event_type)
    values = {"body": json.dumps(stored), "sample": None if sample is None else json.dumps(sample)}
    connection.execute(PUT, {"tenant": tenant, "name": name, **values})
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="event_type.put",
        subject=name,
        before=None if before is None else before.body,
        after=stored,
        remote=remote,
    )
    return {**stored, "sample": _sample(name, sample), "own": True}


def get_event_type(connection: Connection, *, tenant: str, name: str) -> dict[str, Any] | None:
    """The event type of that name which is in force; None when nobody listed it."""
    row = None if "\0" in name else connection.execute(READ, {"tenant": tenant, "name": name}).first()
    return _shipped(name) if row is None else _own(row)


def delete_event_type(connection: Connection, *, tenant: str, name: str, actor: str, remote: str | None = None) -> bool:
    """Remove an event type of the tenant's own; the shipped one, or the defaults, are in force again.

    False when there is none.

    Raises:
        InvalidInputError: it is a shipped one, which can only be replaced.
    """
    row = None if "\0" in name else connection.execute(DELETE, {"tenant": tenant, "name": name}).first()
    if row is None:
        if name in shipped().event_types:
            raise InvalidInputError("type", "is a shipped event type; put one of the same name to replace it")
        return False
    note_change(connection, tenant)
    action = "event_type.delete"
    record(connection, tenant=tenant, actor=actor, action=action, subject=name, before=row.body, remote=remote)
    return True


def list_event_types(
    connection: Connection, *, tenant: str, cursor: str | None = None, limit: int = 200
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the event types in force by name, and the cursor of the next. ``own`` says which are not shipped."""
    after, most = key_of(cursor) if cursor else "", check_limit(limit)
    own = {row.name: row for row in connection.execute(READ_ALL, {"tenant": tenant})}
    names = sorted(name for name in {*shipped().event_types, *own} if name > after)
    following = cursor_after(names[most - 1]) if len(names) > most else None
    found = [_own(own[name]) if name in own else _shipped(name) for name in names[:most]]
    return [one for one in found if one is not None], following


def _parted(body: object) -> tuple[object, dict[str, Any] | None]:
    """The catalogue's fields, and the sample data beside them."""
    if not isinstance(body, Mapping):
        return body, None
    sample = Fields(body, "", (*EVENT_FIELDS, "sample", "own")).raw("sample")
    # `own` is told with every entry, so that an answer can be changed and put again.
    fields = {name: value for name, value in body.items() if name not in ("sample", "own")}
    if sample is None:
        return fields, None
    if not isinstance(sample, dict):
        raise InvalidInputError("sample", "must be a JSON object")
    return fields, check_data(sample, "sample")


def _as_shipped(name: str, fields: object) -> object:
    """`fields`, with those that they leave out as they are shipped, if the type is."""
    listed = shipped().event_types.get(name)
    if listed is None or not isinstance(fields, Mapping):
        return fields
    return event_type_body(listed) | {field: value for field, value in fields.items() if value is not None}


def _sample(name: str, own: Mapping[str, Any] | None) -> Any:
    """What templates of the type are tried with: the tenant's own sample, else the shipped one."""
    example = shipped_sample(name) if own is None else {"data": own}
    return example and example.get("data")


def _shipped(name: str) -> dict[str, Any] | None:
    listed = shipped().event_types.get(name)
    if listed is None:
        return None
    return {**event_type_body(listed), "sample": _sample(name, None), "own": False}


def _own(row: Row[Any]) -> dict[str, Any]:
    """As it counts. One that an update has made unusable: as it was stored, with what is wrong."""
    shown = {"sample": _sample(row.name, row.sample), "own": True}
    try:
        return {**event_type_body(parse_event_type(row.name, row.body)), **shown}
    except InvalidInputError as error:
        return {**row.body, "name": row.name, **shown, "problem": str(error)}
