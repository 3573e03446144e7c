"""Routes of a tenant: the shipped ones, and its own, which replace a shipped one of the same name."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, text

from config.catalogue import parse_route, route_body, shipped
from domain.catalogue import Route
from domain.errors import InvalidInputError
from pipeline.audit import record
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.setup import note_change

PUT = text("""
INSERT INTO routes (tenant, name, body) VALUES (:tenant, :name, cast(:body AS jsonb))
ON CONFLICT (tenant, name) DO UPDATE SET body = excluded.body, updated_at = now()
""")
READ = text("SELECT name, body FROM routes WHERE tenant = :tenant AND name = :name")
READ_ALL = text("SELECT name, body FROM routes WHERE tenant = :tenant")
DELETE = text("DELETE FROM routes WHERE tenant = :tenant AND name = :name RETURNING body")


def put_route(
    connection: Connection, *, tenant: str, name: str, body: object, actor: str, remote: str | None = None
) -> dict[str, Any]:
    """Make or replace a route of the tenant's own; it counts from the next batch on.

    Raises:
        InvalidInputError: naming the field.
    """
    route = parse_route(name, body, own=True)
    before = None if (row := _own(connection, tenant, name)) is None else row.body
    stored = route_body(route)
    connection.execute(PUT, {"tenant": tenant, "name": name, "body": json.dumps(stored)})
    note_change(connection, tenant)
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="route.put",
        subject=name,
        before=before,
        after=stored,
        remote=remote,
    )
    return _shown(route)


def get_route(connection: Connection, *, tenant: str, name: str) -> dict[str, Any] | None:
    """The route of that name which is in force, or None."""
    row = _own(connection, tenant, name)
    if row is not None:
        return _shown_own(row)
    route = _shipped(name)
    return None if route is None else _shown(route)


def delete_route(connection: Connection, *, tenant: str, name: str, actor: str, remote: str | None = None) -> bool:
    """Remove a route of the tenant's own; a shipped one of the same name is in force again. False when there is none.

    Raises:
        InvalidInputError: it is a shipped route, which can only be replaced.
    """
    row = None if "\0" in name else connection.execute(DELETE, {"tenant": tenant, "name": name}).first()
    if row is None:
        if _shipped(name) is not None:
            raise InvalidInputError("name", "is a shipped route; put one of the same name to replace it")
        return False
    note_change(connection, tenant)
    record(connection, tenant=tenant, actor=actor, action="route.delete", subject=name, before=row.body, remote=remote)
    return True


def list_routes(
    connection: Connection, *, tenant: str, cursor: str | None = None, limit: int = 200
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the routes in force by name, and the cursor of the next. ``own`` says which are not shipped."""
    after, most = key_of(cursor) if cursor else "", check_limit(limit)
    routes = {route.name: _shown(route) for route in shipped().routes} | {
        row.name: _shown_own(row) for row in connection.execute(READ_ALL, {"tenant": tenant})
    }
    names = sorted(name for name in routes if name > after)
    following = cursor_after(names[most - 1]) if len(names) > most else None
    return [routes[name] for name in names[:most]], following


def _own(connection: Connection, tenant: str, name: str) -> Row[Any] | None:
    if "\0" in name:
        return None
    return connection.execute(READ, {"tenant": tenant, "name": name}).first()


def _shipped(name: str) -> Route | None:
    return next((route for route in shipped().routes if route.name == name), None)


def _shown(route: Route) -> dict[str, Any]:
    return {**route_body(route), "own": route.own}


def _shown_own(row: Row[Any]) -> dict[str, Any]:
    """As it counts. One that an update has made unusable: as it was stored, with what is wrong; routing skips it."""
    try:
        return _shown(parse_route(row.name, row.body, own=True))
    except InvalidInputError as error:
        return {**row.body, "name": row.name, "own": True, "problem": str(error)}
