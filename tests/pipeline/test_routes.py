"""Routes of a tenant's own beside the shipped ones."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvalidInputError
from pipeline.routes import delete_route, get_route, list_routes, put_route

MINE = {
    "match": {"event": "billing.*", "severity": ["high", "critical"], "branch": "berlin"},
    "recipients": [{"resolver": "role", "role": "finance"}, {"resolver": "explicit"}],
    "channels": ["email", "websocket"],
    "priority": "high",
}


def put(world: Any, name: str = "mine", body: Any = None) -> dict[str, Any]:
    with world.begin() as connection:
        return put_route(connection, tenant="acme", name=name, body=MINE if body is None else body, actor="key:k1")


def version(world: Any) -> int:
    (row,) = world.execute("SELECT version FROM tenants WHERE id = 'acme'")
    return int(row.version)


@pytest.mark.mission("C-5")
def test_a_route_is_answered_complete_and_can_be_put_back_as_it_is(world: Any) -> None:
    stored = put(world)
    assert stored["own"]
    assert stored["channels"] == ["email", "in_app"]
    assert stored["plan"] == "simultaneous"
    with world.begin() as connection:
        assert get_route(connection, tenant="acme", name="mine") == stored
    body = {name: value for name, value in stored.items() if name != "own"}
    assert put(world, body=body) == stored


@pytest.mark.mission("C-5")
def test_a_new_route_counts_for_the_next_event(world: Any) -> None:
    world.user("u1", email="u1@example.org")
    (before,) = world.publish({"type": "custom.thing", "data": {"n": 1}})
    put(
        world,
        body={
            "match": {"event": "custom.*"},
            "recipients": {"resolver": "user", "users": ["u1"]},
            "channels": ["email"],
        },
    )
    (after,) = world.publish({"type": "custom.thing", "data": {"n": 2}})
    assert world.event(before)["status"] == "unrouted"
    assert world.notification(after, "u1")["deliveries"][0]["channel"] == "email"


def test_a_shipped_route_is_replaced_by_name_and_back_when_it_is_deleted(world: Any) -> None:
    with world.begin() as connection:
        shipped = get_route(connection, tenant="acme", name="webhooks")
    assert shipped is not None
    assert not shipped["own"]
    put(world, "webhooks", {"match": {"event": "order.*"}, "channels": ["webhook"]})
    with world.begin() as connection:
        replaced = get_route(connection, tenant="acme", name="webhooks")
        assert replaced is not None
        assert replaced["own"]
        assert delete_route(connection, tenant="acme", name="webhooks", actor="cli")
        assert get_route(connection, tenant="acme", name="webhooks") == shipped


def test_a_shipped_route_cannot_be_deleted_and_says_what_to_do(world: Any) -> None:
    with world.begin() as connection, pytest.raises(InvalidInputError, match="replace"):
        delete_route(connection, tenant="acme", name="webhooks", actor="cli")


def test_deleting_what_is_not_there_changes_nothing(world: Any) -> None:
    before = version(world)
    with world.begin() as connection:
        assert not delete_route(connection, tenant="acme", name="nothing", actor="cli")
        assert not delete_route(connection, tenant="acme", name="a\0b", actor="cli")
    assert version(world) == before
    assert world.audit() == []


def test_every_change_makes_caches_look_again_and_leaves_an_audit_row(world: Any) -> None:
    before = version(world)
    put(world)
    put(world, body={"channels": ["email"]})
    with world.begin() as connection:
        delete_route(connection, tenant="acme", name="mine", actor="cli")
    assert version(world) == before + 3
    actions = [(row.action, row.before is None, row.after is None) for row in world.audit()]
    assert actions == [("route.put", True, False), ("route.put", False, False), ("route.delete", False, True)]


def test_the_list_has_shipped_and_own_routes_by_name_page_by_page(world: Any) -> None:
    put(world, "aaa")
    put(world, "zzz")
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        with world.begin() as connection:
            page, cursor = list_routes(connection, tenant="acme", cursor=cursor, limit=10)
        seen += page
        if cursor is None:
            break
    names = [one["name"] for one in seen]
    assert names == sorted(set(names))
    assert [one["name"] for one in seen if one["own"]] == ["aaa", "zzz"]
    assert "webhooks" in names


def test_another_tenants_route_is_not_there(world: Any) -> None:
    put(world)
    with world.begin() as connection:
        assert get_route(connection, tenant="other", name="mine") is None
        assert not delete_route(connection, tenant="other", name="mine", actor="cli")


def test_a_route_that_cannot_be_used_is_refused_by_field(world: Any) -> None:
    with pytest.raises(InvalidInputError) as raised:
        put(world, body={"channels": ["email", "pigeon"]})
    assert raised.value.field == "channels[1]"


def test_a_route_that_an_update_made_unusable_is_shown_with_what_is_wrong(world: Any) -> None:
    put(world)
    world.execute("UPDATE routes SET body = jsonb_set(body, '{template}', '\"gone\"')")
    with world.begin() as connection:
        shown = get_route(connection, tenant="acme", name="mine")
        listed, _ = list_routes(connection, tenant="acme")
    assert shown is not None
    assert shown["problem"].startswith("template: must be one of")
    assert shown in listed
    assert put(world)["template"] is None
