"""What was to be told later is told when its time has come, and not before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.scheduled import show_due

SEND_AT = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
TASK = {"type": "task.completed", "data": {"owner_id": "u1", "task_id": "t1", "task": "Report"}, "send_at": SEND_AT}


@pytest.fixture
def owner(world: Any) -> Any:
    """u1, who owns a task."""
    world.user("u1", email="u1@example.org")
    return world


def arrive(world: Any) -> None:
    """Let the hour pass."""
    world.execute("UPDATE deliveries SET due_at = now() - interval '1 second' WHERE due_at IS NOT NULL")


def show(world: Any) -> list[Any]:
    with world.begin() as connection:
        return show_due(connection, datetime.now(UTC))


def states(world: Any) -> dict[str, tuple[str, str | None]]:
    return {row.channel: (row.status, row.reason) for row in world.execute("SELECT * FROM deliveries")}


def test_until_its_time_has_come_everything_is_held(owner: Any) -> None:
    owner.publish(TASK)
    assert states(owner) == {"email": ("held", "scheduled"), "in_app": ("held", "scheduled")}
    assert show(owner) == []
    assert owner.execute("SELECT status FROM notifications")[0].status == "created"


@pytest.mark.mission("D-4", "C-9")
def test_when_its_time_has_come_it_appears_in_the_inbox(owner: Any) -> None:
    owner.publish(TASK)
    arrive(owner)
    (frame,) = show(owner)
    shown = frame.notification
    assert (frame.tenant, frame.user_id, frame.sequence) == ("acme", "u1", 1)
    assert (shown["event"], shown["status"]) == ("task.completed", "delivered")
    assert [row.sequence for row in owner.execute("SELECT sequence FROM notifications")] == [1]
    assert states(owner)["in_app"] == ("sent", None)
    assert show(owner) == []


def test_when_its_time_has_come_other_channels_are_due_as_always(owner: Any) -> None:
    owner.publish(TASK)
    arrive(owner)
    assert len(owner.send("email")) == 1


@pytest.mark.parametrize(
    ("meanwhile", "ends"),
    [
        pytest.param("UPDATE events SET expires_at = now()", ("expired", "expired"), id="expired"),
        pytest.param(
            "INSERT INTO preferences (id, tenant, user_id, group_name, channels) "
            "VALUES (gen_random_uuid(), 'acme', 'u1', 'task', '{\"in_app\": false}')",
            ("suppressed", "preference"),
            id="opted-out",
            marks=pytest.mark.mission("A-2"),
        ),
        pytest.param(
            "INSERT INTO acknowledgements (tenant, fingerprint, user_id, by_user_id, until) "
            "SELECT tenant, fingerprint, '', 'u2', now() + interval '1 hour' FROM issues",
            ("cancelled", "acknowledged"),
            id="taken-by-somebody",
            marks=pytest.mark.mission("B-15"),
        ),
    ],
)
def test_what_nobody_wants_any_more_does_not_appear(owner: Any, meanwhile: str, ends: tuple[str, str]) -> None:
    owner.publish(TASK)
    owner.execute(meanwhile)
    arrive(owner)
    assert show(owner) == []
    assert states(owner)["in_app"] == ends


def test_what_was_to_be_sent_in_the_past_is_sent_at_once(owner: Any) -> None:
    owner.publish({**TASK, "send_at": "2020-01-01T00:00:00Z"})
    assert states(owner) == {"email": ("queued", None), "in_app": ("sent", None)}
