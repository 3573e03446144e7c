"""A user's devices over HTTP, and their view in Redis."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.api.test_access import is_problem
from tests.support.api import Api, running

PATH = "/v1/users/me/push-tokens"
TOKEN = "0f" * 32


@pytest.fixture(autouse=True)
def tenants(api: Api) -> None:
    """A token is of a tenant that exists."""
    for tenant in ("default", "globex"):
        api.key("admin", tenant)


def view(servers: Mapping[str, str], user_id: str) -> tuple[set[str], int]:
    """What stands in Redis for a user, and for how many seconds."""
    with redis.Redis.from_url(servers["redis"], decode_responses=True) as client:
        key = f"push_tokens:default:{user_id}"
        return set(client.smembers(key)), int(client.ttl(key))  # type: ignore[arg-type]


@pytest.mark.mission("E-19")
def test_a_device_is_registered_listed_and_forgotten(api: Api, servers: Mapping[str, str]) -> None:
    with api.user("ana") as ana:
        made = ana.post(PATH, json={"platform": "ios", "token": TOKEN, "device_id": "iPhone"})
        assert made.status_code == 201
        assert ana.get(PATH).json() == {"push_tokens": [made.json()], "next_cursor": None}
        shown, lasts = view(servers, "ana")
        assert (shown, 86_000 < lasts <= 86_400) == ({TOKEN}, True)
        assert ana.request("DELETE", PATH, json={"platform": "ios", "token": TOKEN}).status_code == 204
        assert ana.get(PATH).json()["push_tokens"] == []
        assert is_problem(ana.request("DELETE", PATH, json={"token": TOKEN}), 404)
        assert view(servers, "ana") == (set(), -2)
        again = ana.post(PATH, json={"platform": "ios", "token": TOKEN}).json()
        assert ana.delete(f"{PATH}/{again['id']}").status_code == 204
        assert is_problem(ana.delete(f"{PATH}/{again['id']}"), 404)
        assert is_problem(ana.delete(f"{PATH}/x"), 400)


@pytest.mark.mission("E-19")
def test_a_device_that_changes_hands_leaves_the_view_of_who_had_it(api: Api, servers: Mapping[str, str]) -> None:
    token = "1f" * 32
    with api.user("cem") as cem, api.user("dora") as dora:
        cem.post(PATH, json={"platform": "ios", "token": token})
        dora.post(PATH, json={"platform": "ios", "token": token})
        assert cem.get(PATH).json()["push_tokens"] == []
    assert (view(servers, "cem")[0], view(servers, "dora")[0]) == (set(), {token})


def test_erasing_a_user_empties_the_view(api: Api, servers: Mapping[str, str]) -> None:
    with api.user("gus") as gus, api.client("admin") as admin:
        gus.post(PATH, json={"platform": "ios", "token": "4f" * 32})
        assert admin.delete("/v1/users/gus").status_code == 204
    assert view(servers, "gus") == (set(), -2)


def test_a_users_devices_are_nobody_elses(api: Api) -> None:
    with api.user("eva") as eva, api.user("finn") as finn, api.user("eva", tenant="globex") as stranger:
        made = eva.post(PATH, json={"platform": "ios", "token": "2f" * 32}).json()
        for other in (finn, stranger):
            assert other.get(PATH).json()["push_tokens"] == []
            assert is_problem(other.delete(f"{PATH}/{made['id']}"), 404)


def test_a_key_has_no_devices_and_nobody_has_none_either(api: Api) -> None:
    with api.client("admin") as admin, api.client(None) as nobody:
        assert is_problem(admin.get(PATH), 403)
        assert is_problem(admin.post(PATH, json={"platform": "ios", "token": TOKEN}), 403)
        assert is_problem(nobody.get(PATH), 401, "notifications_m.invalid_user_id")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"platform": "ios", "token": "' + b"a" * 10_240 + b'"}',
        b'{"platform": "android", "token": "\\u0000\\ud800' + b"a" * 64 + b'"}',
        b'{"platform": "web", "token": {"endpoint": "http://169.254.169.254/", "keys": {"p256dh": "a", "auth": "b"}}}',
        b'{"platform": "web", "token": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
        b'{"platform": {"ios": 1}, "token": []}',
        b'{"platform": "ios", "token": 1e400}',
    ],
    ids=range(9),
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_whatever_is_sent_the_answer_is_a_clear_400(api: Api, method: str, body: bytes) -> None:
    with api.user("ana") as ana:
        answer = ana.request(method, PATH, content=body)
    assert is_problem(answer, 400)
    assert "aaaa" not in answer.text


@pytest.mark.mission("E-12")
def test_browsers_get_the_key_to_subscribe_with_once_there_is_one(
    api: Api, module_database_url: str, servers: Mapping[str, str], tmp_path: Any
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "vapid.pem").write_bytes(pem)
    with api.client(None) as nobody:
        assert is_problem(nobody.get("/v1/push/vapid-key"), 404)
    settings = {
        "BELLWIRE_BROKER_URL": servers["broker"],
        "BELLWIRE_VAPID_PRIVATE_KEY": str(tmp_path / "vapid.pem"),
    }
    with (
        running(module_database_url, tmp_path, **settings) as set_up,
        set_up.client(None) as nobody,
        set_up.user("zoe") as zoe,
    ):
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        shown = nobody.get("/v1/push/vapid-key").json()["public_key"]
        assert base64.urlsafe_b64decode(shown + "=" * (-len(shown) % 4)) == point
        # There is no Redis here, and devices are registered all the same.
        assert zoe.post(PATH, json={"platform": "ios", "token": "3f" * 32}).status_code == 201
