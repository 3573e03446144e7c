"""What reached which end, without counting over a table."""

from __future__ import annotations

from typing import Any

import pytest

from domain import verdict

SCHEDULE = (60, 300)


def counted(world: Any) -> dict[tuple[str, str, str], int]:
    rows = world.execute("SELECT channel, status, reason, sum(count)::int AS n FROM statistics GROUP BY 1, 2, 3")
    return {(row.channel, row.status, row.reason): row.n for row in rows if row.status != "skipped"}


@pytest.mark.mission("D-32", "E-41")
def test_every_end_of_a_delivery_is_counted_by_channel_status_and_reason(world: Any) -> None:
    world.user("u1", email="u1@example.org")
    for number in range(3):
        world.publish({"type": "task.completed", "data": {"owner_id": "u1", "task_id": f"t{number}"}})
    assert counted(world) == {("in_app", "sent", ""): 3}
    world.settle("email", verdict.failed(0, SCHEDULE, 0.0, None))
    world.execute("UPDATE deliveries SET due_at = now() WHERE due_at IS NOT NULL")
    world.settle("email", verdict.sent(1))
    assert counted(world) == {("in_app", "sent", ""): 3, ("email", "failed", "retry"): 3, ("email", "sent", ""): 3}


def test_counts_of_an_hour_add_up_in_one_row(world: Any) -> None:
    world.user("u1", email="u1@example.org")
    for number in range(3):
        world.publish({"type": "task.completed", "data": {"owner_id": "u1", "task_id": f"t{number}"}})
    rows = world.execute("SELECT hour FROM statistics WHERE status = 'sent'")
    assert [(row.hour.minute, row.hour.second) for row in rows] == [(0, 0)]
