"""A tenant is set up over HTTP alone: users, routes, webhooks."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api

ROUTE = {
    "match": {"event": "backup.*", "severity": ["high", "critical"]},
    "recipients": {"resolver": "role", "role": "operations"},
    "channels": ["email", "in_app"],
    "priority": "high",
}


def test_a_user_is_made_changed_and_erased(api: Api) -> None:
    with api.client() as client:
        made = client.put("/v1/users/ana", json={"email": "ana@example.org", "locale": "de", "roles": ["operations"]})
        assert made.status_code == 200
        changed = client.put("/v1/users/ana", json={"phone": "+49 30 123456", "locale": None})
        assert changed.json()["email"] == "ana@example.org"
        assert (changed.json()["phone"], changed.json()["locale"]) == ("+4930123456", None)
        assert client.get("/v1/users/ana").json() == changed.json()
        assert client.delete("/v1/users/ana").status_code == 204
        assert is_problem(client.get("/v1/users/ana"), 404)
        assert is_problem(client.delete("/v1/users/ana"), 404)
    actions = api.rows("SELECT action, remote_address FROM audit WHERE subject = 'ana' ORDER BY id")
    assert actions == [("user.put", "127.0.0.1"), ("user.put", "127.0.0.1"), ("user.erase", "127.0.0.1")]


@pytest.mark.parametrize("user_id", ["a/b", "a b", "ä@ö", "..x", "100%", "a?b#c", "🔔", "x" * 255])
def test_a_users_id_is_any_text(api: Api, user_id: str) -> None:
    path = f"/v1/users/{quote(user_id, safe='')}"
    with api.client() as client:
        assert client.put(path, json={"email": "u@example.org"}).json()["id"] == user_id
        assert client.get(path).json()["id"] == user_id
        assert client.delete(path).status_code == 204


def test_a_longer_path_is_no_user(api: Api) -> None:
    with api.client() as client:
        assert is_problem(client.put("/v1/users/a/b", json={}), 404)
        assert client.get("/v1/users/a%2Fb").status_code == 404


def test_me_is_whoever_asks_and_no_user(api: Api) -> None:
    with api.client() as client:
        assert is_problem(client.put("/v1/users/me", json={}), 400)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"phone": "12"}, "phone"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"customers": ["x"]}, "customers[0]"),
        ({"shoe_size": 42}, "shoe_size"),
    ],
)
def test_what_cannot_be_used_is_named(api: Api, body: dict[str, object], field: str) -> None:
    with api.client() as client:
        answer = client.put("/v1/users/u1", json=body)
    assert is_problem(answer, 400, "bellwire.invalid_input")
    assert answer.json()["field"] == field


def test_users_are_listed_in_pages(api: Api) -> None:
    with api.client(tenant="listed") as client:
        for number in range(5):
            client.put(f"/v1/users/u{number}", json={})
        first = client.get("/v1/users", params={"limit": 3}).json()
        second = client.get("/v1/users", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [user["id"] for user in first["users"] + second["users"]] == ["u0", "u1", "u2", "u3", "u4"]
    assert second["next_cursor"] is None


@pytest.mark.mission("C-5")
def test_a_route_of_the_tenants_own_is_made_and_removed(api: Api) -> None:
    with api.client() as client:
        made = client.put("/v1/routes/backups", json=ROUTE)
        assert made.status_code == 200
        assert made.json()["own"] is True
        assert client.get("/v1/routes/backups").json()["match"]["event"] == "backup.*"
        assert "backups" in [
            route["name"] for route in client.get("/v1/routes", params={"limit": 200}).json()["routes"]
        ]
        assert client.delete("/v1/routes/backups").status_code == 204
        assert is_problem(client.get("/v1/routes/backups"), 404)
        assert is_problem(client.delete("/v1/routes/backups"), 404)


def test_a_route_that_cannot_be_used_is_refused(api: Api) -> None:
    with api.client() as client:
        answer = client.put("/v1/routes/backups", json={**ROUTE, "channels": ["pigeon"]})
    assert is_problem(answer, 400)
    assert answer.json()["field"] == "channels[0]"


@pytest.mark.mission("E-37")
def test_a_webhooks_secret_is_shown_when_it_is_made_and_never_again(api: Api) -> None:
    with api.client() as client:
        made = client.put("/v1/webhooks/w1", json={"url": "https://hooks.example.org/", "events": ["billing.*"]}).json()
        assert made["secret"].startswith("whsec_")
        assert "secret" not in client.put("/v1/webhooks/w1", json={"url": "https://hooks.example.org/2"}).json()
        assert "secret" not in client.get("/v1/webhooks/w1").json()
        assert "secret" not in client.get("/v1/webhooks").json()["webhooks"][0]
        renewed = client.post("/v1/webhooks/w1/rotate").json()
        assert renewed["secret"] != made["secret"]
        assert renewed["previous_secret_until"] is not None
        assert client.delete("/v1/webhooks/w1").status_code == 204
        assert is_problem(client.get("/v1/webhooks/w1"), 404)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://127.0.0.1/", "file:///etc/passwd", "https://[::1]/"]
)
def test_a_webhook_to_an_address_inside_is_refused(api: Api, url: str) -> None:
    with api.client() as client:
        answer = client.put("/v1/webhooks/inside", json={"url": url})
    assert is_problem(answer, 400)
    assert answer.json()["field"] == "url"


def test_answers_are_kept_by_no_cache(api: Api) -> None:
    with api.client() as client:
        for answer in (client.get("/v1/users"), client.get("/v1/users/nobody")):
            assert answer.headers["cache-control"] == "no-store"


def test_browsers_of_any_origin_may_call_without_credentials(api: Api) -> None:
    asked = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "POST"}
    with api.client(None) as client:
        allowed = client.options("/v1/events", headers={**asked, "Access-Control-Request-Headers": "authorization"})
        refused = client.get("/v1/events", headers={"Origin": "https://app.example.org"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in allowed.headers
    assert refused.headers["access-control-allow-origin"] == "*"
