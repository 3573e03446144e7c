"""The ledger as people read it."""

from __future__ import annotations

from typing import Any

import pytest

from domain import verdict
from domain.errors import InvalidInputError
from domain.vocabulary import Reason, ReceiptKind, Suppression
from pipeline.ledger import explain_event, list_dead_letters, list_deliveries, list_events, read_delivery, read_event
from pipeline.overview import overview
from pipeline.reasons import REASONS, RECEIPTS, SUPPRESSIONS, reason_in_words
from pipeline.webhooks import put_webhook

SSL = {"type": "ssl_failure", "data": {"host": "shop.example.org"}}
CONTRACT = {
    *("id", "event_id", "notification_id", "channel", "provider", "address", "status", "reason", "due_at"),
    *("created_at", "sent_at", "delivered_at", "failed_at", "attempts"),
}


@pytest.fixture
def team(world: Any) -> Any:
    world.user("ada", email="ada@example.org", telegram_chat_id=710000001, roles=["operations"])
    world.user("bo", email="bo@example.org", roles=["operations"])
    return world


@pytest.mark.mission("A-27")
def test_an_event_is_read_with_its_routes_notifications_deliveries_and_attempts(team: Any) -> None:
    with team.begin() as connection:
        body = {"url": "https://hooks.example.org/x"}
        put_webhook(connection, tenant="acme", user_id=None, name="shop", body=body, actor="cli")
    (event_id,) = team.publish({**SSL, "branch": "berlin", "occurred_at": "2026-11-20T10:00:00+01:00"})
    team.send("email")
    event = team.event(event_id)
    assert (event["id"], event["type"], event["tenant"], event["severity"]) == (
        event_id,
        "ssl_failure",
        "acme",
        "critical",
    )
    assert (event["status"], event["branch"], event["repeats"]) == ("routed", "berlin", 0)
    assert event["data"] == {"host": "shop.example.org"}
    assert event["occurred_at"] == "2026-11-20T09:00:00.000Z"
    assert len(event["fingerprint"]) == 64
    matched = {one["name"]: one["reason"] for one in event["routes"] if one["matched"]}
    assert matched == {
        "ssl-to-operations": None,
        "critical-everywhere": None,
        "webhooks": None,
        "named-recipients": None,
    }
    assert {"name": "orders-to-customers", "matched": False, "reason": "event_mismatch"} in event["routes"]
    assert {one["recipient"] for one in event["notifications"]} == {"ada", "bo"}
    mail = next(one for one in team.notification(event_id, "ada")["deliveries"] if one["channel"] == "email")
    assert mail.keys() >= CONTRACT
    assert (mail["address"], mail["status"], mail["provider"]) == ("a•••@example.org", "sent", "email")
    assert mail["sent_at"] is not None
    (tried,) = mail["attempts"]
    assert tried.keys() == {"number", "provider", "started_at", "duration_ms", "outcome", "detail"}
    assert (tried["number"], tried["outcome"], tried["duration_ms"]) == (1, "sent", 7)
    (hook,) = event["deliveries"]
    assert (hook["notification_id"], hook["address"]) == (None, "https://hooks.example.org/•••")


@pytest.mark.mission("A-27")
@pytest.mark.mission("B-9")
def test_every_step_of_a_delivery_has_its_time(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    waiting = next(one for one in team.deliveries(recipient="bo", channel="email"))
    assert (waiting["status"], waiting["sent_at"], waiting["failed_at"]) == ("queued", None, None)
    assert waiting["due_at"] is not None
    team.settle("email", verdict.failed(0, (60,), 0.0, None), "HTTP 503")
    failed = next(one for one in team.deliveries(recipient="bo", channel="email"))
    assert (failed["status"], failed["reason"]) == ("failed", "retry")
    assert failed["failed_at"] is not None
    team.execute("UPDATE deliveries SET due_at = now() WHERE due_at IS NOT NULL")
    team.send("email")
    sent = next(one for one in team.deliveries(recipient="bo", channel="email"))
    assert (sent["status"], sent["due_at"]) == ("sent", None)
    assert sent["failed_at"] is not None
    assert sent["sent_at"] is not None
    assert team.notification(event_id, "bo")["status"] == "delivered"


def test_a_secret_field_is_masked_in_the_ledger(team: Any) -> None:
    (event_id,) = team.publish(
        {"type": "provisioning.completed", "recipients": ["ada"], "data": {"service": "db", "password": "hunter22"}}
    )
    assert "hunter22" not in str(team.event(event_id))
    assert team.event(event_id)["data"]["service"] == "db"


def test_a_duplicate_leads_to_the_first(team: Any) -> None:
    first, second = team.publish(SSL, SSL)
    duplicate = team.event(second)
    assert (duplicate["status"], duplicate["duplicate_of"]) == ("duplicate", first)
    assert team.event(first)["repeats"] == 1


def test_who_and_what_was_left_out_is_said(team: Any) -> None:
    (event_id,) = team.publish({**SSL, "recipients": ["ghost"]})
    skipped = team.event(event_id)["skipped"]
    assert {"recipient": "bo", "channel": "telegram", "reason": "no_address"} in skipped
    assert {"recipient": "ghost", "channel": None, "reason": "unknown_user"} in skipped


@pytest.mark.parametrize("tenant", ["other", "nobody"])
def test_another_tenants_event_and_delivery_are_not_there(team: Any, tenant: str) -> None:
    (event_id,) = team.publish(SSL)
    delivery = team.deliveries()[0]
    with team.begin() as connection:
        assert read_event(connection, tenant=tenant, event_id=event_id) is None
        assert explain_event(connection, tenant=tenant, event_id=event_id) is None
        assert read_delivery(connection, tenant=tenant, delivery_id=delivery["id"]) is None
        assert list_events(connection, tenant=tenant) == ([], None)
        assert list_deliveries(connection, tenant=tenant) == ([], None)
        assert read_event(connection, tenant=None, event_id=event_id) is not None
        assert read_delivery(connection, tenant=None, delivery_id=delivery["id"]) == delivery


@pytest.mark.parametrize("wrong", ["", "x", "00000000-0000-7000-8000-000000000000", "{" + "0" * 32 + "}"])
def test_what_does_not_exist_is_none(world: Any, wrong: str) -> None:
    with world.begin() as connection:
        assert read_event(connection, tenant="acme", event_id=wrong) is None
        assert read_delivery(connection, tenant="acme", delivery_id=wrong) is None


def every_page(world: Any, listing: Any, limit: int, **values: Any) -> list[str]:
    seen: list[str] = []
    cursor = None
    while True:
        with world.begin() as connection:
            page, cursor = listing(connection, tenant="acme", cursor=cursor, limit=limit, **values)
        seen += [one["id"] for one in page]
        if cursor is None:
            return seen


def test_pages_have_every_row_once_the_newest_first(team: Any) -> None:
    ids = [team.publish({**SSL, "data": {"host": f"h{number}"}})[0] for number in range(5)]
    assert every_page(team, list_events, 2) == list(reversed(ids))
    seen = every_page(team, list_deliveries, 3)
    assert len(seen) == len(set(seen)) == 25
    assert seen == sorted(seen, reverse=True)
    mails = every_page(team, list_deliveries, 3, filters={"channel": "email"})
    assert len(mails) == 10


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 5),
        ({"channel": "email"}, 2),
        ({"channel": "websocket"}, 2),
        ({"status": "sent"}, 3),
        ({"status": "dead_letter"}, 2),
        ({"status": "queued"}, 0),
        ({"reason": "refused"}, 2),
        ({"event": "ssl_failure"}, 5),
        ({"event": "ssl_*"}, 5),
        ({"event": "sslXfailure"}, 0),
        ({"event": "order.*"}, 0),
        ({"recipient": "ada"}, 3),
        ({"recipient": "bo@example.org"}, 1),
        ({"recipient": "cy"}, 0),
        ({"since": "1h"}, 5),
        ({"since": "2999-01-01T00:00:00Z"}, 0),
        ({"since": None}, 5),
        ({"channel": "email", "recipient": "bo", "status": "dead_letter", "since": "5m"}, 1),
    ],
)
def test_filters_leave_what_was_asked_for(team: Any, filters: dict[str, Any], expected: int) -> None:
    team.publish(SSL)
    team.send("telegram")
    team.refuse("email")
    assert len(team.deliveries(**filters)) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "routed"}, 1),
        ({"status": "duplicate"}, 1),
        ({"status": "unrouted"}, 1),
        ({"type": "ssl_*"}, 2),
        ({"severity": "critical"}, 2),
        ({"branch": "berlin"}, 1),
        ({"customer_id": "6F1C2A9E-4b1d-4f0a-9c55-2f3f8f7c1a01"}, 1),
        ({"since": "2h"}, 3),
    ],
)
def test_events_are_filtered_too(team: Any, filters: dict[str, Any], expected: int) -> None:
    nobody = {"type": "odd.one", "branch": "berlin", "customer_id": "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01"}
    team.publish(SSL, SSL, nobody)
    with team.begin() as connection:
        assert len(list_events(connection, tenant="acme", filters=filters)[0]) == expected


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"filters": {"colour": "red"}}, "colour"),
        ({"filters": {"status": "lost"}}, "status"),
        ({"filters": {"channel": "pigeon"}}, "channel"),
        ({"filters": {"reason": "because"}}, "reason"),
        ({"filters": {"event": "a b"}}, "event"),
        ({"filters": {"event": ""}}, "event"),
        ({"filters": {"recipient": 7}}, "recipient"),
        ({"filters": {"recipient": "a\0b"}}, "recipient"),
        ({"filters": {"since": "2026-11-20T09:00:00"}}, "since"),
        ({"filters": {"since": "soon"}}, "since"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 1000}, "limit"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(world: Any, values: dict[str, Any], field: str) -> None:
    with world.begin() as connection, pytest.raises(InvalidInputError) as raised:
        list_deliveries(connection, tenant="acme", **values)
    assert raised.value.field == field


def test_a_filter_that_fits_few_of_many_looks_at_a_bounded_number_of_rows_and_goes_on(team: Any) -> None:
    (event_id,) = team.publish(SSL)
    (old,) = [one["id"] for one in team.deliveries(recipient="bo", channel="email")]
    team.execute(
        "INSERT INTO deliveries (id, tenant, event_id, channel, address, template, priority, status)"
        " SELECT cast('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid), 'acme', cast(:event AS uuid),"
        " 'sms', '', 'default', 1, 'sent' FROM generate_series(1, 20010) n",
        event=event_id,
    )
    with team.begin() as connection:
        page, cursor = list_deliveries(connection, tenant="acme", filters={"recipient": "bo", "channel": "email"})
        assert page == []
        assert cursor is not None
        filters = {"recipient": "bo", "channel": "email"}
        page, end = list_deliveries(connection, tenant="acme", filters=filters, cursor=cursor)
    assert [one["id"] for one in page] == [old]
    assert end is None
    # Live work has an index of its own, so it is on the first page however much lies before it.
    assert old in [one["id"] for one in team.deliveries(status="queued")]


@pytest.mark.mission("B-12")
def test_dead_letters_are_listed_with_their_causes(team: Any) -> None:
    team.publish(SSL)
    team.refuse("email", "550 no such mailbox")
    team.settle("telegram", verdict.failed(5, (1,) * 5, 0.0, None), "HTTP 500")
    with team.begin() as connection:
        listed = list_dead_letters(connection, tenant="acme")
        some = list_dead_letters(connection, tenant="acme", filters={"channel": "telegram"})
        other = list_dead_letters(connection, tenant="other")
    assert [one["status"] for one in listed["dead_letters"]] == ["dead_letter"] * 3
    assert [(one["reason"], one["channel"], one["count"]) for one in listed["causes"]] == [
        ("refused", "email", 2),
        ("retries_exhausted", "telegram", 1),
    ]
    assert listed["causes"][0]["example"]["detail"] == "550 no such mailbox"
    assert sorted(one["detail"] for one in listed["dead_letters"]) == ["550 no such mailbox"] * 2 + ["HTTP 500"]
    assert [one["count"] for one in some["causes"]] == [1]
    assert len(some["dead_letters"]) == 1
    assert other == {"dead_letters": [], "causes": [], "next_cursor": None}


def test_dead_letters_are_listed_page_by_page(team: Any) -> None:
    team.publish(SSL)
    ids = sorted(team.refuse("email"), reverse=True)
    with team.begin() as connection:
        first = list_dead_letters(connection, tenant="acme", limit=1)
        second = list_dead_letters(connection, tenant="acme", limit=1, cursor=first["next_cursor"])
    assert [one["id"] for one in first["dead_letters"] + second["dead_letters"]] == ids
    assert second["next_cursor"] is None
    assert second["causes"][0]["count"] == 2


def test_explaining_says_in_words_what_became_of_it(team: Any) -> None:
    first, again = team.publish({**SSL, "recipients": ["ghost"]}, {**SSL, "recipients": ["ghost"]})
    (nobody,) = team.publish({"type": "odd.one"})
    team.refuse("email", "550 no such mailbox")
    with team.begin() as connection:
        routed, folded, unrouted = (
            explain_event(connection, tenant="acme", event_id=one) for one in (first, again, nobody)
        )
    assert routed is not None
    assert folded is not None
    assert unrouted is not None
    assert routed["words"].startswith("4 routes of ")
    assert "2 recipients told in 5 deliveries. The same was reported 1 more time." in routed["words"]
    assert {one["words"] for one in routed["skipped"]} >= {"there is no such user"}
    mail = next(one for one in routed["deliveries"] if one["channel"] == "email")
    assert mail["words"] == "email refused it for good: 550 no such mailbox. It waits for a person."
    assert folded["words"] == f"It is folded into event {first}: the same issue was reported before."
    assert unrouted["words"] == "Nobody was told: no matching route found anybody to tell."


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_words(reason: Reason) -> None:
    assert reason_in_words(reason) == REASONS[reason]


def test_every_receipt_and_suppression_has_its_words_and_an_unknown_reason_is_shown_as_it_is() -> None:
    assert RECEIPTS.keys() == set(ReceiptKind)
    assert SUPPRESSIONS.keys() == set(Suppression)
    assert reason_in_words("moon_in_the_way") == "moon in the way"


def test_the_overview_counts_what_waits_and_what_came_to_an_end(team: Any) -> None:
    team.publish(SSL, {"type": "odd.one"})
    team.refuse("telegram")
    team.execute("UPDATE deliveries SET due_at = now() - interval '90 seconds' WHERE channel = 'email'")
    with team.begin() as connection:
        seen = overview(connection, tenant="acme")
        other = overview(connection, tenant="other")
        everybody = overview(connection)
    assert seen["live"] == [{"channel": "email", "status": "queued", "count": 2}]
    assert 90 <= seen["oldest_due_seconds"]["by_channel"]["email"] < 150
    assert seen["oldest_due_seconds"]["all"] == seen["oldest_due_seconds"]["by_channel"]["email"]
    assert seen["dead_letters"] == [{"channel": "telegram", "reason": "refused", "count": 1}]
    finals = {(row["channel"], row["status"]): row["count"] for row in seen["finals"]}
    assert finals == {("in_app", "sent"): 2, ("telegram", "dead_letter"): 1}
    assert {(row["channel"], row["reason"]): row["count"] for row in seen["skipped"]} == {
        ("telegram", "no_address"): 1,
        ("webhook", "no_webhooks_configured"): 2,
    }
    assert other["live"] == other["finals"] == other["dead_letters"] == []
    assert everybody["live"] == seen["live"]
    assert seen["events"] == {"accepted": 0, "oldest_seconds": 0.0}
