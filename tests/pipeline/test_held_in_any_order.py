"""Whatever happens in whatever order, what is held is told exactly once or ends with a reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.digest import gather
from pipeline.directory import Directory
from pipeline.preferences import put_preferences
from pipeline.setup import ensure_tenant
from tests.support.emptied import empty

STEPS = st.lists(
    st.sampled_from(
        ["publish", "repeat", "resolve", "critical", "read", "daily", "instant", "off", "on", "night", "day", "gather"]
    ),
    min_size=3,
    max_size=12,
)
TOLD = {"queued", "processing", "sent"}


def step(world: Any, name: str, number: int) -> None:
    """One thing that happens."""
    certificate: dict[str, Any] = {"type": "ssl_expiry", "severity": "low", "data": {"host": f"h{number}"}}
    match name:
        case "publish":
            world.publish(certificate)
        case "repeat":
            world.publish({**certificate, "data": {"host": "same"}})
        case "critical":
            world.publish({**certificate, "severity": "critical"})
        case "resolve":
            world.publish({**certificate, "data": {"host": "same"}, "status": "resolved"})
        case "read":
            world.execute("UPDATE notifications SET read_at = now() WHERE read_at IS NULL")
        case "daily" | "instant":
            prefer(world, {"group": "obligations", "cadence": name})
        case "off" | "on":
            prefer(world, {"group": "obligations", "channels": {"email": name == "on"}})
        case "night":
            world.user("ana", quiet_hours={"from": "00:00", "to": "23:59"})
        case "day":
            world.user("ana", quiet_hours=None)
        case "gather":
            morning(world)


def prefer(world: Any, entry: dict[str, Any]) -> None:
    with world.begin() as connection:
        put_preferences(
            connection, tenant="acme", user_id="ana", customers=(), body={"preferences": [entry]}, actor="user:ana"
        )


def morning(world: Any) -> None:
    """Everything that is held comes due, and a round is made."""
    world.execute("UPDATE holds SET release_at = now() - interval '1 second'")
    with world.begin() as connection:
        gather(connection)


@pytest.mark.mission("B-16")
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_each_is_told_once_or_ends_with_a_reason(world: Any, steps: list[str]) -> None:
    with world.begin() as connection:  # one database, emptied for every example
        empty(connection)
        ensure_tenant(connection, "acme")
    world.directory = Directory()
    world.user("ana", email="ana@example.org", roles=["operations"])
    prefer(world, {"group": "obligations", "cadence": "daily"})
    for number, name in enumerate(steps):
        step(world, name, number)
        held = world.execute(
            "SELECT count(*) AS held, (SELECT count(*) FROM holds) AS holds FROM deliveries WHERE status = 'held'"
        )
        assert held[0].held == held[0].holds
    morning(world)
    rows = world.execute(
        "SELECT d.id::text, d.status, d.reason, d.due_at, d.folded_into::text, e.type FROM deliveries d"
        " JOIN events e ON e.id = d.event_id WHERE d.channel = 'email'"
    )
    by_id = {row.id: row for row in rows}
    for row in rows:
        assert row.status != "held"
        if row.status in TOLD:
            assert row.due_at is not None
        elif row.folded_into is not None:
            carrier = by_id[row.folded_into]
            # Whoever carries others may be withdrawn before it is sent, and takes them along (pipeline/fold.py).
            assert carrier.status in TOLD or carrier.reason == "resolved"
            assert (row.status, row.reason) == ("cancelled", "folded")
        else:
            assert row.reason in {"seen", "resolved", "preference", "acknowledged"}
    digests = [row for row in rows if row.type == "digest"]
    carried = Counter(row.folded_into for row in rows if row.folded_into)
    assert all(carried[row.id] for row in digests)
