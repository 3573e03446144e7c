"""The audit over HTTP: every operation that changes something is in it, without secrets, for administrators only."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api

HOOK = {"url": "https://hooks.example.org/secret-path", "events": ["ssl_*"], "headers": {"X-Token": "top-secret"}}
ROUTE = {"match": {"event": "x"}, "recipients": {"resolver": "role", "role": "r"}, "channels": ["email"]}
TWILIO = {"credentials": {"account_sid": "AC" + "0" * 32, "auth_token": "top-secret", "from": "+4930123456"}}
ADDRESS = {"channel": "email", "address": "bo@example.org"}
DEVICE = {"platform": "ios", "token": "ab" * 32, "device_id": "phone"}

# What is done, in this order, with which action it is found, and what it was done to.
OPERATIONS: list[tuple[str, str, Any, str, str]] = [
    ("PUT", "/v1/users/bo", {"email": "bo@example.org", "roles": ["r"]}, "user.put", "bo"),
    ("PUT", "/v1/routes/r1", ROUTE, "route.put", "r1"),
    ("DELETE", "/v1/routes/r1", None, "route.delete", "r1"),
    ("PUT", "/v1/event-types/own.made", {"group": "own"}, "event_type.put", "own.made"),
    ("DELETE", "/v1/event-types/own.made", None, "event_type.delete", "own.made"),
    ("PUT", "/v1/webhooks/w1", HOOK, "webhook.put", "w1"),
    ("POST", "/v1/webhooks/w1/rotate", None, "webhook.rotate", "w1"),
    ("DELETE", "/v1/webhooks/w1", None, "webhook.delete", "w1"),
    ("PUT", "/v1/providers/twilio", TWILIO, "provider.put", "twilio"),
    ("DELETE", "/v1/providers/twilio", None, "provider.delete", "twilio"),
    ("POST", "/v1/suppressions", ADDRESS, "suppression.add", "email b•••@example.org"),
    ("DELETE", "/v1/suppressions", ADDRESS, "suppression.lift", "email b•••@example.org"),
    ("DELETE", "/v1/users/bo", None, "user.erase", "bo"),
]


def entries(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    """What the audit shows."""
    answer = client.get("/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["audit"]
    return found


@pytest.mark.mission("D-36")
def test_every_operation_of_a_key_is_in_the_audit_and_no_secret(api: Api) -> None:
    key = api.new_key("admin")
    with api.client(None, **{"X-API-Key": key.key}) as client:
        for method, path, body, action, subject in OPERATIONS:
            answer = client.request(method, path, json=body)
            assert answer.is_success, (method, path, answer.text)
            newest = entries(client, limit=1)[0]
            assert (newest["actor"], newest["action"], newest["subject"]) == (f"key:{key.id}", action, subject), path
            assert newest["remote_address"] == "127.0.0.1"
        text = json.dumps(entries(client, actor=f"key:{key.id}", limit=200), ensure_ascii=False)
    for secret in ("top-secret", "secret-path", "whsec_", "bo@example.org"):
        assert secret not in text


@pytest.mark.mission("D-36")
def test_a_change_shows_what_was_before(api: Api) -> None:
    with api.client() as client:
        client.put("/v1/webhooks/w2", json=HOOK)
        client.put("/v1/webhooks/w2", json={**HOOK, "events": []})
        put = entries(client, subject="w2", limit=1)[0]
        client.delete("/v1/webhooks/w2")
        gone = entries(client, subject="w2", limit=1)[0]
    where = "https://hooks.example.org/•••"
    assert (put["before"], put["after"]) == ({"url": where, "events": ["ssl_*"]}, {"url": where, "events": []})
    assert (gone["before"], gone["after"]) == ({"url": where, "events": []}, None)


@pytest.mark.mission("D-36")
def test_what_users_do_is_in_it_under_their_name(api: Api) -> None:
    api.key("admin")
    with api.user("ada") as ada:
        assert ada.post("/v1/users/me/push-tokens", json=DEVICE).is_success
        assert ada.put("/v1/webhooks/mine", json=HOOK).is_success
    with api.client() as client:
        found = entries(client, actor="user:ada")
    assert [(one["action"], one["subject"]) for one in found] == [
        ("webhook.put", "ada/mine"),
        ("push_token.put", found[1]["subject"]),
    ]
    assert "hooks.example.org" not in json.dumps(found)


@pytest.mark.mission("D-36", "B-15")
def test_what_is_done_to_issues_is_in_it(api: Api) -> None:
    with api.client() as client:
        client.put("/v1/users/op", json={"email": "op@example.org", "roles": ["operations"]})
        event, other = api.route(
            *({"type": "ssl_failure", "data": {"host": host}} for host in ("a.example", "b.example"))
        )
        (told,) = client.get(f"/v1/events/{event}").json()["notifications"]
        for path in (f"/v1/notifications/{told['id']}/acknowledge", f"/v1/events/{other}/cancel"):
            assert client.post(path).is_success
        assert [one["action"] for one in entries(client, limit=2)] == ["event.cancel", "issue.acknowledge"]


@pytest.mark.mission("D-36", "E-10")
def test_that_something_was_said_to_everybody_is_in_it_and_not_what(api: Api) -> None:
    with api.client() as client:
        assert client.post("/v1/broadcasts", json={"message": "Maintenance"}).is_success
        (found,) = entries(client, action="broadcast.send")
    assert (found["subject"], found["after"], found["remote_address"]) == ("everyone", {"characters": 11}, "127.0.0.1")
    assert found["actor"].startswith("key:")


def test_publishing_adds_nothing_to_it(api: Api) -> None:
    with api.client() as client:
        before = entries(client)
        assert client.post("/v1/events", json={"type": "ssl_expiry"}).status_code == 202
        assert entries(client) == before


def test_pages_follow_each_other(api: Api) -> None:
    with api.client("admin", "paged") as client:
        for number in range(5):
            client.put(f"/v1/users/u{number}", json={})
        found: list[str] = []
        cursor: str | None = None
        while cursor != "":
            query = {"limit": "2", "action": "user.*"} | ({"cursor": cursor} if cursor else {})
            page = client.get("/v1/audit", params=query)
            found += [one["subject"] for one in page.json()["audit"]]
            cursor = page.json()["next_cursor"] or ""
    assert found == ["u4", "u3", "u2", "u1", "u0"]


def test_a_tenant_sees_its_own_only(api: Api) -> None:
    with api.client() as client, api.client("admin", "elsewhere") as other:
        client.put("/v1/users/hidden", json={})
        assert "hidden" not in {one["subject"] for one in entries(other)}


@pytest.mark.parametrize("role", ["publisher", "operator"])
def test_only_an_administrator_may_read_it(api: Api, role: str) -> None:
    with api.client(role) as client:
        assert is_problem(client.get("/v1/audit"), 403)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"who": "x"}, "who"),
        ({"action": "%"}, "action"),
    ],
)
def test_a_query_that_cannot_be_used_is_named(api: Api, query: dict[str, str], field: str) -> None:
    with api.client() as client:
        answer = client.get("/v1/audit", params=query)
    assert is_problem(answer, 400)
    assert answer.json()["field"] == field
