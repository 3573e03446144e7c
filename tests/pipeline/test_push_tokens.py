"""Push tokens: what is taken, what moves between users, what goes when there are too many."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.errors import InvalidInputError
from pipeline.push_tokens import MOST_ACTIVE, MOST_KEPT, active_tokens, deactivate, list_tokens, register, remove
from pipeline.users import delete_user

NOWHERE = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"


def ios(number: int = 1) -> str:
    return f"{number:064x}"


def android(number: int = 1) -> str:
    return f"fcm-{number:04d}:" + "A" * 140


def subscription(host: str = "push.example.org") -> dict[str, Any]:
    point = (
        ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    )
    keys = {"p256dh": written(point), "auth": written(b"0123456789abcdef")}
    return {"endpoint": f"https://{host}/send/abc", "expirationTime": None, "keys": keys}


def written(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def put(world: Any, token: Any = None, user_id: str = "ana", platform: str = "ios", **more: Any) -> dict[str, Any]:
    body = {"platform": platform, "token": ios() if token is None else token, **more}
    with world.begin() as connection:
        return register(
            connection, tenant="acme", user_id=user_id, body=body, actor=f"user:{user_id}", remote="192.0.2.7"
        ).shown


def drop(world: Any, user_id: str = "ana", **which: Any) -> bool:
    with world.begin() as connection:
        return remove(connection, tenant="acme", user_id=user_id, actor=f"user:{user_id}", **which)


def active(world: Any, user_id: str = "ana", tenant: str = "acme") -> list[str]:
    with world.begin() as connection:
        return active_tokens(connection, tenant=tenant, user_id=user_id)


@pytest.mark.mission("E-19")
def test_a_device_is_registered_for_a_user_whom_nobody_has_put_yet(world: Any) -> None:
    shown = put(world, device_id="iPhone of Ana")
    assert (shown["platform"], shown["device_id"], shown["is_active"]) == ("ios", "iPhone of Ana", True)
    assert "token" not in shown
    assert active(world) == [ios()]
    (row,) = world.audit()
    assert (row.actor, row.action, row.subject) == ("user:ana", "push_token.put", shown["id"])
    assert ios() not in str(row)


@pytest.mark.mission("E-19")
def test_the_same_token_again_is_the_same_device(world: Any) -> None:
    first = put(world, ios(10))
    again = put(world, ios(10).upper(), device_id="new name")
    assert (again["id"], again["device_id"]) == (first["id"], "new name")
    assert again["updated_at"] >= first["updated_at"]
    assert active(world) == [ios(10)]


@pytest.mark.mission("E-19")
@pytest.mark.mission("E-43")
def test_a_token_that_comes_with_another_user_is_that_users_from_now_on(world: Any) -> None:
    first = put(world)
    assert put(world, user_id="bo")["id"] == first["id"]
    assert (active(world), active(world, "bo")) == ([], [ios()])
    row = world.audit()[-1]
    assert (row.before, row.after) == ({"user_id": "ana"}, {"platform": "ios", "user_id": "bo"})


def test_the_same_token_in_two_tenants_is_two_devices(world: Any) -> None:
    put(world)
    with world.begin() as connection:
        body = {"platform": "ios", "token": ios()}
        register(connection, tenant="other", user_id="ana", body=body, actor="user:ana")
    assert active(world) == active(world, tenant="other") == [ios()]


@pytest.mark.mission("E-18")
def test_what_a_provider_does_not_know_any_more_sleeps_until_it_is_registered_again(world: Any) -> None:
    ids = [put(world, ios(number))["id"] for number in (1, 2, 3)]
    with world.begin() as connection:
        assert deactivate(connection, [*ids[:2], NOWHERE]) == [("acme", "ana")] * 2
        assert deactivate(connection, ids[:2]) == []
        assert deactivate(connection, []) == []
    assert active(world) == [ios(3)]
    assert put(world, ios(1))["is_active"]
    assert active(world) == [ios(1), ios(3)]


@pytest.mark.mission("E-19")
def test_of_too_many_devices_the_oldest_sleep_and_the_longest_asleep_are_forgotten(world: Any) -> None:
    for number in range(MOST_ACTIVE + 3):
        put(world, ios(number))
    assert active(world) == [ios(number) for number in range(MOST_ACTIVE + 2, 2, -1)]
    assert world.audit()[-1].after["deactivated"] == 1
    put(world, ios(0))
    assert active(world)[0] == ios(0)
    for number in range(100, 100 + MOST_KEPT):
        put(world, ios(number))
    (row,) = world.execute("SELECT count(*) AS kept, count(*) FILTER (WHERE is_active) AS active FROM push_tokens")
    assert (row.kept, row.active) == (MOST_KEPT, MOST_ACTIVE)
    assert active(world)[0] == ios(100 + MOST_KEPT - 1)


def test_devices_that_come_at_once_are_no_more_than_may_be(world: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: put(world, ios(number)), range(40)))
    assert len(active(world)) == MOST_ACTIVE


@pytest.mark.mission("E-12")
def test_a_browsers_subscription_is_taken_as_an_object_and_as_text(world: Any) -> None:
    given = subscription()
    first = put(world, given, platform="web")
    assert put(world, json.dumps(given, indent=1), platform="web")["id"] == first["id"]
    (token,) = active(world)
    assert json.loads(token)["keys"]["auth"] == given["keys"]["auth"]
    assert drop(world, body={"token": given})


@pytest.mark.mission("E-19")
def test_the_newest_device_comes_first_and_lists_have_pages(world: Any) -> None:
    ids = [put(world, android(number), platform="android")["id"] for number in range(5)]
    seen, cursor = [], None
    while True:
        with world.begin() as connection:
            page, cursor = list_tokens(connection, tenant="acme", user_id="ana", cursor=cursor, limit=2)
        seen += [one["id"] for one in page]
        if cursor is None:
            break
    assert seen == ids[::-1]


@pytest.mark.parametrize("which", ["id", "token", "token and platform"])
def test_a_device_is_forgotten_by_its_id_or_by_its_token(world: Any, which: str) -> None:
    known = put(world, android(), platform="android")["id"]
    body = {"token": android()} | ({"platform": "android"} if "platform" in which else {})
    assert drop(world, **({"token_id": known} if which == "id" else {"body": body}))
    assert active(world) == []
    assert not drop(world, **({"token_id": known} if which == "id" else {"body": body}))
    assert [row.action for row in world.audit()] == ["push_token.put", "push_token.delete"]


def test_nobody_forgets_anothers_device(world: Any) -> None:
    known = put(world)["id"]
    assert not drop(world, "bo", token_id=known)
    assert not drop(world, "bo", body={"token": ios()})
    assert active(world) == [ios()]


WRONG = [
    ({"platform": "windows", "token": "x"}, "platform"),
    ({"platform": ["ios"], "token": "x"}, "platform"),
    ({"token": ios()}, "platform"),
    ({"platform": "ios"}, "token"),
    ({"platform": "ios", "token": ""}, "token"),
    ({"platform": "ios", "token": 5}, "token"),
    ({"platform": "ios", "token": {"endpoint": "x"}}, "token"),
    ({"platform": "ios", "token": "z" * 64}, "token"),
    ({"platform": "ios", "token": "a" * 10_240}, "token"),
    ({"platform": "android", "token": "A" * 10_240}, "token"),
    ({"platform": "android", "token": "A" * 64 + "\0"}, "token"),
    ({"platform": "android", "token": "\ud800" * 64}, "token"),
    ({"platform": "web", "token": "{}"}, "token"),
    ({"platform": "web", "token": {"endpoint": "\ud800"}}, "token"),
    ({"platform": "web", "token": {**subscription("127.0.0.1")}}, "token"),
    ({"platform": "web", "token": {**subscription(), "keys": None}}, "token"),
    ({"platform": "ios", "token": ios(), "device_id": "x" * 300}, "device_id"),
    ({"platform": "ios", "token": ios(), "device_id": "a\nb"}, "device_id"),
    ({"platform": "ios", "token": ios(), "colour": "red"}, "colour"),
    ([], ""),
    (None, ""),
]


@pytest.mark.mission("E-19")
@pytest.mark.parametrize(("body", "field"), WRONG, ids=range(len(WRONG)))
def test_what_is_no_device_is_refused_by_field_and_stores_nothing(world: Any, body: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as raised, world.begin() as connection:
        register(connection, tenant="acme", user_id="ana", body=body, actor="user:ana")
    assert raised.value.field == field
    assert "aaaa" not in str(raised.value)
    assert world.execute("SELECT id FROM push_tokens") == []


@pytest.mark.parametrize(
    ("which", "field"),
    [({"token_id": "x"}, "id"), ({"body": {}}, "token"), ({"body": {"token": []}}, "token"), ({"body": 7}, "")],
)
def test_what_names_no_device_is_refused(world: Any, which: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        drop(world, **which)
    assert raised.value.field == field


def test_a_cursor_that_no_list_has_answered_is_refused(world: Any) -> None:
    with world.begin() as connection, pytest.raises(InvalidInputError) as raised:
        list_tokens(connection, tenant="acme", user_id="ana", cursor="eA")
    assert raised.value.field == "cursor"


def test_erasing_a_user_forgets_the_devices(world: Any) -> None:
    put(world)
    with world.begin() as connection:
        delete_user(connection, tenant="acme", user_id="ana", actor="cli")
    assert world.execute("SELECT id FROM push_tokens") == []
