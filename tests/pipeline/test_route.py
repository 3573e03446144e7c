"""Route: from new events to notifications and deliveries, with a reason for everything that was left out."""

from __future__ import annotations

from typing import Any

import pytest

from config.catalogue import shipped
from pipeline.envelope import parse_many
from pipeline.publish import accept_and_route
from pipeline.route import Bells
from pipeline.routes import put_route
from pipeline.webhooks import put_webhook

BUILT = dict.fromkeys(("email", "telegram", "webhook", "in_app"), True)
CUSTOMER = "0191f2a0-0000-7000-8000-000000000001"
SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "shop", "days_left": 7}}
NAMED = {"type": "order.created", "severity": "low", "data": {"order": "1"}}
TASK = {"type": "task.completed", "data": {"owner_id": "u1", "task_id": "t1", "task": "Report"}}


@pytest.fixture
def team(world: Any) -> Any:
    """u1 (email and Telegram) and u2 (email) of the role that the shipped routes tell of certificates."""
    world.user("u1", email="u1@example.org", telegram_chat_id="7", roles=["operations"], name="Ute")
    world.user("u2", email="u2@example.org", roles=["operations"])
    return world


def publish(world: Any, *events: dict[str, Any], built: dict[str, bool] = BUILT) -> Bells:
    parsed = parse_many(list(events), tenant="acme", catalogue=shipped().event_types)
    with world.begin() as connection:
        return accept_and_route(connection, world.directory.look_up(connection, ["acme"]), parsed, built)[1]


def told(world: Any) -> dict[str | None, set[str]]:
    """The channels by recipient; None are the tenant's own webhooks."""
    rows = world.execute(
        "SELECT n.recipient, d.channel FROM deliveries d LEFT JOIN notifications n ON n.id = d.notification_id"
    )
    return {row.recipient: {other.channel for other in rows if other.recipient == row.recipient} for row in rows}


def hook(world: Any, user_id: str | None = None, name: str = "hook", events: tuple[str, ...] = ()) -> None:
    body = {"url": f"https://hooks.example.org/{user_id}/{name}", "events": list(events)}
    with world.begin() as connection:
        put_webhook(connection, tenant="acme", user_id=user_id, name=name, body=body, actor="cli")


@pytest.mark.mission("B-1", "B-8", "C-2", "A-11")
def test_the_shipped_routes_tell_operations_of_a_certificate_on_every_channel_they_have(team: Any) -> None:
    publish(team, SSL)
    assert told(team) == {"u1": {"email", "telegram", "in_app"}, "u2": {"email", "in_app"}}


def test_what_came_too_late_appears_in_no_inbox(team: Any) -> None:
    bells = publish(team, {**SSL, "expires_at": "2026-01-01T00:00:00Z"})
    assert bells.frames == []
    rows = team.execute("SELECT status, reason FROM deliveries WHERE channel = 'in_app'")
    assert {(row.status, row.reason) for row in rows} == {("expired", "expired")}
    shown = team.execute("SELECT FROM notifications WHERE sequence IS NOT NULL OR status <> 'created'")
    assert shown == []
    counted = team.execute("SELECT channel, status, count AS n FROM statistics WHERE reason = 'expired'")
    assert [(row.channel, row.status, row.n) for row in counted] == [("in_app", "expired", 2)]


@pytest.mark.mission("B-1")
def test_severity_decides_over_the_channels(team: Any) -> None:
    publish(team, {**SSL, "severity": "low"})
    assert told(team)["u1"] == {"email", "in_app"}


@pytest.mark.mission("C-4", "C-3")
def test_a_message_is_told_to_all_participants_except_who_wrote_it(world: Any) -> None:
    for user in ("u1", "u2", "u3"):
        world.user(user, email=f"{user}@example.org")
    data = {"participants": ["u1", "u2", "u3"], "text": "hello", "sender": "Ute"}
    publish(world, {"type": "conversation.message_posted", "actor_id": "u2", "data": data})
    assert set(told(world)) == {"u1", "u3"}
    assert {"recipient": "u2", "channel": None, "reason": "is_actor"} in world.execute("SELECT skipped FROM events")[
        0
    ].skipped


@pytest.mark.mission("A-12", "A-13")
def test_customers_and_operations_are_told_of_the_same_order_each_as_what_they_are(world: Any) -> None:
    world.user("buyer", email="buyer@example.org", customers=[CUSTOMER])
    world.user("op", email="op@example.org", roles=["operations"])
    data = {"order_id": "1", "order_number": "7", "customer": "Ana", "items": [{"name": "Disk", "quantity": 2}]}
    publish(world, {"type": "order.created", "customer_id": CUSTOMER, "data": data})
    rows = world.execute("""
        SELECT n.recipient, audience, n.customer_id::text AS customer, title, content, d.template
        FROM notifications n JOIN deliveries d ON d.notification_id = n.id AND channel = 'email' ORDER BY 1
    """)
    assert [(row.recipient, row.audience, row.customer, row.title, row.template) for row in rows] == [
        ("buyer", "customer", CUSTOMER, "Order 7 received", "order.created"),
        ("op", "admin", CUSTOMER, "New order 7 from Ana", "order.placed"),
    ]
    assert all("2 × Disk" in row.content for row in rows)


@pytest.mark.mission("C-5", "C-3")
def test_a_tenants_own_route_tells_of_any_event_with_its_priority_and_template(team: Any) -> None:
    body = {
        "match": {"event": "door.*"},
        "recipients": {"resolver": "payload", "path": "data.guard"},
        "channels": ["telegram"],
        "priority": "high",
        "template": "ssl_expiry",
    }
    with team.begin() as connection:
        put_route(connection, tenant="acme", name="doors", body=body, actor="cli")
    publish(team, {"type": "door.open", "data": {"guard": "u1"}})
    (row,) = team.execute("SELECT channel, address, template, priority FROM deliveries")
    assert (row.channel, row.address, row.template, row.priority) == ("telegram", "7", "ssl_expiry", 2)


def test_a_notification_says_in_words_what_happened(team: Any) -> None:
    publish(team, SSL)
    (row, _) = team.execute("SELECT * FROM notifications ORDER BY recipient")
    assert row.title == "The certificate of shop expires in 7 days"
    assert (row.event, row.group_name, row.severity, row.priority) == ("ssl_expiry", "obligations", "high", "high")


def test_every_word_of_a_notification_is_its_own_recipients(team: Any) -> None:
    publish(team, {"type": "unheard.of", "recipients": ["u1", {"email": "ops@example.org"}]})
    links = {row.recipient: row.link_url for row in team.execute("SELECT recipient, link_url FROM notifications")}
    assert links["u1"].endswith("/inbox")
    assert links["o•••@example.org"] is None


@pytest.mark.mission("A-2", "E-39")
def test_what_was_left_out_is_stored_with_its_reason_and_counted(team: Any) -> None:
    team.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, channels) "
        "VALUES (gen_random_uuid(), 'acme', 'u2', 'obligations', '{\"email\": false, \"in_app\": false}')"
    )
    publish(team, SSL)
    assert sorted(
        (one["recipient"], one["channel"] or "", one["reason"])
        for one in team.execute("SELECT skipped FROM events")[0].skipped
    ) == [
        ("u1", "webhook", "no_webhooks_configured"),
        ("u2", "", "no_enabled_channels"),
        ("u2", "email", "preference"),
        ("u2", "in_app", "preference"),
        ("u2", "telegram", "no_address"),
        ("u2", "webhook", "no_webhooks_configured"),
    ]
    rows = team.execute("SELECT channel, reason, count FROM statistics WHERE status = 'skipped' ORDER BY 1, 2")
    assert [(row.channel, row.reason, row[2]) for row in rows] == [
        ("", "no_enabled_channels", 1),
        ("email", "preference", 1),
        ("in_app", "preference", 1),
        ("telegram", "no_address", 1),
        ("webhook", "no_webhooks_configured", 2),
    ]


@pytest.mark.mission("B-8")
def test_every_route_leaves_a_reason(team: Any) -> None:
    publish(team, SSL)
    (row,) = team.execute("SELECT r.routes FROM events e JOIN routings r ON r.id = e.routing_id")
    reasons = {one["name"]: (one["matched"], one["reason"]) for one in row.routes}
    assert reasons["ssl-to-operations"] == (True, None)
    assert reasons["ssl-notices-to-operations"] == (False, "severity_mismatch")
    assert reasons["task-failed"] == (False, "event_mismatch")
    assert set(reasons) == {route.name for route in shipped().routes}


@pytest.mark.mission("A-4", "C-9")
def test_the_inbox_has_it_the_moment_it_is_stored(team: Any) -> None:
    bells = publish(team, TASK)
    (row,) = team.execute("SELECT status, sent_at, due_at FROM deliveries WHERE channel = 'in_app'")
    assert (row.status, row.sent_at is not None, row.due_at) == ("sent", True, None)
    assert [(one.tenant, one.user_id, one.sequence, one.notification["event"]) for one in bells.frames] == [
        ("acme", "u1", 1, "task.completed")
    ]
    assert team.execute("SELECT status FROM notifications")[0].status == "delivered"


@pytest.mark.mission("D-17")
def test_the_frame_for_live_clients_is_the_notification_as_it_is_stored(team: Any) -> None:
    from pipeline.notification import COLUMNS, notification_of

    frame = publish(team, TASK).frames[0].notification
    (row,) = team.execute(f"SELECT {COLUMNS} FROM notifications n")
    assert frame | {"created_at": None} == notification_of(row) | {"created_at": None}
    assert frame["created_at"].endswith("Z")


@pytest.mark.mission("D-17", "A-32")
def test_every_inbox_is_numbered_from_one_without_gaps_in_the_order_of_what_happened(world: Any) -> None:
    for user in ("u1", "u2"):
        world.user(user, email=f"{user}@example.org")
    for number in range(3):
        told = ["u1", "u2"] if number else ["u1"]
        publish(world, *({**NAMED, "data": {"n": f"{number}-{one}"}, "recipients": told} for one in range(3)))
    rows = world.execute("SELECT user_id, sequence FROM notifications ORDER BY id")
    numbers: dict[str, list[int]] = {}
    for row in rows:
        numbers.setdefault(row.user_id, []).append(row.sequence)
    assert numbers == {"u1": list(range(1, 10)), "u2": list(range(1, 7))}


def test_what_is_not_shown_in_the_app_has_no_number_in_the_inbox(world: Any) -> None:
    world.user("u1", email="u1@example.org")
    world.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, channels) "
        "VALUES (gen_random_uuid(), 'acme', 'u1', 'order', '{\"in_app\": false}')"
    )
    publish(world, {**NAMED, "recipients": ["u1"]})
    assert [row.sequence for row in world.execute("SELECT sequence FROM notifications")] == [None]


def test_bells_name_what_is_due_by_channel(team: Any) -> None:
    bells = publish(team, SSL)
    due = {
        str(row.id): row.channel for row in team.execute("SELECT id, channel FROM deliveries WHERE status = 'queued'")
    }
    assert {id_: channel for channel, ids in bells.due.items() for id_ in ids} == due


@pytest.mark.mission("A-27")
def test_a_channel_without_provider_waits_as_queued_and_rings_no_bell(team: Any) -> None:
    bells = publish(team, TASK, built=BUILT | {"email": False})
    (row,) = team.execute("SELECT status, reason, due_at FROM deliveries WHERE channel = 'email'")
    assert (row.status, row.reason, row.due_at is not None) == ("queued", "no_provider", True)
    assert bells.due == {}


@pytest.mark.mission("B-5", "E-37")
def test_the_tenants_webhook_gets_one_delivery_an_event_and_a_users_one_a_notification(team: Any) -> None:
    hook(team)
    hook(team, "u1")
    publish(team, SSL)
    rows = team.execute(
        "SELECT n.recipient, d.address, d.name FROM deliveries d LEFT JOIN notifications n ON n.id = d.notification_id "
        "WHERE d.channel = 'webhook' ORDER BY 1 NULLS FIRST"
    )
    assert [(row.recipient, row.address, row.name) for row in rows] == [
        (None, "https://hooks.example.org/None/hook", "hook"),
        ("u1", "https://hooks.example.org/u1/hook", "hook"),
    ]


@pytest.mark.mission("E-37")
def test_several_endpoints_hear_of_the_same_event_and_only_of_what_they_asked_for(world: Any) -> None:
    hook(world, name="all")
    hook(world, name="billing", events=("billing.*",))
    hook(world, name="ssl", events=("ssl_*", "x"))
    publish(world, SSL)
    assert {row.name for row in world.execute("SELECT name FROM deliveries")} == {"all", "ssl"}


@pytest.mark.mission("B-15")
def test_what_waits_of_an_issue_is_withdrawn_when_it_is_resolved(team: Any) -> None:
    publish(team, SSL)
    team.send("telegram")
    publish(team, {**SSL, "status": "resolved"})
    rows = team.execute(
        "SELECT e.condition, d.channel, d.status, d.reason FROM deliveries d JOIN events e ON e.id = d.event_id "
        "WHERE d.channel <> 'in_app' ORDER BY 1, 2, d.address"
    )
    assert [tuple(row) for row in rows] == [
        ("firing", "email", "cancelled", "resolved"),
        ("firing", "email", "cancelled", "resolved"),
        ("firing", "telegram", "sent", None),
        ("resolved", "email", "queued", None),
        ("resolved", "email", "queued", None),
        ("resolved", "telegram", "queued", None),
    ]


@pytest.mark.mission("D-31")
def test_many_issues_resolved_in_one_batch_are_all_withdrawn(team: Any) -> None:
    hosts = [{**SSL, "data": {"host": f"h{number}"}} for number in range(5)]
    publish(team, *hosts)
    publish(team, *({**one, "status": "resolved"} for one in hosts[:4]))
    rows = team.execute("SELECT status, count(*) AS n FROM deliveries WHERE channel = 'email' GROUP BY 1 ORDER BY 1")
    assert [(row.status, row.n) for row in rows] == [("cancelled", 8), ("queued", 10)]


def test_an_issue_resolved_in_the_batch_that_opened_it_sends_only_that_it_is_over(team: Any) -> None:
    publish(team, SSL, {**SSL, "status": "resolved"})
    rows = team.execute(
        "SELECT e.condition, d.status FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.channel = 'email'"
    )
    assert {tuple(row) for row in rows} == {("firing", "cancelled"), ("resolved", "queued")}


def test_an_event_of_a_secret_field_shows_it_in_no_notification(world: Any) -> None:
    world.user("u1", email="u1@example.org", roles=["operations"], customers=[CUSTOMER])
    data = {"provisioning_id": "p", "service": "VM", "address": "10.0.0.7", "username": "root", "password": "s3cr3t"}
    publish(world, {"type": "provisioning.completed", "customer_id": CUSTOMER, "data": data})
    (row,) = world.execute("SELECT title, content FROM notifications")
    assert "10.0.0.7" in row.content
    assert "s3cr3t" not in row.title + row.content
