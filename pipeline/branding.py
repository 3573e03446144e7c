"""Stores how a tenant looks in what it sends, as immutable versions: a retry says what the first attempt said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.brand import DEFAULT_BRAND, Brand
from domain.errors import InvalidInputError
from pipeline.audit import record
from pipeline.brand_body import parse_brand
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.moments import written
from pipeline.setup import note_change

__all__ = ["DEFAULT_BRAND", "Brand", "read_brand_versions", "read_brands"]

LATEST = text("""
SELECT DISTINCT ON (tenant) tenant, version, body FROM branding
WHERE tenant = ANY(:tenants) ORDER BY tenant, version DESC
""")
VERSIONS = text("""
SELECT b.tenant, b.version, b.body FROM branding b
JOIN unnest(cast(:tenants AS text[]), cast(:versions AS integer[])) wanted (tenant, version)
  ON b.tenant = wanted.tenant AND b.version = wanted.version
""")
NEWEST = text("SELECT * FROM branding WHERE tenant = :tenant ORDER BY version DESC LIMIT 1")
HISTORY = text("""
SELECT * FROM branding WHERE tenant = :tenant AND version < :before ORDER BY version DESC LIMIT :most
""")
ADD = text("""
INSERT INTO branding (tenant, version, body, actor) VALUES (:tenant, :version, cast(:body AS jsonb), :actor)
RETURNING *
""")
HIGHEST: Final = 2**31 - 1  # a version is an integer

_NAMES: Final = frozenset(field.name for field in fields(Brand)) - {"version"}


def read_brands(connection: Connection, tenants: Sequence[str]) -> dict[str, Brand]:
    """The brand in force of each of these tenants, `DEFAULT_BRAND` for those who set none; one statement."""
    found = {
        row.tenant: _brand(row.version, row.body) for row in connection.execute(LATEST, {"tenants": list(tenants)})
    }
    return {tenant: found.get(tenant, DEFAULT_BRAND) for tenant in tenants}


def read_brand_versions(connection: Connection, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Brand]:
    """These versions of tenants' brands, for what is sent again; one statement. Version 0 is `DEFAULT_BRAND`."""
    pairs = sorted(set(wanted))
    values = {"tenants": [tenant for tenant, _ in pairs], "versions": [version for _, version in pairs]}
    found = {(row.tenant, row.version): _brand(row.version, row.body) for row in connection.execute(VERSIONS, values)}
    return {pair: found.get(pair, DEFAULT_BRAND) for pair in pairs}


def get_brand(connection: Connection, *, tenant: str) -> dict[str, Any]:
    """The brand in force, with all that nobody set as it is shipped; version 0 when nothing was set."""
    return _shown(connection.execute(NEWEST, {"tenant": tenant}).first())


def put_brand(
    connection: Connection, *, tenant: str, body: object, actor: str, remote: str | None = None
) -> dict[str, Any]:
    """Make a new version of a tenant's brand: what `body` does not name stays as it is, null is as shipped.

    It shows in the next message. A body that changes nothing makes no version.

    Raises:
        InvalidInputError: naming the field.
    """
    note_change(connection, tenant)  # holds the tenant's row, so that of two changes at once one is after the other
    newest = connection.execute(NEWEST, {"tenant": tenant}).first()
    before = DEFAULT_BRAND if newest is None else _brand(newest.version, newest.body)
    after = parse_brand(body, before)
    if after.body == before.body:
        return _shown(newest)
    values = {"tenant": tenant, "version": before.version + 1, "body": json.dumps(after.body), "actor": actor}
    row = connection.execute(ADD, values).one()
    changed = {name for name, value in after.body.items() if value != before.body[name]}
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="branding.put",
        subject=str(row.version),
        before={name: before.body[name] for name in sorted(changed)},
        after={name: after.body[name] for name in sorted(changed)},
        remote=remote,
    )
    return _shown(row)


def list_brands(
    connection: Connection, *, tenant: str, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the versions, the newest first, and the cursor of the next.

    Raises:
        InvalidInputError: on ``cursor`` or ``limit``.
    """
    most = check_limit(limit)
    values = {"tenant": tenant, "before": _version(cursor) if cursor else HIGHEST, "most": most + 1}
    rows = connection.execute(HISTORY, values).all()
    return [_shown(row) for row in rows[:most]], cursor_after(str(rows[most - 1].version)) if len(rows) > most else None


def _version(cursor: str) -> int:
    key = key_of(cursor)
    if not (key.isascii() and key.isdigit() and len(key) <= 9):
        raise InvalidInputError("cursor", "is none that a list has answered")
    return int(key)


def _shown(row: Row[Any] | None) -> dict[str, Any]:
    if row is None:
        return {"version": 0, **DEFAULT_BRAND.body, "set_by": None, "created_at": None}
    brand = _brand(row.version, row.body)
    return {"version": row.version, **brand.body, "set_by": row.actor, "created_at": written(row.created_at)}


def _brand(version: int, body: Mapping[str, Any]) -> Brand:
    return Brand(version=version, **{name: value for name, value in body.items() if name in _NAMES})
