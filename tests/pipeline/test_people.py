"""The people behind what routes ask for."""

from __future__ import annotations

from typing import Any

import pytest

from domain.event import Person
from domain.recipients import Wish
from pipeline.people import find_people
from pipeline.webhooks import put_webhook

CUSTOMER = "0191f2a0-0000-7000-8000-000000000001"


@pytest.fixture
def team(world: Any) -> Any:
    """u1 and u2 have the role ops, u2 and u3 belong to a customer; another tenant has a u1 of its own."""
    world.user("u1", email="u1@example.org", roles=["ops"])
    world.user("u2", email="u2@example.org", roles=["ops"], customers=[CUSTOMER])
    world.user("u3", phone="+4915112345678", telegram_chat_id="7", customers=[CUSTOMER], locale="de", name="Ute")
    world.user("u1", tenant="other", email="stranger@example.org", roles=["ops"], customers=[CUSTOMER])
    return world


def find(world: Any, *wishes: Wish, tenant: str = "acme") -> dict[Wish, list[Person]]:
    with world.begin() as connection:
        return {
            wish: people for (_, wish), people in find_people(connection, [(tenant, one) for one in wishes]).items()
        }


@pytest.mark.mission("C-3")
@pytest.mark.parametrize(
    ("wish", "found"),
    [
        pytest.param(Wish("user", "u1"), ["u1"], id="user"),
        pytest.param(Wish("role", "ops"), ["u1", "u2"], id="role"),
        pytest.param(Wish("customer", CUSTOMER), ["u2", "u3"], id="customer"),
    ],
)
def test_a_wish_finds_the_users_of_its_tenant(team: Any, wish: Wish, found: list[str]) -> None:
    assert [one.user_id for one in find(team, wish)[wish]] == found


@pytest.mark.parametrize("wish", [Wish("user", "ghost"), Wish("role", "none"), Wish("user", ""), Wish("role", "OPS")])
def test_a_wish_that_nobody_fulfils_is_not_among_the_answers(team: Any, wish: Wish) -> None:
    assert find(team, wish) == {}


def test_many_wishes_of_all_kinds_and_tenants_are_answered_at_once(team: Any) -> None:
    wishes = [("acme", Wish("user", "u1")), ("other", Wish("user", "u1")), ("acme", Wish("customer", CUSTOMER))]
    with team.begin() as connection:
        found = find_people(connection, wishes)
    assert [found[wish][0].addresses.get("email") for wish in wishes] == [
        "u1@example.org",
        "stranger@example.org",
        "u2@example.org",
    ]


def test_a_user_comes_with_name_locale_and_an_address_a_channel(team: Any) -> None:
    ((user,),) = find(team, Wish("user", "u3")).values()
    assert (user.name, user.locale, user.addresses) == ("Ute", "de", {"sms": "+4915112345678", "telegram": "7"})


@pytest.mark.mission("A-2")
def test_a_user_comes_with_his_preferences(team: Any) -> None:
    team.execute(
        "INSERT INTO preferences (id, tenant, user_id, group_name, event, customer_id, channels) VALUES "
        "(gen_random_uuid(), 'acme', 'u1', 'billing', 'billing.paid', cast(:customer AS uuid), '{\"email\": false}')",
        customer=CUSTOMER,
    )
    ((user,),) = find(team, Wish("user", "u1")).values()
    (entry,) = user.preferences
    assert (entry.group, entry.event, entry.customer_id, entry.channels) == (
        "billing",
        "billing.paid",
        CUSTOMER,
        {"email": False},
    )


@pytest.mark.mission("E-37")
def test_a_user_comes_with_his_own_webhooks_and_not_with_the_tenants(team: Any) -> None:
    with team.begin() as connection:
        for owner in ("u1", None):
            body = {"url": f"https://hooks.example.org/{owner}", "events": ["a.*"]}
            put_webhook(connection, tenant="acme", user_id=owner, name="w", body=body, actor="cli")
    ((user,),) = find(team, Wish("user", "u1")).values()
    assert [(one.url, one.events) for one in user.webhooks] == [("https://hooks.example.org/u1", ("a.*",))]


def test_wishing_nothing_asks_nothing(world: Any) -> None:
    with world.begin() as connection:
        connection.close()
        assert find_people(connection, []) == {}
