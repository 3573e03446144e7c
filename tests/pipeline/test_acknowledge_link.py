"""Acknowledging by a link: in the name of whom the message told, as far as that one may."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvalidInputError
from pipeline.acknowledge import MOST_NOTE
from pipeline.acknowledge_link import acknowledge_by_link, read_told
from pipeline.links import Acknowledge

SSL = {"type": "ssl_failure", "data": {"host": "shop.example.org"}}


@pytest.fixture
def team(world: Any) -> Any:
    for user in ("ada", "bo"):
        world.user(user, email=f"{user}@example.org", roles=["operations"])
    return world


def link_of(world: Any, event_id: str, recipient: str) -> Acknowledge:
    return Acknowledge("acme", world.notification(event_id, recipient)["id"])


def follow(world: Any, link: Acknowledge, note: str | None = None) -> Any:
    with world.begin() as connection:
        return acknowledge_by_link(connection, link, note=note, remote="192.0.2.1")


@pytest.mark.mission("B-14", "B-15")
def test_an_admins_link_takes_the_issue_for_everyone_in_the_admins_name(team: Any) -> None:
    (event,) = team.publish(SSL)
    told, taken = follow(team, link_of(team, event, "ada"), "I renew it.")
    assert taken
    assert (told.taken_by, told.note, told.for_everyone) == ("ada", "I renew it.", True)
    assert {one["status"] for one in team.deliveries(channel="email")} == {"cancelled"}
    assert team.notification(event, "bo")["ack_by_user_id"] == "ada"
    entry = team.audit()[-1]
    assert (entry.actor, entry.action, entry.after["by"]) == ("acknowledge link", "issue.acknowledge", "ada")
    assert entry.remote_address == "192.0.2.1"


def test_a_customers_link_takes_it_for_the_customer_alone(team: Any) -> None:
    customer = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
    for user in ("cy", "di"):
        team.user(user, email=f"{user}@example.org", customers=[customer])
    (event,) = team.publish({"type": "order.failed", "customer_id": customer, "data": {"order_number": 7}})
    told, taken = follow(team, link_of(team, event, "cy"))
    assert taken
    assert told.for_everyone is False
    assert team.notification(event, "di")["ack_by_user_id"] is None


def test_the_second_one_is_told_by_whom_it_was_taken_and_changes_nothing(team: Any) -> None:
    (event,) = team.publish(SSL)
    follow(team, link_of(team, event, "ada"), "mine")
    before = team.audit()
    told, taken = follow(team, link_of(team, event, "bo"), "no, mine")
    assert not taken
    assert (told.taken_by, told.note) == ("ada", "mine")
    assert team.audit() == before


def test_an_address_without_a_user_takes_it_under_its_masked_name(world: Any) -> None:
    (event,) = world.publish({**SSL, "recipients": [{"email": "ops@example.org"}]})
    (notification,) = world.event(event)["notifications"]
    told, taken = follow(world, Acknowledge("acme", notification["id"]))
    assert taken
    assert told.taken_by == "o•••@example.org"


def test_looking_changes_nothing(team: Any) -> None:
    (event,) = team.publish(SSL)
    link, before = link_of(team, event, "ada"), team.audit()
    with team.begin() as connection:
        told = read_told(connection, link)
    assert told is not None
    assert (told.severity, told.taken_by, told.title) == ("critical", None, "The SSL check of shop.example.org failed")
    assert {one["status"] for one in team.deliveries(channel="email")} == {"queued"}
    assert team.audit() == before


@pytest.mark.parametrize("tenant", ["acme", "other"])
def test_what_was_deleted_or_is_another_tenants_is_nothing(team: Any, tenant: str) -> None:
    (event,) = team.publish(SSL)
    link = Acknowledge(tenant, link_of(team, event, "ada").notification_id)
    if tenant == "acme":
        team.execute("UPDATE notifications SET deleted_at = now()")
    with team.begin() as connection:
        assert read_told(connection, link) is None
    assert follow(team, link) == (None, None)


@pytest.mark.parametrize("note", ["x" * (MOST_NOTE + 1), "a\0b", "\ud800"])
def test_a_note_that_cannot_be_stored_is_refused(team: Any, note: str) -> None:
    (event,) = team.publish(SSL)
    with pytest.raises(InvalidInputError, match=r"^note: "):
        follow(team, link_of(team, event, "ada"), note)
