"""What routing must know of a tenant, kept in memory and refreshed when the tenant's version has grown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from sqlalchemy import Connection, text

from config.catalogue import parse_route, shipped
from domain.catalogue import EventType, Route
from domain.event import Event, WebhookEndpoint
from domain.fingerprint import canonical
from domain.routing import Routing, resolve
from domain.vocabulary import Severity
from pipeline.envelope import unlisted

VERSIONS = text("SELECT id, version FROM tenants WHERE id = ANY(:tenants)")
OWN_ROUTES = text("SELECT name, body FROM routes WHERE tenant = :tenant")
OWN_WEBHOOKS = text("SELECT id::text, name, url, events FROM webhooks WHERE tenant = :tenant AND user_id IS NULL")
EXPLAIN = text(
    "INSERT INTO routings (id, tenant, routes) VALUES (:id, :tenant, cast(:routes AS jsonb)) ON CONFLICT DO NOTHING"
)

# Routings are remembered by type, severity and branch; a tenant that makes up branches must not fill the memory.
MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class Tenant:
    """A tenant's routes and webhooks as of `version`."""

    id: str
    version: int
    routes: tuple[Route, ...]
    webhooks: tuple[WebhookEndpoint, ...]
    event_types: Mapping[str, EventType]
    routings: dict[tuple[str, Severity, str | None], tuple[Routing, UUID]] = field(default_factory=dict)

    def event_type(self, name: str) -> EventType:
        """The catalogue's entry, or the defaults for a type that nobody listed."""
        return self.event_types.get(name) or unlisted(name)


class Directory:
    """The tenants that this process has seen."""

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}

    def look_up(self, connection: Connection, ids: Iterable[str]) -> dict[str, Tenant]:
        """The tenants that exist, each as of now: one statement, and three more for each that has changed."""
        found = connection.execute(VERSIONS, {"tenants": list(set(ids))}).all()
        for tenant, version in found:
            known = self._tenants.get(tenant)
            if known is None or known.version != version:
                self._tenants[tenant] = _read(connection, tenant, version)
        return {tenant: self._tenants[tenant] for tenant, _ in found}


def route_events(connection: Connection, tenant: Tenant, event: Event) -> tuple[Routing, UUID]:
    """How the tenant's routes treat this kind of event, and the id under which the explanation is stored."""
    key = (event.type, event.severity, event.branch)
    known = tenant.routings.get(key)
    if known is None:
        if len(tenant.routings) >= MOST_REMEMBERED:
            tenant.routings.clear()
        routing = resolve(tenant.routes, *key)
        known = tenant.routings[key] = routing, _store_explanation(connection, tenant.id, routing)
    return known


def _store_explanation(connection: Connection, tenant: str, routing: Routing) -> UUID:
    routes = canonical(
        [{"name": name, "matched": matched, "reason": reason} for name, matched, reason in routing.explanation]
    )
    identity = UUID(bytes=sha256(f"{tenant}\n{routes}".encode()).digest()[:16])
    connection.execute(EXPLAIN, {"id": identity, "tenant": tenant, "routes": routes})
    return identity


def _read(connection: Connection, tenant: str, version: int) -> Tenant:
    catalogue = shipped()
    own = {name: parse_route(name, body, own=True) for name, body in connection.execute(OWN_ROUTES, {"tenant": tenant})}
    routes = tuple(route for route in catalogue.routes if route.name not in own) + tuple(own.values())
    webhooks = tuple(
        WebhookEndpoint(id=row.id, name=row.name, url=row.url, events=tuple(row.events))
        for row in connection.execute(OWN_WEBHOOKS, {"tenant": tenant})
    )
    return Tenant(tenant, version, routes, webhooks, catalogue.event_types)
