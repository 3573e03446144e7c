"""Registered webhooks and their secrets."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvalidInputError
from pipeline.sealing import opened, webhook_secret_bytes, webhook_secret_text
from pipeline.webhooks import delete_webhook, get_webhook, list_webhooks, put_webhook, rotate_webhook

URL = "https://hooks.example.org/bellwire?token=abc"


def put(world: Any, name: str = "shop", user_id: str | None = None, **body: Any) -> dict[str, Any]:
    with world.begin() as connection:
        return put_webhook(
            connection,
            tenant="acme",
            user_id=user_id,
            name=name,
            body={"url": URL, **body},
            actor="key:k1",
        )


def stored(world: Any) -> Any:
    (row,) = world.execute("SELECT * FROM webhooks")
    return row


@pytest.mark.mission("B-5")
def test_the_secret_is_answered_when_it_is_made_and_never_again(world: Any) -> None:
    made = put(world, events=["billing.*"], headers={"X-Shop": "nordlicht"})
    assert len(webhook_secret_bytes(made["secret"])) == 32
    with world.begin() as connection:
        found = get_webhook(connection, tenant="acme", user_id=None, name="shop")
        (listed,), _ = list_webhooks(connection, tenant="acme", user_id=None)
    assert found == listed
    assert "secret" not in listed
    assert (listed["url"], listed["events"], listed["headers"]) == (URL, ["billing.*"], {"X-Shop": "nordlicht"})
    assert "secret" not in put(world)


def test_the_secret_is_stored_encrypted(world: Any) -> None:
    made = put(world)
    assert made["secret"].removeprefix("whsec_") not in stored(world).secret
    assert opened(stored(world).secret) == webhook_secret_bytes(made["secret"])


def test_a_given_secret_is_used(world: Any) -> None:
    mine = webhook_secret_text(b"s" * 24)
    assert put(world, secret=mine)["secret"] == mine
    assert opened(stored(world).secret) == b"s" * 24


def test_changing_a_webhook_keeps_its_id_and_secret(world: Any) -> None:
    made = put(world)
    changed = put(world, url="https://hooks.example.org/other", events=["order.*"])
    assert changed["id"] == made["id"]
    assert changed["url"].endswith("/other")
    assert webhook_secret_text(opened(stored(world).secret)) == made["secret"]


def test_rotating_answers_a_new_secret_and_keeps_the_old_one_for_a_day(world: Any) -> None:
    made = put(world)
    with world.begin() as connection:
        rotated = rotate_webhook(connection, tenant="acme", user_id=None, name="shop", actor="cli")
    assert rotated is not None
    assert rotated["secret"] != made["secret"]
    row = stored(world)
    assert webhook_secret_text(opened(row.secret)) == rotated["secret"]
    assert webhook_secret_text(opened(row.previous_secret)) == made["secret"]
    (left,) = world.execute("SELECT extract(epoch FROM previous_until - now()) AS seconds FROM webhooks")
    assert 86300 < left.seconds <= 86400


def test_putting_another_secret_rotates_and_putting_the_same_does_not(world: Any) -> None:
    first, second = webhook_secret_text(b"a" * 32), webhook_secret_text(b"b" * 32)
    put(world, secret=first)
    assert "secret" not in put(world, secret=first)
    assert stored(world).previous_secret is None
    assert put(world, secret=second)["secret"] == second
    assert opened(stored(world).previous_secret) == b"a" * 32


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://example.org"}, "url"),
        ({"url": 7}, "url"),
        ({"url": None}, "url"),
        ({"url": "http://127.0.0.1/x"}, "url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "https://user:pw@example.org/"}, "url"),
        ({"events": "billing.*"}, "events"),
        ({"events": ["billing.*", "a b"]}, "events[1]"),
        ({"headers": {"Content-Type": "text/xml"}}, "headers"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "headers"),
        ({"headers": {"X-A": 1}}, "headers"),
        ({"headers": []}, "headers"),
        ({"secret": "whsec_short"}, "secret"),
        ({"secret": 5}, "secret"),
        ({"retries": 3}, "retries"),
    ],
)
def test_what_cannot_be_used_is_refused_by_field(world: Any, body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        put(world, **body)
    assert raised.value.field == field
    assert world.execute("SELECT FROM webhooks") == []


@pytest.mark.mission("E-37")
def test_webhooks_belong_to_the_tenant_or_to_one_user(world: Any) -> None:
    put(world, "shop")
    put(world, "shop", user_id="u1", url="https://u1.example.org/")
    with world.begin() as connection:
        tenants, _ = list_webhooks(connection, tenant="acme", user_id=None)
        hers, _ = list_webhooks(connection, tenant="acme", user_id="u1")
        assert get_webhook(connection, tenant="acme", user_id="u2", name="shop") is None
        assert get_webhook(connection, tenant="other", user_id=None, name="shop") is None
        assert not delete_webhook(connection, tenant="acme", user_id="u2", name="shop", actor="cli")
        assert rotate_webhook(connection, tenant="acme", user_id="u2", name="shop", actor="cli") is None
    assert [one["url"] for one in tenants] == [URL]
    assert [one["url"] for one in hers] == ["https://u1.example.org/"]


@pytest.mark.mission("E-37")
def test_a_registered_webhook_is_told_of_the_next_event_and_a_deleted_one_is_not(world: Any) -> None:
    (first,) = world.publish({"type": "order.created", "data": {"order_id": 1}})
    put(world)
    (second,) = world.publish({"type": "order.created", "data": {"order_id": 2}})
    with world.begin() as connection:
        assert delete_webhook(connection, tenant="acme", user_id=None, name="shop", actor="cli")
    (third,) = world.publish({"type": "order.created", "data": {"order_id": 3}})
    assert [len(world.event(one)["deliveries"]) for one in (first, second, third)] == [0, 1, 0]
    assert world.event(second)["deliveries"][0]["address"] == "https://hooks.example.org/•••"


def test_the_audit_names_the_host_and_neither_path_nor_secret_nor_header(world: Any) -> None:
    made = put(world, headers={"Authorization": "Bearer hidden"})
    put(world, "own", user_id="u1")
    rows = world.execute("SELECT a::text AS row, subject FROM audit a ORDER BY id")
    assert [row.subject for row in rows] == ["shop", "u1/own"]
    for word in ("token=abc", "hidden", made["secret"]):
        assert not [row for row in rows if word in row.row]


def test_webhooks_are_listed_page_by_page(world: Any) -> None:
    for name in "abc":
        put(world, name)
    with world.begin() as connection:
        first, cursor = list_webhooks(connection, tenant="acme", user_id=None, limit=2)
        second, end = list_webhooks(connection, tenant="acme", user_id=None, limit=2, cursor=cursor)
    assert [one["name"] for one in first + second] == ["a", "b", "c"]
    assert end is None
