"""What routing knows of a tenant: kept in memory, and never older than the tenant's last change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event as listening

from config.catalogue import shipped
from domain.event import Event
from domain.routing import Routing
from pipeline.directory import Directory, Tenant, route_events
from pipeline.envelope import parse
from pipeline.routes import delete_route, put_route
from pipeline.webhooks import put_webhook

ROUTE = {"match": {"event": "x.*"}, "recipients": {"resolver": "role", "role": "ops"}, "channels": ["email"]}


def look(world: Any, directory: Directory, tenant: str = "acme") -> Tenant:
    with world.begin() as connection:
        return directory.look_up(connection, [tenant])[tenant]


def put(world: Any, name: str, **changes: Any) -> None:
    with world.begin() as connection:
        put_route(connection, tenant="acme", name=name, body=ROUTE | changes, actor="cli")


def take(kind: str = "x.y", **fields: Any) -> Event:
    return parse({"type": kind, **fields}, tenant="acme", catalogue=shipped().event_types)


def route(world: Any, directory: Directory, *events: Event) -> Sequence[tuple[Routing, UUID]]:
    with world.begin() as connection:
        return route_events(connection, directory.look_up(connection, ["acme"]), events)


def test_a_tenant_that_does_not_exist_is_not_found(world: Any) -> None:
    with world.begin() as connection:
        assert set(Directory().look_up(connection, ["acme", "nobody"])) == {"acme"}


@pytest.mark.mission("C-5")
def test_a_tenants_own_route_joins_the_shipped_ones(world: Any) -> None:
    put(world, "mine")
    names = [(one.name, one.own) for one in look(world, Directory()).routes]
    assert ("mine", True) in names
    assert len(names) == len(shipped().routes) + 1


def test_an_own_route_replaces_the_shipped_one_of_its_name(world: Any) -> None:
    put(world, "webhooks")
    found = [one for one in look(world, Directory()).routes if one.name == "webhooks"]
    assert [(one.own, one.channels) for one in found] == [(True, ("email",))]


@pytest.mark.mission("C-5")
def test_a_change_is_seen_at_once_by_a_process_that_knew_the_tenant(world: Any) -> None:
    directory = Directory()
    before = look(world, directory).routes
    put(world, "mine")
    assert len(look(world, directory).routes) == len(before) + 1
    with world.begin() as connection:
        delete_route(connection, tenant="acme", name="mine", actor="cli")
    assert look(world, directory).routes == before


def test_a_new_webhook_is_seen_at_once(world: Any) -> None:
    directory = Directory()
    assert look(world, directory).webhooks == ()
    with world.begin() as connection:
        body = {"url": "https://hooks.example.org/x", "events": ["x.*"]}
        put_webhook(connection, tenant="acme", user_id=None, name="w", body=body, actor="cli")
    assert [(one.name, one.events) for one in look(world, directory).webhooks] == [("w", ("x.*",))]


def test_a_tenant_that_did_not_change_is_read_once(world: Any) -> None:
    directory = Directory()
    assert look(world, directory) is look(world, directory)


def test_a_change_of_one_tenant_leaves_the_others_known(world: Any) -> None:
    directory = Directory()
    other = look(world, directory, "other")
    put(world, "mine")
    assert look(world, directory, "other") is other


def test_a_stored_route_that_became_unusable_holds_up_nothing_else(world: Any) -> None:
    put(world, "good")
    put(world, "bad")
    world.execute("UPDATE routes SET body = '{\"channels\": [\"pigeon\"]}' WHERE name = 'bad'")
    names = [one.name for one in look(world, Directory()).routes if one.own]
    assert names == ["good"]


def test_an_unusable_route_does_not_bring_back_the_shipped_one_that_it_replaced(world: Any) -> None:
    put(world, "webhooks")
    world.execute("UPDATE routes SET body = '{}' WHERE name = 'webhooks'")
    assert "webhooks" not in [one.name for one in look(world, Directory()).routes]


@pytest.mark.mission("B-8")
def test_what_was_said_of_every_route_is_stored_once_for_all_events_of_a_kind(world: Any) -> None:
    (_, first), (_, second) = route(world, world.directory, take(), take())
    assert first == second
    (row,) = world.execute("SELECT id, tenant, routes FROM routings")
    assert (row.id, row.tenant, len(row.routes)) == (first, "acme", len(shipped().routes))
    assert {"name": "webhooks", "matched": True, "reason": None} in row.routes


def test_two_processes_arrive_at_the_same_explanation(world: Any) -> None:
    assert route(world, Directory(), take()) == route(world, Directory(), take())
    assert len(world.execute("SELECT FROM routings")) == 1


def test_an_explanation_that_was_rolled_back_is_stored_with_the_next_event(world: Any) -> None:
    directory = Directory()
    with pytest.raises(KeyError), world.begin() as connection:
        route_events(connection, directory.look_up(connection, ["acme"]), [take()])
        raise KeyError
    ((_, id_),) = route(world, directory, take())
    assert [row.id for row in world.execute("SELECT id FROM routings")] == [id_]


def test_an_explanation_that_is_known_to_be_stored_costs_nothing_more(world: Any) -> None:
    directory = Directory()
    for _ in range(2):
        route(world, directory, take())
    said: list[str] = []
    with world.begin() as connection:
        tenants = directory.look_up(connection, ["acme"])
        listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
        route_events(connection, tenants, [take()])
    assert said == []


@pytest.mark.mission("B-8")
def test_another_severity_or_branch_is_another_kind(world: Any) -> None:
    put(world, "berlin", match={"event": "x.*", "branch": "berlin", "severity": ["high"]})
    found = route(
        world,
        world.directory,
        take(),
        take(branch="berlin", severity="low"),
        take(branch="berlin", severity="high"),
    )
    assert ["berlin" in [one.name for one in routing.matched] for routing, _ in found] == [False, False, True]


def test_a_tenant_that_makes_up_branches_does_not_fill_the_memory(world: Any) -> None:
    tenant = look(world, world.directory)
    for number in range(3):
        tenant.routings.clear()
        tenant.routings |= {("made.up", take().severity, str(one)): (None, UUID(int=one)) for one in range(10_000)}  # type: ignore[misc]
        route(world, world.directory, take(branch=f"b{number}"))
        assert len(tenant.routings) == 1
