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

# What each address needs: the lowest role of a key; "-" where users' tokens come too.
NEEDS = [
    ("POST", "/v1/events", "publisher"),
    ("GET", "/v1/events", "operator"),
    ("GET", f"/v1/events/{ID}", "publisher"),
    ("GET", f"/v1/events/{ID}/explain", "operator"),
    ("POST", f"/v1/events/{ID}/cancel", "publisher"),
    ("GET", "/v1/deliveries", "operator"),
    ("GET", f"/v1/deliveries/{ID}", "operator"),
    ("GET", "/v1/dead-letters", "operator"),
    ("POST", "/v1/dead-letters/replay", "operator"),
    ("POST", "/api/cron/retries", "operator"),
    ("GET", "/v1/users", "operator"),
    ("PUT", "/v1/users/u1", "publisher"),
    ("GET", "/v1/users/u1", "publisher"),
    ("DELETE", "/v1/users/u1", "admin"),
    ("GET", "/v1/routes", "operator"),
    ("GET", "/v1/routes/r1", "operator"),
    ("PUT", "/v1/routes/r1", "admin"),
    ("DELETE", "/v1/routes/r1", "admin"),
    ("GET", "/v1/webhooks", "admin"),
    ("GET", "/v1/webhooks/w1", "admin"),
    ("PUT", "/v1/webhooks/w1", "admin"),
    ("DELETE", "/v1/webhooks/w1", "admin"),
    ("POST", "/v1/webhooks/w1/rotate", "admin"),
    ("GET", "/v1/suppressions", "operator"),
    ("POST", "/v1/suppressions", "operator"),
    ("DELETE", "/v1/suppressions", "admin"),
    ("GET", "/v1/providers", "admin"),
    ("GET", "/v1/providers/smtp", "admin"),
    ("PUT", "/v1/providers/smtp", "admin"),
    ("DELETE", "/v1/providers/smtp", "admin"),
    ("POST", f"/v1/notifications/{ID}/acknowledge", "operator"),
    ("POST", f"/api/notifications/{ID}/acknowledge", "operator"),
]
# What is a user's own: no key opens it, whatever its role.
USERS_ALONE = [
    ("GET", "/v1/notifications"),
    ("GET", f"/v1/notifications/{ID}"),
    ("PATCH", f"/v1/notifications/{ID}/read"),
    ("POST", "/v1/notifications/read-all"),
    ("DELETE", f"/v1/notifications/{ID}"),
]
OF_USERS = ("/v1/webhooks", "/v1/notifications", "/api/notifications")


def is_problem(answer: httpx.Response, status: int, code: str | None = None) -> bool:
    """Whether it is that problem, in the one form that errors have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert {"type", "title", "status", "detail", "code", "field"} <= said.keys()
    assert said["status"] == status
    assert code is None or said["code"] == code, said
    return True


@pytest.mark.mission("D-42")
@pytest.mark.parametrize(("method", "path", "needed"), NEEDS)
def test_a_key_may_do_what_its_role_includes_and_no_more(api: Api, method: str, path: str, needed: str) -> None:
    for role in ROLES:
        with api.client(role) as client:
            answer = client.request(method, path)
        if ROLES.index(role) < ROLES.index(needed):
            assert is_problem(answer, 403, "bellwire.role_too_low")
        else:
            assert answer.status_code not in (401, 403), answer.text
            assert answer.status_code < 500


@pytest.mark.mission("D-19")
@pytest.mark.parametrize(("method", "path", "needed"), NEEDS)
def test_nobody_gets_in_without_an_identity(api: Api, method: str, path: str, needed: str) -> None:
    code = "notifications_m.invalid_user_id" if path.startswith(OF_USERS) else "bellwire.unauthenticated"
    with api.client(None) as client:
        answer = client.request(method, path)
    assert is_problem(answer, 401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "X-API-Key" in answer.headers["www-authenticate"]
    assert "X-API-Key" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path", "needed"), NEEDS)
def test_a_user_without_a_role_may_only_do_what_users_do(api: Api, method: str, path: str, needed: str) -> None:
    with api.user("somebody") as client:
        answer = client.request(method, path)
    if path.startswith(OF_USERS):
        assert answer.status_code in (200, 204, 400, 404), answer.text
    else:
        assert is_problem(answer, 403)


@pytest.mark.mission("D-19", "D-34")
@pytest.mark.parametrize(("method", "path"), USERS_ALONE)
def test_what_is_a_users_own_is_opened_by_no_key(api: Api, method: str, path: str) -> None:
    for role in ROLES:
        with api.client(role) as client:
            assert is_problem(client.request(method, path), 403, "bellwire.role_too_low")
    with api.client(None) as nobody:
        assert is_problem(nobody.request(method, path), 401, "notifications_m.invalid_user_id")
    for power in (None, "admin"):
        with api.user("somebody", role=power) as client:
            answer = client.request(method, path)
        assert answer.status_code == 200 or is_problem(answer, 404, "notifications_m.not_found")


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
    answer = httpx.get(f"{api.url}/v1/events", headers=encoded, trust_env=False)
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


def test_another_tenants_things_are_not_found(api: Api) -> None:
    with api.client(tenant="first") as first, api.client(tenant="second") as second:
        event = first.post("/v1/events", json={"type": "ssl_failure", "data": {"host": "a"}}).json()["id"]
        assert first.put("/v1/users/u1", json={"email": "u1@example.org"}).is_success
        assert first.put("/v1/webhooks/w1", json={"url": "https://example.org/"}).is_success
        route = {"match": {"event": "x"}, "recipients": {"resolver": "role", "role": "ops"}, "channels": ["email"]}
        assert first.put("/v1/routes/r1", json=route).is_success
        for path in (f"/v1/events/{event}", f"/v1/events/{event}/explain", "/v1/users/u1", "/v1/webhooks/w1"):
            assert first.get(path).is_success
            assert is_problem(second.get(path), 404)
        assert is_problem(second.get("/v1/routes/r1"), 404)
        assert is_problem(second.post("/v1/webhooks/w1/rotate"), 404)
        assert is_problem(second.post(f"/v1/events/{event}/cancel"), 404)
        for path in ("/v1/users/u1", "/v1/webhooks/w1", "/v1/routes/r1"):
            assert is_problem(second.delete(path), 404)
            assert first.get(path).is_success
        assert second.get("/v1/users").json()["users"] == []
        assert second.get("/v1/events").json()["events"] == []
        assert second.get("/v1/webhooks").json()["webhooks"] == []


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
    return httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {credential}"}, trust_env=False)
