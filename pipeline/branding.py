"""Stores how a tenant looks in what it sends, as immutable versions: a retry says what the first attempt said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Connection, text

from domain.brand import DEFAULT_BRAND, Brand

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


def _brand(version: int, body: Mapping[str, Any]) -> Brand:
    return Brand(version=version, **{name: value for name, value in body.items() if name in _NAMES})
