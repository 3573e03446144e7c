"""Deliver: claim under a lease, look once more, say it, settle what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import text

from domain import verdict
from domain.states import DeliveryStatus
from domain.verdict import Verdict
from domain.vocabulary import Outcome, Reason, UnknownPolicy
from pipeline.claim import Claim, claim, claim_alone
from pipeline.deliver import address, look_again, message, webhook_body
from pipeline.sealing import opened
from pipeline.settle import Result, settle
from pipeline.users import put_user
from pipeline.webhooks import delete_webhook, put_webhook, rotate_webhook
from tests.support.waiting import wait_until

CUSTOMER = "0191f2a0-0000-7000-8000-000000000001"
SCHEDULE = (60, 300, 900, 1800, 3600)
SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "shop", "days_left": 7}}


@pytest.fixture
def ops(world: Any) -> Any:
    """u1, whom the shipped routes tell of certificates by email and Telegram."""
    world.user("u1", email="u1@example.org", telegram_chat_id="7", roles=["operations"])
    return world


def ssl(number: int, **fields: Any) -> dict[str, Any]:
    return {**SSL, "data": {"host": f"h{number}"}, **fields}


def take(world: Any, channel: str = "email", most: int = 100, lease: float = 30.0) -> Claim:
    with world.begin() as connection:
        taken = claim(connection, channel, most, lease, monotonic())
        return taken if taken.rows else claim_alone(connection, channel, lease, monotonic())


def store(world: Any, token: int, *results: Result) -> dict[str, str]:
    with world.begin() as connection:
        return settle(connection, token, results)


def result(row: Any, found: Verdict, **fields: Any) -> Result:
    return Result(row.id, found, "smtp", datetime(2026, 11, 20, tzinfo=UTC), 12, **fields)


def finish(world: Any, found: Verdict, channel: str = "email", **fields: Any) -> Any:
    """Claim the one delivery that is due, settle it and return its row."""
    taken = take(world, channel)
    (row,) = taken.rows
    assert store(world, taken.token, result(row, found, **fields)) == {row.id: found.status}
    return delivery(world, row.id)


def delivery(world: Any, delivery_id: str) -> Any:
    return world.execute("SELECT * FROM deliveries WHERE id = cast(:id AS uuid)", id=delivery_id)[0]


def attempts(world: Any) -> list[tuple[int, str]]:
    return [(row.number, row.outcome) for row in world.execute("SELECT * FROM attempts ORDER BY delivery_id, number")]


def let_due(world: Any) -> None:
    world.execute("UPDATE deliveries SET due_at = now() WHERE due_at IS NOT NULL")


def lose_leases(world: Any) -> None:
    """As after the crash of every worker."""
    world.execute("UPDATE deliveries SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")


@pytest.mark.mission("B-9")
def test_a_claim_takes_what_is_due_and_holds_it_under_a_lease(ops: Any) -> None:
    ops.publish(SSL)
    (row,) = take(ops).rows
    now = delivery(ops, row.id)
    assert (now.status, now.reason, now.lease_token is not None) == ("processing", None, True)
    assert take(ops).rows == []


@pytest.mark.mission("D-31")
def test_a_claim_takes_no_more_than_there_is_room_for(ops: Any) -> None:
    ops.publish(*(ssl(number) for number in range(5)))
    assert [len(take(ops, most=3).rows), len(take(ops, most=3).rows)] == [3, 2]


@pytest.mark.mission("C-3")
def test_the_most_urgent_go_first_and_then_the_oldest(ops: Any) -> None:
    types = ("digest", "task.failed", "ssl_failure", "obligation_due")
    data = {"owner_id": "u1", "host": "h", "period": "daily", "from": "x", "obligation_id": "o", "task_id": "t"}
    for kind in types:
        ops.publish({"type": kind, "data": data})
    ops.execute("UPDATE deliveries SET due_at = now() - interval '1 minute' WHERE priority = 1")
    ops.publish(ssl(1), ssl(2))
    ops.execute(
        "UPDATE deliveries d SET due_at = now() - interval '1 hour' FROM events e "
        "WHERE e.id = d.event_id AND e.data->>'host' = 'h2' AND d.due_at IS NOT NULL"
    )
    order = [take(ops, most=1).rows[0] for _ in range(6)]
    assert [row.type for row in order] == [
        "ssl_failure",
        "ssl_expiry",
        "task.failed",
        "ssl_expiry",
        "obligation_due",
        "digest",
    ]
    assert json.loads(order[1].data_json) == {"host": "h2"}


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        pytest.param("due_at = now() + interval '1 minute'", 0, id="not-due-yet"),
        pytest.param("channel = 'telegram'", 0, id="another-channel"),
        pytest.param("status = 'cancelled', due_at = NULL", 0, id="cancelled"),
        pytest.param("status = 'held'", 1, id="held-until-now"),
        pytest.param("reason = 'no_provider'", 1, id="waited-for-a-provider"),
    ],
)
def test_a_claim_takes_only_what_is_due_on_its_channel(ops: Any, change: str, taken: int) -> None:
    ops.publish(SSL)
    ops.execute("DELETE FROM deliveries WHERE channel <> 'email'")
    ops.execute(f"UPDATE deliveries SET {change}")
    assert len(take(ops).rows) == taken


@pytest.mark.mission("D-4")
def test_claims_of_many_workers_at_once_never_overlap(ops: Any) -> None:
    ops.publish(*(ssl(number) for number in range(120)))
    ready = Barrier(4)

    def work(_: int) -> list[str]:
        ready.wait(10)
        ids: list[str] = []
        while rows := take(ops, most=7).rows:
            ids += [row.id for row in rows]
        return ids

    with ThreadPoolExecutor(4) as workers:
        found = [id_ for ids in workers.map(work, range(4)) for id_ in ids]
    assert len(found) == len(set(found)) == 120


@pytest.mark.mission("A-27", "B-9", "B-11", "B-12")
@pytest.mark.parametrize(
    ("found", "status", "reason", "due", "outcome"),
    [
        pytest.param(verdict.sent(0), "sent", None, None, "sent", id="sent"),
        pytest.param(verdict.sent(0, preview=True), "sent", "preview", None, "sent", id="sent-to-preview"),
        pytest.param(verdict.failed(0, SCHEDULE, 0.0, None), "failed", "retry", 60, "failed", id="failed"),
        pytest.param(verdict.failed(1, SCHEDULE, 0.0, None), "failed", "retry", 300, "failed", id="failed-again"),
        pytest.param(
            verdict.failed(5, SCHEDULE, 0.0, None), "dead_letter", "retries_exhausted", None, "failed", id="exhausted"
        ),
        pytest.param(verdict.refused(0), "dead_letter", "refused", None, "refused", id="refused"),
        pytest.param(
            verdict.unknown(0, SCHEDULE, 0.0, UnknownPolicy.RESEND), "failed", "retry", 60, "unknown", id="unknown"
        ),
        pytest.param(
            verdict.unknown(0, SCHEDULE, 0.0, UnknownPolicy.PARK),
            "dead_letter",
            "outcome_unknown",
            None,
            "unknown",
            id="parked",
        ),
        pytest.param(verdict.postponed(0, Reason.BREAKER_OPEN, 30), "queued", "breaker_open", 30, None, id="postponed"),
        pytest.param(
            verdict.withdrawn(0, DeliveryStatus.EXPIRED, Reason.EXPIRED), "expired", "expired", None, None, id="expired"
        ),
    ],
)
def test_what_came_of_it_is_stored(
    ops: Any, found: Verdict, status: str, reason: str | None, due: int | None, outcome: str | None
) -> None:
    ops.publish(SSL)
    finish(ops, found)
    (row,) = ops.execute(
        "SELECT status, reason, round(extract(epoch FROM due_at - now())) AS due, lease_token, lease_until "
        "FROM deliveries WHERE channel = 'email'"
    )
    assert (row.status, row.reason, row.lease_token, row.lease_until) == (status, reason, None, None)
    assert row.due is None if due is None else abs(row.due - due) <= 1
    assert attempts(ops) == ([(1, outcome)] if outcome else [])


@pytest.mark.mission("A-27")
def test_each_status_has_its_time(ops: Any) -> None:
    ops.publish(SSL)
    failed = finish(ops, verdict.failed(0, SCHEDULE, 0.0, None))
    assert (failed.failed_at is not None, failed.sent_at) == (True, None)
    let_due(ops)
    sent = finish(ops, verdict.sent(1))
    assert (sent.sent_at > sent.failed_at, sent.failed_at) == (True, failed.failed_at)


@pytest.mark.mission("E-24", "B-11")
def test_every_attempt_is_recorded_under_its_number(ops: Any) -> None:
    ops.publish(SSL)
    for failures in range(6):
        let_due(ops)
        finish(ops, verdict.failed(failures, SCHEDULE, 0.0, None), detail=f"HTTP 50{failures}")
    rows = ops.execute("SELECT number, outcome, detail, provider, duration_ms FROM attempts ORDER BY number")
    assert [tuple(row) for row in rows] == [
        (number + 1, "failed", f"HTTP 50{number}", "smtp", 12) for number in range(6)
    ]
    assert [row.status for row in ops.execute("SELECT status FROM deliveries WHERE channel = 'email'")] == [
        "dead_letter"
    ]


@pytest.mark.mission("B-12")
def test_a_dead_letter_is_kept_with_its_cause(ops: Any) -> None:
    ops.publish(SSL)
    row = finish(ops, verdict.refused(0), detail="550 no such user")
    (letter,) = ops.execute("SELECT * FROM dead_letters")
    assert (letter.delivery_id, letter.tenant, letter.channel, letter.event) == (row.id, "acme", "email", "ssl_expiry")
    assert (letter.reason, letter.detail, letter.announced_at) == ("refused", "550 no such user", None)


def test_whatever_the_other_side_says_can_be_stored(ops: Any) -> None:
    ops.publish(SSL)
    finish(ops, verdict.sent(0), detail="250 ok\x00\ud800\r\nü", message_id="<a\x00b>", moved_to="7\ud800")
    (row,) = ops.execute("SELECT detail, message_id FROM attempts")
    assert (row.detail, row.message_id) == ("250 ok?\r\nü", "<ab>")


@pytest.mark.mission("C-9", "E-41")
@pytest.mark.parametrize(
    ("found", "status"), [(verdict.sent(0), "delivered"), (verdict.refused(0), "created")], ids=["sent", "refused"]
)
def test_a_notification_is_delivered_when_any_of_its_deliveries_is_sent(ops: Any, found: Verdict, status: str) -> None:
    ops.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, channels) "
        "VALUES (gen_random_uuid(), 'acme', 'u1', 'obligations', '{\"in_app\": false}')"
    )
    ops.publish(SSL)
    assert ops.execute("SELECT status FROM notifications")[0].status == "created"
    finish(ops, found)
    assert ops.execute("SELECT status FROM notifications")[0].status == status


@pytest.mark.mission("D-4")
def test_a_worker_that_lost_its_lease_changes_nothing(ops: Any) -> None:
    ops.publish(SSL)
    slow = take(ops)
    lose_leases(ops)
    quick = take(ops)
    assert store(ops, slow.token, result(slow.rows[0], verdict.refused(0))) == {}
    assert store(ops, quick.token, result(quick.rows[0], verdict.sent(0))) == {quick.rows[0].id: "sent"}
    assert attempts(ops) == [(1, "lost"), (2, "sent")]
    assert ops.execute("SELECT FROM dead_letters") == []


def test_a_lease_that_ran_out_but_was_taken_by_nobody_still_settles(ops: Any) -> None:
    ops.publish(SSL)
    slow = take(ops)
    lose_leases(ops)
    assert store(ops, slow.token, result(slow.rows[0], verdict.sent(0))) == {slow.rows[0].id: "sent"}


def test_settling_twice_counts_once(ops: Any) -> None:
    ops.publish(SSL)
    taken = take(ops)
    sent = result(taken.rows[0], verdict.sent(0))
    assert (len(store(ops, taken.token, sent)), len(store(ops, taken.token, sent))) == (1, 0)
    assert attempts(ops) == [(1, "sent")]


def test_settling_locks_in_the_order_of_ids_so_that_nobody_waits_in_a_circle(ops: Any) -> None:
    """Somebody has the last one. Whoever settles all of them, in any order, must have the others while he waits."""
    ops.publish(*(ssl(number) for number in range(4)))
    ops.execute(  # as many as it takes to have them looked up one by one
        "INSERT INTO deliveries (id, tenant, event_id, channel, address, template, priority, status) "
        "SELECT gen_random_uuid(), 'acme', gen_random_uuid(), 'email', 'a', 'default', 1, 'sent' "
        "FROM generate_series(1, 3000)"
    )
    ops.execute("ANALYZE deliveries")
    taken = take(ops)
    first, *_, last = sorted(row.id for row in taken.rows)
    results = [result(row, verdict.sent(0)) for row in sorted(taken.rows, key=lambda row: row.id, reverse=True)]
    with ThreadPoolExecutor(1) as thread, ops.begin() as connection:
        lock = text("SELECT FROM deliveries WHERE id = cast(:id AS uuid) FOR UPDATE SKIP LOCKED")
        assert connection.execute(lock, {"id": last}).rowcount == 1
        settling = thread.submit(store, ops, taken.token, *results)
        wait_until(lambda: ops.execute("SELECT FROM pg_locks WHERE NOT granted"), "the settling to wait")
        assert connection.execute(lock, {"id": first}).rowcount == 0
        connection.rollback()
        assert len(settling.result(10)) == 4


def test_settling_nothing_asks_nothing(ops: Any) -> None:
    with ops.begin() as connection:
        connection.close()
        assert settle(connection, 1, []) == {}


@pytest.mark.mission("A-26")
def test_a_delivery_whose_worker_died_is_claimed_again_and_the_crash_is_recorded(ops: Any) -> None:
    ops.publish(SSL)
    take(ops)
    assert take(ops).rows == []
    lose_leases(ops)
    (row,) = take(ops).rows
    assert (row.was_lost, row.crashes) == (True, 1)
    assert attempts(ops) == [(1, "lost")]


@pytest.mark.mission("A-26", "B-12")
def test_the_third_crash_makes_it_a_dead_letter(ops: Any) -> None:
    ops.publish(SSL)
    found = None
    for _ in range(4):
        lose_leases(ops)
        taken = take(ops)
        (row,) = taken.rows
        found = verdict.lost(row.crashes, row.failures, UnknownPolicy.RESEND) if row.was_lost else None
    assert found is not None
    store(ops, taken.token, Result(row.id, found))
    assert attempts(ops) == [(number, Outcome.LOST) for number in (1, 2, 3)]
    assert [(one.reason, one.delivery_id) for one in ops.execute("SELECT * FROM dead_letters")] == [
        ("worker_lost", delivery(ops, row.id).id)
    ]


def test_what_a_process_died_with_twice_is_taken_alone(ops: Any) -> None:
    ops.publish(*({**SSL, "data": {"host": host}} for host in "abc"))
    assert len(take(ops).rows) == 3
    lose_leases(ops)
    assert len(take(ops).rows) == 3
    lose_leases(ops)
    assert [len(take(ops).rows) for _ in range(4)] == [1, 1, 1, 0]


def test_a_retry_is_no_crash(ops: Any) -> None:
    ops.publish(SSL)
    finish(ops, verdict.failed(0, SCHEDULE, 0.0, None))
    let_due(ops)
    (row,) = take(ops).rows
    assert (row.was_lost, row.crashes, row.failures) == (False, 0, 1)


@pytest.mark.mission("B-3")
def test_a_chat_that_moved_is_found_at_its_new_address_from_then_on(ops: Any) -> None:
    ops.publish(ssl(1), ssl(2))
    taken = take(ops, "telegram")
    first, second = taken.rows
    store(ops, taken.token, result(first, verdict.sent(0), moved_to="-100200"))
    store(ops, taken.token, result(second, verdict.failed(0, SCHEDULE, 0.0, None)))
    let_due(ops)
    (again,) = take(ops, "telegram").rows
    assert address(again, "telegram", datetime.now(UTC)).value == "-100200"


def test_two_deliveries_that_learn_of_the_same_move_agree(ops: Any) -> None:
    ops.publish(ssl(1), ssl(2))
    taken = take(ops, "telegram")
    moved = [result(row, verdict.sent(0), moved_to="-100200") for row in taken.rows]
    assert len(store(ops, taken.token, *moved)) == 2
    assert [row.moved_to for row in ops.execute("SELECT moved_to FROM moved_addresses")] == ["-100200"]


def test_what_a_preview_would_have_sent_is_kept(ops: Any) -> None:
    ops.publish(SSL)
    (row,) = take(ops).rows
    shown = {
        "delivery_id": row.id,
        "tenant": "acme",
        "channel": "email",
        "address": "u1@example.org",
        "title": "A title",
        "text": "a text",
        "html": "<p>a text</p>",
    }
    lose_leases(ops)
    taken = take(ops)
    store(ops, taken.token, result(row, verdict.sent(0, preview=True), preview=shown))
    (kept,) = ops.execute("SELECT channel, title, text, html FROM previews")
    assert tuple(kept) == ("email", "A title", "a text", "<p>a text</p>")


def acknowledged(user_id: str) -> str:
    return (
        "INSERT INTO acknowledgements (tenant, fingerprint, user_id, by_user_id, until) "
        f"SELECT tenant, fingerprint, '{user_id}', 'u9', now() + interval '1 hour' FROM issues"
    )


OPTED_OUT = (
    "INSERT INTO preferences (id, tenant, user_id, group_name, channels) "
    "VALUES (gen_random_uuid(), 'acme', 'u1', '{group}', '{{\"email\": false}}')"
)


@pytest.mark.parametrize(
    ("meanwhile", "ends"),
    [
        pytest.param("SELECT", None, id="nothing"),
        pytest.param("UPDATE events SET expires_at = now()", ("expired", "expired"), id="expired"),
        pytest.param("UPDATE events SET expires_at = now() + interval '1 hour'", None, id="not-expired-yet"),
        pytest.param(acknowledged(""), ("cancelled", "acknowledged"), id="taken-for-all"),
        pytest.param(acknowledged("u1"), ("cancelled", "acknowledged"), id="taken-by-himself"),
        pytest.param(acknowledged("u2"), None, id="taken-by-another-for-himself"),
        pytest.param(OPTED_OUT.format(group="obligations"), ("suppressed", "preference"), id="opted-out"),
        pytest.param(OPTED_OUT.format(group="billing"), None, id="opted-out-of-something-else"),
    ],
)
@pytest.mark.mission("A-2", "B-15", "E-46")
def test_before_it_is_sent_it_is_looked_at_once_more(ops: Any, meanwhile: str, ends: tuple[str, str] | None) -> None:
    ops.publish(SSL)
    ops.execute(meanwhile)
    (row,) = take(ops).rows
    found = look_again(row, "email", datetime.now(UTC))
    assert (found and (found.status, found.reason)) == ends


def test_a_transactional_event_passes_a_preference_made_meanwhile(ops: Any) -> None:
    ops.publish({"type": "identity.password-changed", "data": {"user_id": "u1", "changed_at": "x"}})
    ops.execute(OPTED_OUT.format(group="identity"))
    (row,) = take(ops).rows
    assert look_again(row, "email", datetime.now(UTC)) is None


@pytest.mark.parametrize("found", [verdict.failed(0, SCHEDULE, 0.0, None), None], ids=["failed", "lost"])
def test_what_was_being_sent_while_its_issue_was_resolved_is_not_tried_again(ops: Any, found: Verdict | None) -> None:
    ops.publish(SSL)
    taken = take(ops)
    (row,) = taken.rows
    ops.publish({**SSL, "status": "resolved"})
    if found:
        store(ops, taken.token, result(row, found))
    lose_leases(ops)
    let_due(ops)
    again, told = sorted(take(ops).rows, key=lambda one: one.condition)
    seen = look_again(again, "email", datetime.now(UTC))
    assert seen is not None
    assert (again.id, seen.status, seen.reason) == (row.id, "cancelled", "resolved")
    assert look_again(told, "email", datetime.now(UTC)) is None


def test_what_fires_again_is_tried_again(ops: Any) -> None:
    ops.publish({**SSL, "status": "resolved"})
    ops.publish(SSL)
    taken = take(ops)
    for row in taken.rows:
        store(ops, taken.token, result(row, verdict.failed(0, SCHEDULE, 0.0, None)))
    let_due(ops)
    assert [look_again(row, "email", datetime.now(UTC)) for row in take(ops).rows] == [None, None]


def test_an_email_has_words_html_and_the_files_that_came_along(ops: Any) -> None:
    ops.publish({**SSL, "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content": "aGVsbG8="}]})
    said = message(take(ops).rows[0], "email")
    assert said.title == "The certificate of shop expires in 7 days"
    assert said.html is not None
    assert "shop" in said.text
    assert [(one.filename, one.content_type, one.content) for one in said.attachments] == [
        ("a.txt", "text/plain", b"hello")
    ]


def test_only_emails_carry_files(ops: Any) -> None:
    ops.publish({**SSL, "attachments": [{"filename": "a.txt", "content_type": "text/plain", "content": "aGVsbG8="}]})
    assert message(take(ops, "telegram").rows[0], "telegram").attachments == ()


def test_every_attempt_carries_the_id_of_the_delivery(ops: Any) -> None:
    ops.publish(SSL)
    (row,) = take(ops).rows
    said = message(row, "email")
    assert (said.delivery_id, said.event_id, said.notification_id) == (row.id, row.event_id, row.notification_id)


@pytest.fixture
def hooked(world: Any) -> Callable[..., Any]:
    """Publishes an event to the tenant's webhook and to that of u1, and claims what is due."""
    world.user("u1", email="u1@example.org", roles=["operations"])

    def hooked(event: dict[str, Any] = SSL, **body: Any) -> list[Any]:
        with world.begin() as connection:
            for owner in (None, "u1"):
                url = {"url": f"https://hooks.example.org/{owner}", **body}
                put_webhook(connection, tenant="acme", user_id=owner, name="w", body=url, actor="cli")
        world.publish(event)
        return sorted(take(world, "webhook").rows, key=lambda row: row.user_id or "")

    return hooked


@pytest.mark.mission("E-38")
def test_a_webhook_is_told_id_type_user_data_and_time(hooked: Callable[..., Any]) -> None:
    data = {"host": "Köln", "at": ["\u2028", 1.5, None]}
    of_tenant, of_user = hooked({**SSL, "data": data, "occurred_at": "2026-11-20T10:00:00.123456+01:00"})
    assert json.loads(webhook_body(of_tenant)) == {
        "id": of_tenant.event_id,
        "type": "ssl_expiry",
        "userId": None,
        "data": data,
        "timestamp": "2026-11-20T09:00:00.123Z",
    }
    told = json.loads(webhook_body(of_user))
    assert (told["id"], told["userId"]) == (of_user.notification_id, "u1")


@pytest.mark.mission("E-38", "B-5")
def test_a_webhooks_bytes_are_the_same_at_every_attempt(world: Any, hooked: Callable[..., Any]) -> None:
    data = {"z": 1, "a": {"ü": 1e-7, "b": [1.0, 10**20]}, "ä": "\\u0041"}
    first = webhook_body(hooked({**SSL, "data": data})[0])
    lose_leases(world)
    again = sorted(take(world, "webhook").rows, key=lambda row: row.user_id or "")[0]
    assert webhook_body(again) == first == message(again, "webhook").body


@pytest.mark.mission("A-14")
def test_secret_fields_go_to_no_webhook(hooked: Callable[..., Any]) -> None:
    data = {"provisioning_id": "p", "service": "VM", "password": "s3cr3t", "logins": [{"password": "s3cr3t too"}]}
    rows = hooked({"type": "provisioning.completed", "data": data})
    body = webhook_body(rows[0])
    assert b"s3cr3t" not in body
    assert json.loads(body)["data"]["service"] == "VM"


@pytest.mark.mission("B-5")
def test_a_webhook_is_addressed_as_it_is_registered_now(world: Any, hooked: Callable[..., Any]) -> None:
    hooked(headers={"X-Team": "red"})
    with world.begin() as connection:
        body = {"url": "https://new.example.org/x", "headers": {"X-Team": "blue"}}
        put_webhook(connection, tenant="acme", user_id=None, name="w", body=body, actor="cli")
    lose_leases(world)
    row = next(row for row in take(world, "webhook").rows if row.user_id is None)
    where = address(row, "webhook", datetime.now(UTC))
    assert (where.value, where.endpoint) == ("https://new.example.org/x", row.webhook_id)
    assert where.headers == {"X-Team": "blue"}


@pytest.mark.mission("B-5")
def test_while_a_secret_rotates_both_sign_the_new_one_first(world: Any, hooked: Callable[..., Any]) -> None:
    row = hooked()[0]
    (old,) = address(row, "webhook", datetime.now(UTC)).secrets
    with world.begin() as connection:
        rotate_webhook(connection, tenant="acme", user_id=None, name="w", actor="cli")
    lose_leases(world)
    again = next(row for row in take(world, "webhook").rows if row.user_id is None)
    new = opened(again.secret)
    assert new != old
    assert address(again, "webhook", datetime.now(UTC)).secrets == (new, old)
    world.execute("UPDATE webhooks SET previous_until = now() - interval '1 second'")
    world.execute("UPDATE deliveries SET crashes = 0")
    lose_leases(world)
    rows = [*take(world, "webhook").rows, *take(world, "webhook").rows]  # one by one, after two crashes
    later = next(row for row in rows if row.user_id is None)
    assert address(later, "webhook", datetime.now(UTC)).secrets == (new,)


def test_a_delivery_to_a_webhook_that_was_removed_ends_with_its_reason(world: Any, hooked: Callable[..., Any]) -> None:
    hooked()
    with world.begin() as connection:
        delete_webhook(connection, tenant="acme", user_id=None, name="w", actor="cli")
    lose_leases(world)
    (row,) = (row for row in take(world, "webhook").rows if row.user_id is None)
    found = look_again(row, "webhook", datetime.now(UTC))
    assert found is not None
    assert (found.status, found.reason) == ("cancelled", "no_webhooks_configured")


def test_a_users_name_and_language_are_those_of_now(ops: Any) -> None:
    ops.publish(SSL)
    with ops.begin() as connection:
        put_user(connection, tenant="acme", user_id="u1", body={"locale": "de"}, actor="cli")
    assert take(ops).rows[0].locale == "de"
