"""Preferences: made at first sight, changed entry by entry, in force for whatever nobody has claimed yet."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from config.catalogue import shipped
from domain.errors import InvalidInputError
from domain.recipients import Wish
from domain.vocabulary import CHANNELS
from pipeline.claim import claim
from pipeline.deliver import look_again
from pipeline.links import Unsubscribe
from pipeline.people import find_people
from pipeline.preference_changes import InvalidPreferenceError
from pipeline.preferences import get_preferences, put_preferences
from pipeline.unsubscribe import unsubscribe
from pipeline.users import delete_user
from tests.support.waiting import wait_until

CUSTOMER = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
OTHER = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d02"
SSL = {"type": "ssl_expiry", "severity": "high", "data": {"host": "shop.example.org"}}
ALL_ON = dict.fromkeys(CHANNELS, True)


def shown(world: Any, user_id: str = "ana", customers: Sequence[str] = (CUSTOMER,)) -> list[dict[str, Any]]:
    with world.begin() as connection:
        return get_preferences(
            connection, tenant="acme", user_id=user_id, customers=customers, actor=f"user:{user_id}", remote=None
        )


def put(world: Any, *entries: Any, user_id: str = "ana", customers: Sequence[str] = (CUSTOMER,)) -> Any:
    with world.begin() as connection:
        return put_preferences(
            connection,
            tenant="acme",
            user_id=user_id,
            customers=customers,
            body={"preferences": list(entries)},
            actor=f"user:{user_id}",
            remote="192.0.2.7",
        )


def channels(entries: list[dict[str, Any]], group: str, event: str | None = None, customer: str | None = None) -> Any:
    """What an entry says; None when there is none."""
    key = (group, event, customer)
    found = [one["channels"] for one in entries if (one["group"], one["event"], one["customer_id"]) == key]
    return found[0] if found else None


def ended(world: Any, channel: str = "email") -> list[tuple[str, str] | None]:
    """What comes of each delivery that is claimed now; None is sent."""
    with world.begin() as connection:
        rows = claim(connection, channel, 10, 30.0, monotonic()).rows
    endings = [look_again(row, channel, datetime.now(UTC)) for row in rows]
    return [None if one is None else (str(one.status), str(one.reason)) for one in endings]


@pytest.fixture
def ana(world: Any) -> Any:
    world.user("ana", email="ana@example.org", roles=["operations"], customers=[CUSTOMER])
    return world


@pytest.mark.mission("A-29", "A-30", "D-3")
def test_the_first_look_makes_an_entry_a_group_with_every_channel_on(ana: Any) -> None:
    assert ana.execute("SELECT FROM preferences") == []
    entries = shown(ana)
    assert [one["group"] for one in entries] == sorted(shipped().groups)
    for one in entries:
        assert (one["event"], one["customer_id"], one["cadence"], one["cadences"]) == (None, None, "instant", {})
        assert one["channels"] == ALL_ON
    assert len(ana.execute("SELECT FROM preferences")) == len(entries)
    assert all(UUID(str(row.id)).version == 7 for row in ana.execute("SELECT id FROM preferences"))


def test_the_second_look_changes_nothing(ana: Any) -> None:
    first = shown(ana)
    before = ana.execute("SELECT * FROM preferences ORDER BY id"), ana.audit()
    assert shown(ana) == first
    assert (ana.execute("SELECT * FROM preferences ORDER BY id"), ana.audit()) == before


def test_somebody_of_whom_only_a_token_is_known_has_preferences_too(world: Any) -> None:
    assert len(shown(world, "bo")) == len(shipped().groups)
    assert [row.id for row in world.execute("SELECT id FROM users")] == ["bo"]


def test_a_group_that_the_catalogue_gained_is_added_to_what_was_said(ana: Any) -> None:
    put(ana, {"group": "order", "channels": {"email": False}})
    ana.execute("DELETE FROM preferences WHERE group_name = 'billing'")
    ana.execute("UPDATE preferences SET channels = channels - 'apprise'")
    entries = shown(ana)
    assert channels(entries, "billing") == ALL_ON
    assert channels(entries, "order") == {**ALL_ON, "email": False}


@pytest.mark.mission("A-28")
def test_an_entry_changes_the_channels_that_it_names_and_no_others(ana: Any) -> None:
    entries = put(ana, {"group": "billing", "channels": {"email": False}})
    assert entries == shown(ana)
    assert channels(entries, "billing") == {**ALL_ON, "email": False}
    assert channels(entries, "order") == ALL_ON
    entries = put(ana, {"group": "billing", "channels": {"sms": False, "email": True}})
    assert channels(entries, "billing") == {**ALL_ON, "sms": False}


@pytest.mark.mission("D-3")
def test_an_event_type_and_a_customer_have_entries_of_their_own(ana: Any) -> None:
    refund = {"group": "billing", "event": "billing.refund-completed"}
    entries = put(
        ana,
        {**refund, "channels": {"email": False}},
        {**refund, "customer_id": CUSTOMER.upper(), "channels": {"email": True}},
        {"group": "billing", "customer_id": CUSTOMER, "channels": {"in_app": False}},
    )
    assert channels(entries, "billing", "billing.refund-completed") == {"email": False}
    assert channels(entries, "billing", "billing.refund-completed", CUSTOMER) == {"email": True}
    assert channels(entries, "billing", None, CUSTOMER) == {"in_app": False}
    assert channels(entries, "billing") == ALL_ON


def test_null_takes_back_what_was_said_of_a_channel(ana: Any) -> None:
    refund = {"group": "billing", "event": "billing.refund-completed"}
    put(ana, {**refund, "channels": {"email": False, "sms": False}}, {"group": "order", "channels": {"email": False}})
    entries = put(ana, {**refund, "channels": {"sms": None}}, {"group": "order", "channels": {"email": None}})
    assert channels(entries, "billing", "billing.refund-completed") == {"email": False}
    assert channels(entries, "order") == ALL_ON
    entries = put(ana, {**refund, "channels": {"email": None}})
    assert channels(entries, "billing", "billing.refund-completed") is None
    assert len(entries) == len(shipped().groups)


def test_other_names_of_a_group_and_a_channel_are_taken(ana: Any) -> None:
    for name in ("websocket", "system", "in_app"):
        put(ana, {"group": "chat", "channels": {"in_app": True}})
        entries = put(ana, {"group": "chats", "channels": {name: False}})
        assert channels(entries, "chat") == {**ALL_ON, "in_app": False}


def test_what_was_answered_can_be_sent_back(ana: Any) -> None:
    put(ana, {"group": "order", "event": "order.created", "customer_id": CUSTOMER, "channels": {"email": False}})
    entries = shown(ana)
    assert put(ana, *entries) == entries


@pytest.mark.mission("E-46", "D-41", "A-2")
def test_it_counts_for_what_waits_already(ana: Any) -> None:
    ana.publish(SSL)
    put(ana, {"group": "obligations", "channels": {"email": False}})
    assert ended(ana) == [("suppressed", "preference")]


@pytest.mark.mission("E-46")
def test_switched_on_again_before_the_claim_it_is_sent(ana: Any) -> None:
    ana.publish(SSL)
    for wanted in (False, True):
        put(ana, {"group": "obligations", "event": "ssl_expiry", "channels": {"email": wanted}})
    assert ended(ana) == [None]


def test_entries_that_only_say_yes_cost_a_delivery_nothing(ana: Any) -> None:
    shown(ana)
    ana.publish(SSL)
    with ana.begin() as connection:
        (row,) = claim(connection, "email", 10, 30.0, monotonic()).rows
        (person,) = find_people(connection, [("acme", Wish("user", "ana"))])["acme", Wish("user", "ana")]
    assert row.preferences is None
    assert person.preferences == ()


def test_an_event_type_that_is_on_is_sent_though_its_group_is_off(ana: Any) -> None:
    off = {"group": "obligations", "channels": {"email": False}}
    put(ana, off, {"group": "obligations", "event": "ssl_expiry", "channels": {"email": True}})
    ana.publish(SSL)
    assert ended(ana) == [None]


@pytest.mark.mission("A-2", "A-28")
def test_what_comes_afterwards_goes_over_the_channels_that_are_on(ana: Any) -> None:
    put(ana, {"group": "obligations", "channels": {"email": False}})
    (event,) = ana.publish(SSL)
    assert {one["channel"] for one in ana.notification(event, "ana")["deliveries"]} == {"in_app"}
    left_out = [(one["channel"], one["reason"]) for one in ana.event(event)["skipped"] if one["channel"] == "email"]
    assert left_out == [("email", "preference")]


@pytest.mark.mission("D-3")
@pytest.mark.parametrize(("customer", "told"), [(CUSTOMER.upper(), {"in_app"}), (OTHER, {"in_app", "email"})])
def test_what_is_said_for_a_customer_counts_for_the_events_of_that_customer(
    ana: Any, customer: str, told: set[str]
) -> None:
    put(ana, {"group": "order", "customer_id": CUSTOMER, "channels": {"email": False}})
    order = {"type": "order.created", "customer_id": customer, "recipients": ["ana"], "data": {"order_id": customer}}
    (event,) = ana.publish(order)
    assert {one["channel"] for one in ana.notification(event, "ana")["deliveries"]} == told


def test_what_is_owed_to_a_user_comes_though_its_group_is_off(ana: Any) -> None:
    entries = put(ana, {"group": "identity", "channels": {"email": False, "in_app": False}})
    (identity,) = (one for one in entries if one["group"] == "identity")
    assert identity["locked"] == ["identity.password-changed"]
    assert all(one["locked"] == [] for one in entries if one["group"] != "identity")
    ana.publish({"type": "identity.password-changed", "data": {"user_id": "ana", "changed_at": "now"}})
    assert ended(ana) == [None]


BILLING: dict[str, Any] = {"group": "billing", "channels": {"email": False}}


@pytest.mark.mission("D-24", "D-25", "D-26")
@pytest.mark.parametrize(
    ("entry", "field", "about"),
    [
        ({"group": "pigeons", "channels": {}}, "group", "group"),
        ({"channels": {}}, "group", "group"),
        ({"group": ["billing"], "channels": {}}, "group", "group"),
        ({"group": "", "channels": {}}, "group", "group"),
        ({**BILLING, "event": "billing.pigeon"}, "event", "event"),
        ({**BILLING, "event": "order.created"}, "event", "event"),
        ({**BILLING, "event": "billing.*"}, "event", "event"),
        ({**BILLING, "event": ""}, "event", "event"),
        ({**BILLING, "event": 7}, "event", "event"),
        ({**BILLING, "channels": {"pigeon": True}}, "channels.pigeon", "channel"),
        ({**BILLING, "channels": {"\ud800": True}}, "channels.?", "channel"),
        ({**BILLING, "channels": {"": True}}, "channels.", "channel"),
        ({**BILLING, "customer_id": OTHER}, "customer_id", "customer"),
        (
            {"group": "identity", "event": "identity.password-changed", "channels": {"email": False}},
            "channels",
            "locked",
        ),
    ],
)
def test_what_is_not_there_is_named(ana: Any, entry: Any, field: str, about: str) -> None:
    with pytest.raises(InvalidPreferenceError) as refused:
        put(ana, BILLING, {**BILLING, "group": "order"}, {**BILLING, "group": "task"}, entry)
    assert (refused.value.field, refused.value.about) == (f"preferences[3].{field}", about)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (7, ""),
        (None, ""),
        ({**BILLING, "surprise": 1}, ".surprise"),
        ({"group": "billing"}, ".channels"),
        ({**BILLING, "channels": ["email"]}, ".channels"),
        ({**BILLING, "channels": {"email": "no"}}, ".channels.email"),
        ({**BILLING, "channels": {"email": 0}}, ".channels.email"),
        ({**BILLING, "channels": {"in_app": False, "websocket": True}}, ".channels.websocket"),
        ({**BILLING, "customer_id": "7"}, ".customer_id"),
        ({**BILLING, "cadence": "yearly"}, ".cadence"),
        ({**BILLING, "cadences": ["daily"]}, ".cadences"),
        ({**BILLING, "cadences": {"email": "yearly"}}, ".cadences.email"),
        ({**BILLING, "cadences": {"pigeon": "daily"}}, ".cadences.pigeon"),
        ({**BILLING, "cadences": {"in_app": "daily"}}, ".cadences.in_app"),
        ({"group": "order", "channels": {"sms": False}}, ""),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_place(ana: Any, entry: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        put(ana, {**BILLING, "group": "order"}, entry)
    assert refused.value.field == f"preferences[1]{field}"


def cadences(entries: list[Any]) -> dict[str | None, Any]:
    """How often the user is told of the group billing and of its event types."""
    return {one["event"]: (one["cadence"], one["cadences"]) for one in entries if one["group"] == "billing"}


@pytest.mark.mission("B-16")
def test_how_often_is_said_of_a_group_an_event_type_and_a_channel(ana: Any) -> None:
    invoice = {"group": "billing", "event": "billing.invoice-generated"}
    put(ana, {"group": "billing", "cadence": "daily"}, {**invoice, "cadences": {"email": "weekly", "sms": "instant"}})
    assert cadences(shown(ana)) == {
        None: ("daily", {}),
        "billing.invoice-generated": (None, {"email": "weekly", "sms": "instant"}),
    }
    put(ana, {**invoice, "cadence": "hourly", "cadences": {"sms": None}}, BILLING)
    assert cadences(shown(ana)) == {None: ("daily", {}), "billing.invoice-generated": ("hourly", {"email": "weekly"})}
    put(ana, {**invoice, "cadence": None, "cadences": {"email": None}}, {"group": "billing", "cadence": None})
    assert cadences(shown(ana)) == {None: ("instant", {})}


@pytest.mark.parametrize("body", [None, [], 7, {}, {"preferences": None}, {"preferences": {}}, {"preferences": "x"}])
def test_a_body_of_another_shape_is_refused(ana: Any, body: Any) -> None:
    with pytest.raises(InvalidInputError), ana.begin() as connection:
        put_preferences(connection, tenant="acme", user_id="ana", customers=(), body=body, actor="user:ana")


def test_all_or_none_is_changed(ana: Any) -> None:
    shown(ana)
    before = ana.execute("SELECT * FROM preferences ORDER BY id"), ana.audit()
    with pytest.raises(InvalidPreferenceError):
        put(ana, BILLING, {**BILLING, "event": "billing.pigeon"})
    assert (ana.execute("SELECT * FROM preferences ORDER BY id"), ana.audit()) == before


def test_nobody_fills_the_table(ana: Any) -> None:
    customers = [str(UUID(int=number)) for number in range(1, 1_002)]
    many = [{**BILLING, "customer_id": customer} for customer in customers]
    with pytest.raises(InvalidInputError) as too_long:
        put(ana, *many, customers=customers)
    assert too_long.value.field == "preferences"
    with pytest.raises(InvalidInputError, match="more than 1000 entries of this user"):
        put(ana, *many[:-1], customers=customers)
    room = 1_000 - len(shipped().groups)
    assert len(put(ana, *many[:room], customers=customers)) == 1_000
    with pytest.raises(InvalidInputError):
        put(ana, many[room], customers=customers)
    taken_back = {**many[0], "channels": {"email": None}}
    assert len(put(ana, taken_back, customers=customers)) == 999


@pytest.mark.mission("D-34")
def test_what_is_said_for_a_customer_is_seen_with_that_customer_only(ana: Any) -> None:
    put(ana, {**BILLING, "customer_id": CUSTOMER}, {**BILLING, "customer_id": OTHER}, customers=(CUSTOMER, OTHER))
    for customers in ((), (CUSTOMER,), (CUSTOMER, OTHER)):
        seen = {one["customer_id"] for one in shown(ana, customers=customers)}
        assert seen == {None, *customers}
    answered = put(ana, BILLING, customers=())
    assert {one["customer_id"] for one in answered} == {None}
    assert len(ana.execute("SELECT FROM preferences WHERE customer_id IS NOT NULL")) == 2


def test_what_others_prefer_is_not_touched(ana: Any) -> None:
    put(ana, BILLING)
    put(ana, {"group": "billing", "channels": {"sms": False}}, user_id="bo")
    ana.user("ana", tenant="other")
    assert channels(shown(ana), "billing") == {**ALL_ON, "email": False}
    assert channels(shown(ana, "bo"), "billing") == {**ALL_ON, "sms": False}
    assert ana.execute("SELECT FROM preferences WHERE tenant = 'other'") == []


@pytest.mark.mission("D-36")
def test_the_audit_has_who_and_what_before_and_after(ana: Any) -> None:
    put(ana, BILLING, {"group": "order", "channels": {"email": True}})
    made, changed = ana.audit()[-2:]
    assert (made.actor, made.action, made.subject) == ("user:ana", "preference.create", "ana")
    assert (changed.actor, changed.action, changed.subject) == ("user:ana", "preference.put", "ana")
    assert changed.remote_address == "192.0.2.7"
    (before,), (after,) = changed.before["preferences"], changed.after["preferences"]
    assert before == {
        "group": "billing",
        "event": None,
        "customer_id": None,
        "channels": ALL_ON,
        "cadence": None,
        "cadences": {},
    }
    assert after == {**before, "channels": {**ALL_ON, "email": False}}


def follow_link(world: Any, event: str) -> None:
    with world.begin() as connection:
        assert unsubscribe(connection, Unsubscribe("acme", "email", event, "ana", None), whole_group=False)


def test_what_a_link_switched_off_is_seen_and_can_be_switched_on_again(ana: Any) -> None:
    follow_link(ana, "ssl_expiry")
    follow_link(ana, "backup.failed")  # which no catalogue lists
    entries = shown(ana)
    assert channels(entries, "obligations", "ssl_expiry") == {"email": False}
    assert channels(entries, "backup", "backup.failed") == {"email": False}
    entries = put(ana, {"group": "backup", "event": "backup.failed", "channels": {"email": True}})
    assert channels(entries, "backup", "backup.failed") == {"email": True}
    with pytest.raises(InvalidPreferenceError):
        put(ana, {"group": "backup", "event": "backup.failed", "channels": {"email": True}}, user_id="bo")


def test_what_a_link_said_of_a_group_stays_when_the_rest_is_made(ana: Any) -> None:
    with ana.begin() as connection:
        unsubscribe(connection, Unsubscribe("acme", "email", "ssl_expiry", "ana", None), whole_group=True)
    assert channels(shown(ana), "obligations") == {**ALL_ON, "email": False}


def test_preferences_go_with_the_user(ana: Any) -> None:
    put(ana, BILLING)
    with ana.begin() as connection:
        delete_user(connection, tenant="acme", user_id="ana", actor="cli")
    assert ana.execute("SELECT FROM preferences") == []


def put_within(connection: Any, channel: str) -> None:
    change = {"group": "obligations", "event": "ssl_expiry", "channels": {channel: False}}
    put_preferences(
        connection, tenant="acme", user_id="ana", customers=(), body={"preferences": [change]}, actor="user:ana"
    )


def follow_within(connection: Any) -> None:
    unsubscribe(connection, Unsubscribe("acme", "email", "ssl_expiry", "ana", None), whole_group=False)


def change_after(ana: Any, first: Any) -> None:
    """Change preferences while `first` is under way in another transaction, and wait for it."""

    def change() -> None:
        with ana.begin() as connection:
            put_within(connection, "sms")

    def waits() -> bool:
        (row,) = ana.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(row[0])

    with ThreadPoolExecutor(1) as threads:
        with ana.begin() as connection:
            first(connection)
            second = threads.submit(change)
            wait_until(waits, "the second change to wait for the first")
        second.result(20)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("first", [lambda at: put_within(at, "email"), follow_within], ids=["another tab", "a link"])
def test_two_who_change_the_same_entry_at_once_lose_nothing(ana: Any, first: Any, known: bool) -> None:
    if known:
        put(ana, {"group": "obligations", "event": "ssl_expiry", "channels": {"push": False}})

    change_after(ana, first)
    said = {"email": False, "sms": False, **({"push": False} if known else {})}
    assert channels(shown(ana), "obligations", "ssl_expiry") == said


def test_whoever_is_erased_while_he_changes_his_preferences_begins_anew(ana: Any) -> None:
    change_after(ana, lambda connection: delete_user(connection, tenant="acme", user_id="ana", actor="cli"))
    assert channels(shown(ana), "obligations", "ssl_expiry") == {"sms": False}
