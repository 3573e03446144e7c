"""The event types in force for a tenant: its own, before the shipped ones, before the defaults of any other name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy import Connection, text

from config.catalogue import parse_event_type, shipped
from domain.catalogue import EventType
from domain.errors import InvalidInputError
from pipeline.envelope import unlisted

log = structlog.get_logger(__name__)

READ = text("SELECT tenant, name, body, sample FROM event_types WHERE tenant = ANY(:tenants)")
VERSIONS = text("SELECT id, version FROM tenants WHERE id = ANY(:tenants)")
MOST_KEPT: Final = 5_000  # tenants; beyond that all are read again


@dataclass(frozen=True, slots=True)
class EventTypes:
    """What is listed for one tenant. `own`: what it put itself; `samples`: its own sample data, by type."""

    own: Mapping[str, EventType] = field(default_factory=dict)
    samples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def get(self, name: str, /) -> EventType | None:
        """The entry of that name, or None when nobody listed it."""
        return self.own.get(name) or shipped().event_types.get(name)

    def entry(self, name: str) -> EventType:
        """The entry of that name, or the defaults for a type that nobody listed (C-5)."""
        return self.get(name) or unlisted(name)

    def all(self) -> Collection[EventType]:
        """Every listed type."""
        return {**shipped().event_types, **self.own}.values() if self.own else shipped().event_types.values()

    @property
    def groups(self) -> frozenset[str]:
        """The headings under which people find them in their preferences."""
        return frozenset(one.group for one in self.all()) if self.own else shipped().groups

    def by_group(self) -> dict[str, set[str]]:
        """The names of the listed types by group."""
        found: dict[str, set[str]] = {}
        for one in self.all():
            found.setdefault(one.group, set()).add(one.name)
        return found


SHIPPED_TYPES: Final = EventTypes()


@dataclass(frozen=True, slots=True)
class Known:
    """A tenant's event types as of a version of the tenant."""

    version: int
    event_types: EventTypes


class KnownTypes:
    """The tenants whose event types this process has read."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def find(self, tenant: str) -> Known | None:
        """As they were when they were last read; whoever stores must see whether the version still is that."""
        return self._known.get(tenant)

    def look_up(self, connection: Connection, tenants: Iterable[str]) -> dict[str, Known]:
        """The tenants that exist, each as of now: one statement, and another when any of them has changed."""
        asked = sorted(set(tenants))
        if not asked:
            return {}
        versions: dict[str, int] = {row.id: row.version for row in connection.execute(VERSIONS, {"tenants": asked})}
        changed = [one for one, version in versions.items() if self._version(one) != version]
        found = {one: self._known[one] for one in versions if one in self._known}
        if changed:
            read = read_event_types(connection, changed)
            anew = {tenant: Known(versions[tenant], types) for tenant, types in read.items()}
            # Another thread reads beside this one: what is forgotten must not go missing in either.
            self._known = anew if len(self._known) > MOST_KEPT else {**self._known, **anew}
            found |= anew
        return found

    def _version(self, tenant: str) -> int | None:
        known = self._known.get(tenant)
        return None if known is None else known.version


def read_event_types(connection: Connection, tenants: Sequence[str]) -> dict[str, EventTypes]:
    """The event types in force of each of these tenants; one statement."""
    own: dict[str, dict[str, EventType]] = {tenant: {} for tenant in tenants}
    samples: dict[str, dict[str, Any]] = {tenant: {} for tenant in tenants}
    for row in connection.execute(READ, {"tenants": list(tenants)}):
        try:
            own[row.tenant][row.name] = parse_event_type(row.name, row.body)
        except InvalidInputError as error:
            # It was good when it was stored, and an update took away what it names. All else must go on.
            log.warning("event_type_unusable", tenant=row.tenant, event_type=row.name, problem=str(error))
            continue
        if row.sample is not None:
            samples[row.tenant][row.name] = row.sample
    return {tenant: EventTypes(own[tenant], samples[tenant]) for tenant in tenants}


def event_types_of(connection: Connection, tenant: str) -> EventTypes:
    """The event types in force of one tenant, as of now; one statement."""
    return read_event_types(connection, [tenant])[tenant]
