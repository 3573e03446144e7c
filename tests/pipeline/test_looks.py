"""How tenants speak, as a process remembers it."""

from __future__ import annotations

from typing import Any

from pipeline.branding import put_brand
from pipeline.looks import Looks
from pipeline.setup import ensure_tenant


def named(world: Any, tenant: str) -> None:
    with world.begin() as connection:
        ensure_tenant(connection, tenant)
        put_brand(connection, tenant=tenant, body={"name": tenant.title()}, actor="cli")


def test_nobody_speaks_as_shipped_because_a_process_has_seen_too_many_tenants(world: Any) -> None:
    tenants = ["a", "b", "c"]
    for tenant in tenants:
        named(world, tenant)
    looks = Looks(most=1)
    with world.begin() as connection:
        looks.look_up(connection, ["a", "b"])
        found = looks.look_up(connection, tenants)  # two that are known, and one that makes them too many
    assert [found[tenant].brand.name for tenant in tenants] == ["A", "B", "C"]
