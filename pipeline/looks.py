"""How a tenant speaks: its brand, templates and event types, kept in memory until the tenant's version grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.brand import DEFAULT_BRAND, Brand
from pipeline.branding import read_brand_versions, read_brands
from pipeline.event_types import SHIPPED_TYPES, EventTypes, read_event_types
from pipeline.language import candidates
from pipeline.published import Place, Published, read_published, read_versions

VERSIONS = text("SELECT id, version FROM tenants WHERE id = ANY(:tenants)")
MOST_KEPT: Final = 5_000  # tenants; beyond that all are read again


@dataclass(frozen=True, slots=True)
class Look:
    """What a tenant's messages are made of.

    Attributes:
        version: the tenant's, as of which this is.
        published: its own templates that are in force; locales as `candidates` writes them.
        event_types: those in force, its own before the shipped ones.
    """

    version: int = 0
    brand: Brand = DEFAULT_BRAND
    published: Mapping[Place, Published] = field(default_factory=dict)
    event_types: EventTypes = SHIPPED_TYPES

    def own(self, event: str, channel: str, locale: str | None) -> Published | None:
        """The tenant's own template for an event on a channel, in the language that fits best; None: the shipped."""
        if not self.published:
            return None
        for language in (*candidates(locale or ""), ""):
            found = self.published.get((event, channel, language))
            if found is not None:
                return found
        return None


SHIPPED_LOOK: Final = Look()


@dataclass(frozen=True, slots=True)
class Made:
    """What the words of a delivery are made of, as it is stored with it. `template` None: the shipped one.

    `event_types` are those in force now: a retry heeds what is owed and what is secret as of today.
    """

    brand: Brand
    template: Published | None
    event_types: EventTypes = SHIPPED_TYPES


AS_SHIPPED: Final = Made(DEFAULT_BRAND, None)


class Looks:
    """The looks that this process has seen. `most`: of how many tenants, before all are read again."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._known: dict[str, Look] = {}

    def look_up(self, connection: Connection, tenants: Iterable[str]) -> dict[str, Look]:
        """Each tenant's as of now: one statement, and three more when any of them has changed."""
        asked = sorted(set(tenants))
        versions = {row.id: row.version for row in connection.execute(VERSIONS, {"tenants": asked})}
        changed = [one for one in asked if one in versions and self._version(one) != versions[one]]
        found = {one: self._known[one] for one in asked if one in self._known}
        if changed:
            anew = read_looks(connection, {tenant: versions[tenant] for tenant in changed})
            # Another thread reads beside this one: what is forgotten must not go missing in either.
            self._known = anew if len(self._known) > self._most else {**self._known, **anew}
            found |= anew
        return {tenant: found.get(tenant, SHIPPED_LOOK) for tenant in asked}

    def _version(self, tenant: str) -> int | None:
        known = self._known.get(tenant)
        return None if known is None else known.version


def read_looks(connection: Connection, versions: Mapping[str, int]) -> dict[str, Look]:
    """The looks of tenants, read anew: three statements."""
    brands = read_brands(connection, sorted(versions))
    published = read_published(connection, sorted(versions))
    types = read_event_types(connection, sorted(versions))
    return {
        tenant: Look(
            version, brands[tenant], {_place(place): one for place, one in published[tenant].items()}, types[tenant]
        )
        for tenant, version in versions.items()
    }


def _place(place: Place) -> Place:
    event, channel, locale = place
    return event, channel, locale.replace("-", "_")


def made_of(
    connection: Connection, channel: str, rows: Sequence[Row[Any]], looks: Mapping[str, Look]
) -> dict[str, Made]:
    """What the words of claimed deliveries are made of, by delivery id.

    What has been tried before says again what it said then, byte for byte, whatever was published meanwhile: two
    statements more, where it was made of anything else than what is in force now.
    """
    now = {row.id: _of_now(row, channel, looks[row.tenant]) for row in rows}
    again = [row for row in rows if row.brand_version is not None and _differs(row, now[row.id])]
    if not again:
        return now
    brands = read_brand_versions(connection, {(row.tenant, row.brand_version) for row in again})
    templates = read_versions(connection, {row.template_version for row in again if row.template_version})
    for row in again:
        template = templates.get(row.template_version) if row.template_version else None
        now[row.id] = Made(brands[row.tenant, row.brand_version], template, now[row.id].event_types)
    return now


def _of_now(row: Row[Any], channel: str, look: Look) -> Made:
    return Made(look.brand, look.own(row.type, channel, row.locale), look.event_types)


def _differs(row: Row[Any], made: Made) -> bool:
    template = None if made.template is None else made.template.id
    return (row.brand_version, row.template_version) != (made.brand.version, template)
