"""The audit: only ever added to, and read page by page."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import ProgrammingError

from domain.errors import InvalidInputError
from pipeline.audit import record
from pipeline.audit_reading import list_audit
from pipeline.identifiers import cursor_after
from pipeline.users import delete_user


def add(world: Any, subject: str, *, tenant: str = "acme", action: str = "route.put", actor: str = "cli") -> None:
    with world.begin() as connection:
        record(connection, tenant=tenant, actor=actor, action=action, subject=subject, remote="192.0.2.7")


def listed(world: Any, cursor: str | None = None, limit: int = 50, **filters: str) -> list[str]:
    return [entry["subject"] for entry in page(world, cursor, limit, **filters)[0]]


def page(world: Any, cursor: str | None = None, limit: int = 50, **filters: str) -> Any:
    with world.begin() as connection:
        return list_audit(connection, tenant="acme", filters=filters, cursor=cursor, limit=limit)


@pytest.mark.mission("D-36")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE false",
        "TRUNCATE audit",
        "INSERT INTO audit (id, tenant, actor, action, subject) OVERRIDING SYSTEM VALUE SELECT id, tenant, actor, "
        "action, subject FROM audit ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    ],
)
def test_nobody_changes_or_removes_what_was_written(world: Any, statement: str) -> None:
    add(world, "r1")
    with pytest.raises(ProgrammingError, match="the audit is only ever added to"):
        world.execute(statement)
    assert listed(world) == ["r1"]


def test_erasing_a_user_works_and_leaves_the_audit(world: Any) -> None:
    world.user("ada", email="ada@example.org")
    with world.begin() as connection:
        assert delete_user(connection, tenant="acme", user_id="ada", actor="cli")
    assert [entry["action"] for entry in page(world)[0]] == ["user.erase", "user.put"]


@pytest.mark.mission("D-36")
def test_an_entry_says_who_what_when_and_from_where(world: Any) -> None:
    add(world, "r1", actor="key:7")
    ((entry,), following) = page(world)
    assert {**entry, "id": 0, "at": ""} == {
        "id": 0,
        "at": "",
        "actor": "key:7",
        "action": "route.put",
        "subject": "r1",
        "remote_address": "192.0.2.7",
        "before": None,
        "after": None,
    }
    assert entry["at"].endswith("Z")
    assert following is None


def test_the_newest_come_first_and_pages_follow_each_other_without_a_gap(world: Any) -> None:
    with world.begin() as connection:  # at the same moment
        for number in range(3):
            record(connection, tenant="acme", actor="cli", action="route.put", subject=str(number))
    add(world, "3")
    add(world, "4")
    first, cursor = page(world, limit=2)
    second, cursor = page(world, cursor, limit=2)
    third, end = page(world, cursor, limit=2)
    assert [entry["subject"] for entry in (*first, *second, *third)] == ["4", "3", "2", "1", "0"]
    assert end is None


def test_another_tenants_entries_are_not_listed(world: Any) -> None:
    add(world, "theirs", tenant="other")
    assert listed(world) == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"actor": "user:ada"}, ["n1"]),
        ({"action": "route.put"}, ["r1"]),
        ({"action": "route.*"}, ["r1_", "r1"]),
        ({"action": "route_put"}, []),
        ({"subject": "r1"}, ["r1"]),
        ({"subject": "r1_", "actor": "cli"}, ["r1_"]),
        ({"since": "1h"}, ["n1", "r1_", "r1"]),
        ({"since": "2099-01-01T00:00:00Z"}, []),
        ({}, ["n1", "r1_", "r1"]),
    ],
)
def test_what_is_asked_for_is_listed(world: Any, filters: dict[str, str], found: list[str]) -> None:
    add(world, "r1")
    add(world, "r1_", action="route.delete")
    add(world, "n1", action="issue.acknowledge", actor="user:ada")
    assert listed(world, **filters) == found


@pytest.mark.parametrize(
    ("filters", "field"), [({"since": "yesterday"}, "since"), ({"action": "a%"}, "action"), ({"who": "x"}, "who")]
)
def test_a_filter_that_cannot_be_used_is_named(world: Any, filters: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInputError) as problem:
        listed(world, **filters)
    assert problem.value.field == field


@pytest.mark.parametrize(
    "place",
    [
        "x",
        "2026-11-20T09:00:00+00:00",
        "2026-11-20T09:00:00 7",
        "2026-11-20T09:00:00+00:00 99999999999999999999",
        "x 7",
    ],
)
def test_a_cursor_that_no_list_has_answered_is_refused(world: Any, place: str) -> None:
    with pytest.raises(InvalidInputError) as problem:
        listed(world, cursor=cursor_after(place))
    assert problem.value.field == "cursor"


def test_an_index_answers_the_list(world: Any) -> None:
    plan = world.execute(
        "EXPLAIN SELECT id FROM audit WHERE tenant = 'acme' AND at >= now() - interval '1 hour' "
        "ORDER BY tenant DESC, at DESC, id DESC LIMIT 50"
    )
    words = "\n".join(row[0] for row in plan)
    assert "audit_tenant_at" in words
    assert "Sort" not in words
