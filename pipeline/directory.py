"""What routing must know of a tenant, kept in memory and refreshed when the tenant's version has grown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, text

from config.catalogue import parse_route, shipped
from domain.catalogue import EventType, Route
from domain.errors import InvalidInputError
from domain.event import Event, WebhookEndpoint
from domain.fingerprint import canonical
from domain.hold import NO_DEFAULTS, DigestDefaults
from domain.routing import Routing, resolve
from domain.vocabulary import Severity
from pipeline.digest_defaults import defaults_of
from pipeline.event_types import EventTypes
from pipeline.looks import SHIPPED_LOOK, Look, read_looks

log = structlog.get_logger(__name__)

VERSIONS = text("SELECT id, version, digest FROM tenants WHERE id = ANY(:tenants)")
OWN_ROUTES = text("SELECT name, body FROM routes WHERE tenant = :tenant")
OWN_WEBHOOKS = text("SELECT id::text, name, url, events FROM webhooks WHERE tenant = :tenant AND user_id IS NULL")
# Sorted, so that two batches with the same explanations never wait for each other in a circle.
EXPLAIN = text("""
INSERT INTO routings (id, tenant, routes)
SELECT id, tenant, routes FROM jsonb_to_recordset(cast(:routings AS jsonb)) AS r(id uuid, tenant text, routes jsonb)
ORDER BY id ON CONFLICT DO NOTHING RETURNING id
""")

# Routings are remembered by type, severity and branch; a tenant that makes up branches must not fill the memory.
MOST_REMEMBERED = 10_000


OWN_CHANNELS = text("""
SELECT DISTINCT channel FROM provider_accounts WHERE tenant = :tenant AND credentials IS NOT NULL
""")


@dataclass(slots=True)
class Tenant:
    """A tenant's routes and webhooks as of `version`. `explained`: explanations that are known to be committed.

    `channels`: those on which the tenant has an account of its own. `digest`: for users who say nothing themselves.
    `look`: how its notifications speak.
    """

    id: str
    version: int
    routes: tuple[Route, ...]
    webhooks: tuple[WebhookEndpoint, ...]
    channels: frozenset[str] = frozenset()
    digest: DigestDefaults = NO_DEFAULTS
    look: Look = SHIPPED_LOOK
    routings: dict[tuple[str, Severity, str | None], tuple[Routing, UUID]] = field(default_factory=dict)
    explained: set[UUID] = field(default_factory=set)

    def event_type(self, name: str) -> EventType:
        """The entry in force, or the defaults for a type that nobody listed."""
        return self.event_types.entry(name)

    @property
    def event_types(self) -> EventTypes:
        """Those in force, its own before the shipped ones."""
        return self.look.event_types


class Directory:
    """The tenants that this process has seen."""

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}

    def look_up(self, connection: Connection, ids: Iterable[str]) -> dict[str, Tenant]:
        """The tenants that exist, each as of now: one statement, and seven more for each that has changed."""
        found = connection.execute(VERSIONS, {"tenants": list(set(ids))}).all()
        for tenant, version, digest in found:
            known = self._tenants.get(tenant)
            if known is None or known.version != version:
                self._tenants[tenant] = _read(connection, tenant, version, digest)
        return {row.id: self._tenants[row.id] for row in found}


def route_events(
    connection: Connection, tenants: Mapping[str, Tenant], events: Sequence[Event]
) -> list[tuple[Routing, UUID]]:
    """How the tenants' routes treat each event, and the id under which the explanation is stored."""
    decided = [_routing(tenants[event.tenant], event) for event in events]
    unsure = {
        routing_id: (tenant, routing)
        for event, (routing, routing_id) in zip(events, decided, strict=True)
        if routing_id not in (tenant := tenants[event.tenant]).explained
    }
    if unsure:
        _explain(connection, unsure)
    return decided


def _routing(tenant: Tenant, event: Event) -> tuple[Routing, UUID]:
    key = (event.type, event.severity, event.branch)
    known = tenant.routings.get(key)
    if known is None:
        if len(tenant.routings) >= MOST_REMEMBERED:
            tenant.routings.clear()
            tenant.explained.clear()
        routing = resolve(tenant.routes, *key)
        identity = sha256(f"{tenant.id}\n{_explanation(routing)}".encode()).digest()
        known = tenant.routings[key] = routing, UUID(bytes=identity[:16])
    return known


def _explanation(routing: Routing) -> str:
    return canonical(
        [{"name": name, "matched": matched, "reason": reason} for name, matched, reason in routing.explanation]
    )


def _explain(connection: Connection, unsure: Mapping[UUID, tuple[Tenant, Routing]]) -> None:
    """Store explanations. One that was there already was committed, so it needs no storing again.

    One that was stored just now may yet be rolled back with its transaction: it is stored once more next time.
    """
    document = json.dumps(
        [
            {"id": str(id_), "tenant": tenant.id, "routes": json.loads(_explanation(routing))}
            for id_, (tenant, routing) in unsure.items()
        ]
    )
    stored = set(connection.execute(EXPLAIN, {"routings": document}).scalars())
    for id_ in unsure.keys() - stored:
        unsure[id_][0].explained.add(id_)


def _read(connection: Connection, tenant: str, version: int, digest: Mapping[str, Any] | None) -> Tenant:
    catalogue = shipped()
    own = connection.execute(OWN_ROUTES, {"tenant": tenant}).all()
    replaced = {row.name for row in own}
    routes = [route for route in catalogue.routes if route.name not in replaced]
    for row in own:
        try:
            routes.append(parse_route(row.name, row.body, own=True))
        except InvalidInputError as error:
            # It was good when it was stored, and an update took away what it names. All else must go on.
            log.warning("route_unusable", tenant=tenant, route=row.name, problem=str(error))
    webhooks = tuple(
        WebhookEndpoint(id=row.id, name=row.name, url=row.url, events=tuple(row.events))
        for row in connection.execute(OWN_WEBHOOKS, {"tenant": tenant})
    )
    channels = frozenset(connection.execute(OWN_CHANNELS, {"tenant": tenant}).scalars())
    look = read_looks(connection, {tenant: version})[tenant]
    return Tenant(tenant, version, tuple(routes), webhooks, channels, defaults_of(digest), look)
