"""Who may do what: keys by role, users by token, and nobody across tenants."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from tests.support.api import JWT_SECRET, Api, token

ID = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
ROLES = ("publisher", "operator", "admin")


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> bool:
    """Whether it is that problem, in the one form that errors have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert {"type", "title", "status", "detail", "code", "field"} <= said.keys()
    assert said["status"] == status
    assert code is None or said["code"] == code, said
    return True


@pytest.mark.mission("D-19", "D-34")
@pytest.mark.parametrize("path", ["/v1/notifications", f"/v1/notifications/{ID}"])
def test_what_is_a_users_own_is_opened_by_no_key(api: Api, path: str) -> None:
    for role in ROLES:
        with api.client(role) as client:
            assert is_problem(client.get(path), 403, "bellwire.role_too_low")
    with api.client(None) as nobody:
        refused = nobody.get(path)
    assert is_problem(refused, 401, "notifications_m.invalid_user_id")
    assert "X-API-Key" in refused.headers["www-authenticate"]
    assert "X-API-Key" in refused.json()["detail"]


def test_a_users_token_with_a_role_has_its_power(api: Api) -> None:
    api.key("admin")  # makes the tenant
    with api.user("boss", role="operator") as client:
        assert client.get("/v1/deliveries").status_code == 200
        assert is_problem(client.put("/v1/routes/r1", json={}), 403)


def test_a_role_of_the_platforms_own_gives_no_power(api: Api) -> None:
    with api.user("boss", role="superuser") as client:
        assert is_problem(client.get("/v1/deliveries"), 403)


@pytest.mark.parametrize(
    "header", [{"X-API-Key": "{}"}, {"Authorization": "Bearer {}"}, {"Authorization": "bearer  {}"}]
)
def test_a_key_comes_in_either_header(api: Api, header: dict[str, str]) -> None:
    headers = {name: value.format(api.key("operator")) for name, value in header.items()}
    with api.client(None, **headers) as client:
        assert client.get("/v1/events").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer bw_" + "A" * 43},
        {"Authorization": "Bearer bw_"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Bearer " + "x" * 20_000},
        {"Authorization": "Bearer ....."},
        {"X-API-Key": "bw_é"},
        {"X-API-Key": "' OR 1=1 --"},
    ],
)
def test_what_is_no_key_and_no_token_is_refused(api: Api, headers: dict[str, str]) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    answer = httpx.get(f"{api.url}/v1/events", headers=encoded, trust_env=False, verify=False)
    assert is_problem(answer, 401)


@pytest.mark.parametrize(
    ("method", "path", "body"), [("GET", "/v1/events", None), ("POST", "/v1/events", {"type": "task.failed"})]
)
def test_a_revoked_key_is_worthless_at_once(api: Api, method: str, path: str, body: Any) -> None:
    new = api.new_key("operator")
    with api.client(None, Authorization=f"Bearer {new.key}") as client:
        assert client.request(method, path, json=body).is_success
        assert client.request(method, path, json=body).is_success  # it is remembered now
        api.rows("UPDATE api_keys SET revoked_at = now() WHERE id = %s", new.id)
        before = api.rows("SELECT count(*) FROM events")
        assert is_problem(client.request(method, path, json=body), 401)
        assert api.rows("SELECT count(*) FROM events") == before


def test_a_users_webhooks_are_the_users_own(api: Api) -> None:
    with api.client() as tenant, api.user("ana") as ana, api.user("ben") as ben:
        assert "secret" in ana.put("/v1/webhooks/mine", json={"url": "https://ana.example.org/"}).json()
        assert ana.get("/v1/webhooks/mine").json()["user_id"] == "ana"
        assert is_problem(ben.get("/v1/webhooks/mine"), 404)
        assert is_problem(tenant.get("/v1/webhooks/mine"), 404)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"aud": None},
        {"sub": None},
        {"tenant": None},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"nbf": 4_000_000_000},
        {"aud": "somebody else"},
        {"tenant": "a tenant that does not exist"},
        {"tenant": 7},
        {"tenant": "a\0b"},
        {"customers": ["not a uuid"]},
        {"customers": "everything"},
        {"customers": {"a": 1}},
        {"secret": "not the secret that the API knows, but long enough"},
    ],
)
@pytest.mark.mission("D-34")
def test_a_token_that_lacks_anything_is_refused(api: Api, claims: dict[str, Any]) -> None:
    answer = bearer(api, token("u1", **{"tenant": "default", **claims})).get("/v1/webhooks")
    assert is_problem(answer, 401, "notifications_m.invalid_user_id")


@pytest.mark.parametrize("sub", ["", " ", "a\0b", "x" * 256])
def test_a_token_needs_a_subject_that_can_be_a_users_id(api: Api, sub: str) -> None:
    assert is_problem(bearer(api, token(sub)).get("/v1/webhooks"), 401)


def test_a_token_cannot_choose_its_own_algorithm(api: Api) -> None:
    claims = {"sub": "u1", "tenant": "default", "aud": "bellwire", "exp": time.time() + 600}
    for forged in (
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, JWT_SECRET, algorithm="HS512"),
        jwt.encode(claims, JWT_SECRET, algorithm="HS256", headers={"crit": ["exp"]}),
    ):
        assert is_problem(bearer(api, forged).get("/v1/webhooks"), 401)


def test_a_good_token_is_accepted(api: Api) -> None:
    api.key("admin")
    answer = bearer(api, token("u1", customers=[str(uuid4())])).get("/v1/webhooks")
    assert answer.status_code == 200


def bearer(api: Api, credential: str) -> httpx.Client:
    """A client that comes with just that."""
    return httpx.Client(
        base_url=api.url, headers={"Authorization": f"Bearer {credential}"}, trust_env=False, verify=False
    )
