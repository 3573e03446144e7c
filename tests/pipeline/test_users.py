"""Users: what is taken, what is refused, what is left when one is erased."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import settings
from domain.errors import InvalidInputError
from pipeline.sealing import _seal, opened
from pipeline.setup import ensure_tenant
from pipeline.users import delete_user, get_user, list_users, put_user
from pipeline.webhooks import list_webhooks, put_webhook

CUSTOMER = "6f1c2a9e-4b1d-4f0a-9c55-2f3f8f7c1a01"


def put(world: Any, user_id: str = "u1", **body: Any) -> dict[str, Any]:
    with world.begin() as connection:
        return put_user(connection, tenant="acme", user_id=user_id, body=body, actor="key:k1", remote="192.0.2.7")


def test_a_user_is_answered_as_it_was_put(world: Any) -> None:
    body = {
        "email": "Ada@Example.org",
        "phone": "+49 30 901820",
        "telegram_chat_id": -1001700000001,
        "locale": "pt_BR",
        "time_zone": "Europe/Berlin",
        "roles": ["operations", "finance"],
        "customers": [CUSTOMER],
        "quiet_hours": {"from": "22:00", "to": "07:00"},
        "digest": {"cron": "0 8 * * 1-5"},
    }
    stored = put(world, **body)
    with world.begin() as connection:
        assert get_user(connection, tenant="acme", user_id="u1") == stored
    assert stored["email"] == "Ada@example.org"
    assert stored["phone"] == "+4930901820"
    assert stored["telegram_chat_id"] == "-1001700000001"
    assert stored["locale"] == "pt-BR"
    assert stored["roles"] == ["finance", "operations"]
    assert stored["customers"] == [CUSTOMER]
    assert stored["quiet_hours"] == {"from": "22:00", "to": "07:00"}
    assert stored["digest"] == {"cron": "0 8 * * 1-5"}


def test_put_merges_lists_are_replaced_and_null_clears(world: Any) -> None:
    put(world, email="a@example.org", roles=["operations", "finance"], time_zone="Europe/Berlin")
    stored = put(world, roles=["support"], time_zone=None)
    assert stored["email"] == "a@example.org"
    assert stored["roles"] == ["support"]
    assert stored["time_zone"] is None
    assert put(world, roles=None)["roles"] == []
    assert put(world)["email"] == "a@example.org"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "no address"}, "email"),
        ({"email": "a@b\r\nBcc: x@y.z"}, "email"),
        ({"email": 7}, "email"),
        ({"phone": "030 901820"}, "phone"),
        ({"phone": "+49 30 901820 ext. 5"}, "phone"),
        ({"whatsapp": "+1"}, "whatsapp"),
        ({"telegram_chat_id": "ada"}, "telegram_chat_id"),
        ({"telegram_chat_id": True}, "telegram_chat_id"),
        ({"locale": "klingon"}, "locale"),
        ({"locale": "../en"}, "locale"),
        ({"time_zone": "Berlin"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": ["Europe/Berlin"]}, "time_zone"),
        ({"roles": "operations"}, "roles"),
        ({"roles": ["operations", 3]}, "roles[1]"),
        ({"customers": ["nordlicht"]}, "customers[0]"),
        ({"quiet_hours": {"from": "22:00"}}, "quiet_hours.to"),
        ({"quiet_hours": {"from": "22:00", "to": "24:00"}}, "quiet_hours.to"),
        ({"quiet_hours": {"from": "22:00", "to": "22:00"}}, "quiet_hours"),
        ({"quiet_hours": {"from": "22:00", "to": "07:00", "on": "mon"}}, "quiet_hours.on"),
        ({"digest": {"cron": "yearly"}}, "digest.cron"),
        ({"digest": {"cron": "0 8 30 2 *"}}, "digest.cron"),
        ({"digest": {"cron": "61 8 * * *"}}, "digest.cron"),
        ({"name": "a\x00b"}, "name"),
        ({"apprise": "json://127.0.0.1/"}, "apprise"),
        ({"apprise": ["discord://a/b"]}, "apprise"),
        ({"disabled_channels": "email"}, "disabled_channels"),
        ({"disabled_channels": ["email", "fax"]}, "disabled_channels[1]"),
        ({"shoe_size": 44}, "shoe_size"),
        ([], ""),
    ],
)
def test_what_cannot_be_used_is_refused_by_field_and_stores_nothing(world: Any, body: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as raised, world.begin() as connection:
        put_user(connection, tenant="acme", user_id="u1", body=body, actor="cli")
    assert raised.value.field == field
    with world.begin() as connection:
        assert get_user(connection, tenant="acme", user_id="u1") is None


@pytest.mark.parametrize("user_id", ["", "x" * 256, "a\nb"])
def test_an_id_that_cannot_be_one_is_refused(world: Any, user_id: str) -> None:
    with world.begin() as connection, pytest.raises(InvalidInputError) as raised:
        put_user(connection, tenant="acme", user_id=user_id, body={}, actor="cli")
    assert raised.value.field == "user_id"


DISCORD = f"discord://{'1' * 18}/{'top-secret' * 6}"


def test_an_apprise_address_is_sealed_and_only_its_service_is_shown(world: Any) -> None:
    stored = put(world, apprise=DISCORD)
    assert stored["apprise"].startswith("discord://•••")
    (row,) = world.execute("SELECT apprise, u::text AS row FROM users u")
    assert opened(row.apprise).decode() == DISCORD
    assert "top-secret" not in f"{row.row} {stored} {world.audit()}"
    assert put(world, email="a@example.org")["apprise"] == stored["apprise"]
    assert put(world, apprise=None)["apprise"] is None


def test_a_user_is_shown_although_the_key_to_his_apprise_address_is_gone(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(world, apprise=DISCORD)
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", "n" * 40)
    for cached in (settings, _seal, opened):
        cached.cache_clear()
    with world.begin() as connection:
        found = get_user(connection, tenant="acme", user_id="u1")
    opened.cache_clear()
    assert found is not None
    assert found["apprise"].startswith("apprise://•••")


def test_channels_are_switched_off_by_any_of_their_names(world: Any) -> None:
    assert put(world)["disabled_channels"] == []
    stored = put(world, disabled_channels=["websocket", "sms", "email", "system", "sms"])
    assert stored["disabled_channels"] == ["email", "sms", "in_app"]
    assert world.audit()[-1].after["disabled_channels"] == ["email", "sms", "in_app"]
    assert put(world, disabled_channels=None)["disabled_channels"] == []


def test_users_are_listed_page_by_page(world: Any) -> None:
    for number in range(5):
        put(world, f"u{number}", email=f"u{number}@example.org")
    world.user("stranger", tenant="other")
    seen, cursor = [], None
    while True:
        with world.begin() as connection:
            page, cursor = list_users(connection, tenant="acme", cursor=cursor, limit=2)
        seen += [one["id"] for one in page]
        if cursor is None:
            break
    assert seen == ["u0", "u1", "u2", "u3", "u4"]


@pytest.mark.parametrize(
    ("values", "field"), [({"cursor": "u3"}, "cursor"), ({"limit": 0}, "limit"), ({"limit": 201}, "limit")]
)
def test_a_page_that_cannot_be_had_is_refused(world: Any, values: dict[str, Any], field: str) -> None:
    with world.begin() as connection, pytest.raises(InvalidInputError) as raised:
        list_users(connection, tenant="acme", **values)
    assert raised.value.field == field


def test_the_audit_says_which_fields_changed_and_no_address(world: Any) -> None:
    put(world, email="secret@example.org", roles=["operations"])
    (row,) = world.audit()
    assert (row.actor, row.action, row.subject, row.remote_address) == ("key:k1", "user.put", "u1", "192.0.2.7")
    assert row.after == {"changed": ["email", "roles"], "roles": ["operations"]}


def test_another_tenants_user_is_not_there(world: Any) -> None:
    put(world, email="a@example.org")
    with world.begin() as connection:
        assert get_user(connection, tenant="other", user_id="u1") is None
        assert not delete_user(connection, tenant="other", user_id="u1", actor="cli")
        assert get_user(connection, tenant="acme", user_id="u1") is not None


def test_erasing_leaves_no_address_name_or_word_of_the_user(world: Any) -> None:
    put(world, name="Ada Lindqvist", email="ada@example.org", telegram_chat_id="710000001", roles=["operations"])
    put(world, "u2", email="bo@example.org", roles=["operations"])
    with world.begin() as connection:
        put_webhook(
            connection, tenant="acme", user_id="u1", name="mine", body={"url": "https://ada.example.org/x"}, actor="u"
        )
    (event_id,) = world.publish({"type": "ssl_failure", "data": {"host": "shop.example.org"}})
    world.refuse("telegram")
    with world.begin() as connection:
        assert delete_user(connection, tenant="acme", user_id="u1", actor="cli")
        assert get_user(connection, tenant="acme", user_id="u1") is None
        assert list_webhooks(connection, tenant="acme", user_id="u1") == ([], None)
    hers = world.notification(event_id, "u1")
    assert {one["status"] for one in hers["deliveries"]} == {"sent", "cancelled"}  # the inbox is sent at the commit
    assert hers["title"] == hers["content"] == ""
    left = world.execute(
        "SELECT d::text AS row FROM deliveries d UNION ALL SELECT n::text FROM notifications n "
        "UNION ALL SELECT l::text FROM dead_letters l UNION ALL SELECT a::text FROM audit a"
    )
    for word in ("ada@", "Lindqvist", "710000001", "ada.example.org"):
        assert not [row for row in left if word in row.row]
    assert [one["status"] for one in world.notification(event_id, "u2")["deliveries"] if one["channel"] == "email"] == [
        "queued"
    ]


def test_erasing_empties_events_that_told_nobody_else_and_what_providers_answered(world: Any) -> None:
    put(world, email="ada@example.org")
    put(world, "u2", email="bo@example.org")
    said = {"type": "task.failed", "data": {"task": "of Ada's"}, "recipients": ["u1"]}
    alone, together = world.publish(said, {**said, "data": {"task": "of theirs"}, "recipients": ["u1", "u2"]})
    world.refuse("email", "550 ada@example.org is unknown")
    with world.begin() as connection:
        assert delete_user(connection, tenant="acme", user_id="u1", actor="cli")
    assert world.event(alone)["data"] == {}
    assert world.event(together)["data"] == {"task": "of theirs"}
    rows = world.execute(
        "SELECT a.detail, n.user_id FROM attempts a JOIN deliveries d ON d.id = a.delivery_id"
        " JOIN notifications n ON n.id = d.notification_id"
    )
    assert {row.user_id for row in rows if row.detail} == {"u2"}


def test_a_user_of_a_tenant_that_is_new_needs_nothing_else(world: Any) -> None:
    with world.begin() as connection:
        ensure_tenant(connection, "fresh")
        stored = put_user(connection, tenant="fresh", user_id="u1", body={}, actor="cli")
    assert stored["roles"] == []
