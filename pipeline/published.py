"""Which of their own templates tenants have put in force, as rendering needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

Place = tuple[str, str, str]
"""Event type, channel and locale; an empty locale is for all."""

READ = text("""
SELECT v.id::text, v.tenant, v.event, v.channel, v.locale, v.number, v.body, v.fallback
FROM published_templates p JOIN template_versions v ON v.id = p.version_id WHERE p.tenant = ANY(:tenants)
""")
READ_VERSIONS = text("""
SELECT id::text, tenant, event, channel, locale, number, body, fallback
FROM template_versions WHERE id = ANY(cast(:ids AS uuid[]))
""")


@dataclass(frozen=True, slots=True)
class Published:
    """A version of a tenant's own template.

    Attributes:
        body: ``subject``, ``html`` and ``text`` of an email, ``title`` and ``text`` of anything else.
        fallback: whether the shipped template is used where this one cannot be rendered.
    """

    id: str
    event: str
    channel: str
    locale: str
    body: Mapping[str, str]
    fallback: bool = False
    number: int = 0


def read_published(connection: Connection, tenants: Iterable[str]) -> dict[str, dict[Place, Published]]:
    """What is in force for each of `tenants`, by event type, channel and locale: one statement."""
    found: dict[str, dict[Place, Published]] = {tenant: {} for tenant in tenants}
    for row in connection.execute(READ, {"tenants": list(found)}):
        found[row.tenant][row.event, row.channel, row.locale] = version_of(row)
    return found


def read_versions(connection: Connection, ids: Iterable[str]) -> dict[str, Published]:
    """Versions by id, in force or not: a retry says what the first attempt said."""
    return {row.id: version_of(row) for row in connection.execute(READ_VERSIONS, {"ids": list(ids)})}


def version_of(row: Row[Any]) -> Published:
    """A row of `template_versions`."""
    return Published(row.id, row.event, row.channel, row.locale, row.body, row.fallback, row.number)
