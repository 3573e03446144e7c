"""Unsubscribing without a login: a user's preference, or an address on the suppression list."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from domain.preferences import wants
from pipeline.claim import claim
from pipeline.deliver import look_again
from pipeline.links import Unsubscribe
from pipeline.people import preference_entries
from pipeline.unsubscribe import offer, unsubscribe

CUSTOMER = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"


def of_user(user_id: str = "ana", event: str = "ssl_expiry", channel: str = "email") -> Unsubscribe:
    return Unsubscribe("acme", channel, event, user_id, None)


def of_address(event: str = "ssl_expiry", channel: str = "email") -> Unsubscribe:
    return Unsubscribe("acme", channel, event, None, "Ops@example.org")


def follow(world: Any, link: Unsubscribe, *, whole_group: bool = False) -> bool:
    with world.begin() as connection:
        return unsubscribe(connection, link, whole_group=whole_group, remote="192.0.2.1")


def wanted(world: Any, event: str, channel: str = "email", customer_id: str | None = None, group: str = "x") -> bool:
    """Whether ana would be told, as routing and the claim decide it."""
    rows = world.execute("SELECT group_name, event, customer_id, channels FROM preferences WHERE user_id = 'ana'")
    entries = preference_entries([(g, e, None if c is None else str(c), channels) for g, e, c, channels in rows])
    return wants(entries, group=group, event=event, customer_id=customer_id, channel=channel)


def prefer(world: Any, group: str, event: str | None, channels: str, customer_id: str | None = None) -> None:
    world.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, event, customer_id, channels) VALUES "
        "(gen_random_uuid(), 'acme', 'ana', :group, :event, cast(:customer AS uuid), cast(:channels AS jsonb))",
        group=group,
        event=event,
        customer=customer_id,
        channels=channels,
    )


@pytest.fixture
def ana(world: Any) -> Any:
    world.user("ana", email="ana@example.org", roles=["operations"])
    return world


@pytest.mark.mission("E-22", "E-46")
def test_a_user_gets_no_more_of_the_event_on_the_channel_and_all_else_stays(ana: Any) -> None:
    assert follow(ana, of_user()) is True
    assert not wanted(ana, "ssl_expiry", group="obligations")
    assert wanted(ana, "ssl_expiry", channel="telegram", group="obligations")
    assert wanted(ana, "ssl_failure", group="obligations")


@pytest.mark.mission("E-46")
def test_it_counts_at_the_next_claim_of_what_waits_already(ana: Any) -> None:
    ana.publish({"type": "ssl_expiry", "severity": "high", "data": {"host": "shop.example.org"}})
    follow(ana, of_user())
    with ana.begin() as connection:
        (row,) = claim(connection, "email", 10, 30.0, monotonic()).rows
    ending = look_again(row, "email", datetime.now(UTC))
    assert ending is not None
    assert (ending.status, ending.reason) == ("suppressed", "preference")


def test_a_whole_group_is_stopped_with_what_the_user_had_switched_on_within_it(ana: Any) -> None:
    prefer(ana, "obligations", "ssl_failure", '{"email": true, "telegram": true}')
    assert follow(ana, of_user(), whole_group=True) is True
    for event in ("ssl_expiry", "ssl_failure", "obligation_due"):
        assert not wanted(ana, event, group="obligations")
    assert wanted(ana, "ssl_failure", channel="telegram", group="obligations")
    assert wanted(ana, "billing.payment-received", group="billing")


@pytest.mark.parametrize("whole_group", [False, True])
def test_what_was_wished_for_a_single_customer_is_overruled(ana: Any, whole_group: bool) -> None:
    prefer(ana, "obligations", "ssl_expiry", '{"email": true}', CUSTOMER)
    prefer(ana, "obligations", None, '{"email": true}', CUSTOMER)
    follow(ana, of_user(), whole_group=whole_group)
    assert not wanted(ana, "ssl_expiry", customer_id=CUSTOMER, group="obligations")
    assert wanted(ana, "ssl_failure", customer_id=CUSTOMER, group="obligations") is not whole_group
    assert wanted(ana, "ssl_failure", group="obligations") is not whole_group


def test_what_the_entry_says_of_other_channels_stays(ana: Any) -> None:
    prefer(ana, "obligations", "ssl_expiry", '{"telegram": false}')
    follow(ana, of_user())
    (entry,) = ana.execute("SELECT channels FROM preferences")
    assert entry.channels == {"telegram": False, "email": False}


@pytest.mark.parametrize("whole_group", [False, True])
def test_the_second_time_nothing_changes(ana: Any, whole_group: bool) -> None:
    follow(ana, of_user(), whole_group=whole_group)
    before = ana.execute("SELECT * FROM preferences"), ana.audit()
    assert follow(ana, of_user(), whole_group=whole_group) is False
    assert (ana.execute("SELECT * FROM preferences"), ana.audit()) == before


def test_the_audit_says_that_it_was_the_link(ana: Any) -> None:
    prefer(ana, "obligations", "ssl_expiry", '{"email": true}', CUSTOMER)
    follow(ana, of_user())
    entry = ana.audit()[-1]
    assert (entry.actor, entry.action, entry.subject) == ("unsubscribe link", "preference.unsubscribe", "ana")
    assert entry.before == {"switched_on": [{"event": "ssl_expiry", "customer_id": CUSTOMER}]}
    assert entry.after == {"group": "obligations", "event": "ssl_expiry", "channels": {"email": False}}
    assert entry.remote_address == "192.0.2.1"


def test_an_event_that_no_catalogue_lists_is_stopped_too(ana: Any) -> None:
    follow(ana, of_user(event="backup.failed"))
    assert not wanted(ana, "backup.failed", group="backup")
    assert wanted(ana, "backup.done", group="backup")


@pytest.mark.parametrize("whole_group", [False, True])
def test_a_user_who_was_erased_is_not_made_again(world: Any, whole_group: bool) -> None:
    assert follow(world, of_user("gone"), whole_group=whole_group) is False
    assert world.execute("SELECT FROM users") == []
    assert world.audit() == []


@pytest.mark.parametrize(("tenant", "user_id"), [("other", "ana"), ("acme", "bo")])
def test_what_others_wish_is_not_touched(ana: Any, tenant: str, user_id: str) -> None:
    ana.user(user_id, tenant=tenant, email="x@example.org")
    prefer(ana, "obligations", "ssl_expiry", '{"email": true}')
    ana.execute("UPDATE preferences SET tenant = :tenant, user_id = :user_id", tenant=tenant, user_id=user_id)
    follow(ana, of_user())
    found = {(row.tenant, row.user_id): row.channels for row in ana.execute("SELECT * FROM preferences")}
    assert found == {(tenant, user_id): {"email": True}, ("acme", "ana"): {"email": False}}


@pytest.mark.mission("E-27", "E-46")
def test_an_address_without_a_user_goes_on_the_suppression_list_for_the_event(world: Any) -> None:
    assert follow(world, of_address()) is True
    (row,) = world.execute("SELECT channel, address, event, reason, source FROM suppressions")
    assert row == ("email", "ops@example.org", "ssl_expiry", "unsubscribed", "unsubscribe")
    (entry,) = world.audit()
    assert (entry.actor, entry.action, entry.subject) == (
        "unsubscribe link",
        "suppression.add",
        "email O•••@example.org",
    )
    assert entry.after == {"events": ["ssl_expiry"], "reason": "unsubscribed"}
    assert follow(world, of_address()) is False
    assert len(world.audit()) == 1


def test_an_address_without_a_user_is_taken_out_of_a_whole_group_but_for_what_is_owed(world: Any) -> None:
    follow(world, of_address("identity.user-created"), whole_group=True)
    follow(world, of_address("ssl_expiry"), whole_group=True)
    events = {row.event for row in world.execute("SELECT event FROM suppressions")}
    assert {"identity.user-created", "ssl_expiry", "ssl_failure", "obligation_due", "obligation_overdue"} <= events
    assert "identity.password-changed" not in events
    assert "" not in events


@pytest.mark.parametrize(
    ("link", "who", "event", "group"),
    [
        (of_user(), "a•••@example.org", "SSL expiry", "Obligations"),
        (of_user(channel="sms"), "•••820", "SSL expiry", "Obligations"),
        (of_user(channel="push"), None, "SSL expiry", "Obligations"),
        (of_user("gone"), None, "SSL expiry", "Obligations"),
        (of_user(event="digest"), "a•••@example.org", "Digest", None),
        (of_user(event="backup.failed"), "a•••@example.org", "Backup failed", "Backup"),
        (of_address(), "O•••@example.org", "SSL expiry", "Obligations"),
        (of_address("backup.failed"), "O•••@example.org", "Backup failed", None),
    ],
)
def test_the_page_is_told_who_would_get_no_more_of_what(
    ana: Any, link: Unsubscribe, who: str | None, event: str, group: str | None
) -> None:
    ana.user("ana", phone="+4930901820")
    with ana.begin() as connection:
        found = offer(connection, link)
    assert (found.tenant, found.who, found.event, found.group) == ("acme", who, event, group)
    assert ana.execute("SELECT FROM preferences") == []


def test_the_id_of_an_entry_is_one_of_ours(ana: Any) -> None:
    follow(ana, of_user())
    assert UUID(str(ana.execute("SELECT id FROM preferences")[0][0])).version == 7
