"""The suppression list over HTTP: operators look and add, only an admin lifts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api

ADDRESS = {"channel": "email", "address": "ana@example.org"}


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    """An admin of a tenant whose list is empty."""
    with api.client(tenant="listing") as made:
        api.rows("DELETE FROM suppressions")
        yield made


@pytest.mark.mission("E-28", "E-44")
def test_an_address_is_suppressed_looked_up_and_lifted(api: Api, client: httpx.Client) -> None:
    ((before,),) = api.rows("SELECT coalesce(max(id), 0) FROM audit")
    added = client.post("/v1/suppressions", json={**ADDRESS, "address": "ANA@example.org", "note": "by phone"})
    assert added.status_code == 200
    assert (added.json()["address"], added.json()["reason"], added.json()["event"]) == (
        "ana@example.org",
        "manual",
        None,
    )
    found = client.get("/v1/suppressions", params={"address": "Ana@Example.org", "channel": "email"})
    assert found.json() == {"suppressions": [added.json()], "next_cursor": None}
    assert client.request("DELETE", "/v1/suppressions", json=ADDRESS).status_code == 204
    assert client.get("/v1/suppressions").json()["suppressions"] == []
    actions = api.rows("SELECT action, remote_address FROM audit WHERE id > %s ORDER BY id", before)
    assert actions == [("suppression.add", "127.0.0.1"), ("suppression.lift", "127.0.0.1")]


def test_a_suppression_is_lifted_by_query_too_and_only_the_one_that_is_named(client: httpx.Client) -> None:
    for event in (None, "ssl_expiry"):
        client.post("/v1/suppressions", json={**ADDRESS, "event": event})
    assert client.delete("/v1/suppressions", params={**ADDRESS, "event": "ssl_expiry"}).status_code == 204
    assert [one["event"] for one in client.get("/v1/suppressions").json()["suppressions"]] == [None]
    assert is_problem(client.delete("/v1/suppressions", params={**ADDRESS, "event": "ssl_expiry"}), 404)
    assert client.delete("/v1/suppressions", params=ADDRESS).status_code == 204


def test_which_one_is_said_once(client: httpx.Client) -> None:
    client.post("/v1/suppressions", json=ADDRESS)
    both = client.request("DELETE", "/v1/suppressions", params=ADDRESS, json=ADDRESS)
    assert is_problem(both, 400)
    assert is_problem(client.delete("/v1/suppressions"), 400, "bellwire.invalid_input")
    assert len(client.get("/v1/suppressions").json()["suppressions"]) == 1


@pytest.mark.parametrize(
    ("role", "method", "status"),
    [
        (None, "GET", 401),
        (None, "POST", 401),
        (None, "DELETE", 401),
        ("publisher", "GET", 403),
        ("publisher", "POST", 403),
        ("operator", "GET", 200),
        ("operator", "POST", 200),
        ("operator", "DELETE", 403),
        ("admin", "DELETE", 204),
    ],
)
def test_who_may_do_what(api: Api, client: httpx.Client, role: str | None, method: str, status: int) -> None:
    client.post("/v1/suppressions", json=ADDRESS)
    with api.client(role, tenant="listing") as caller:
        answer = caller.request(method, "/v1/suppressions", json=None if method == "GET" else ADDRESS)
    assert answer.status_code == status


def test_another_tenants_list_is_neither_seen_nor_changed(api: Api, client: httpx.Client) -> None:
    client.post("/v1/suppressions", json=ADDRESS)
    with api.client(tenant="neighbour") as other:
        assert other.get("/v1/suppressions").json()["suppressions"] == []
        assert is_problem(other.delete("/v1/suppressions", params=ADDRESS), 404)
    assert len(client.get("/v1/suppressions").json()["suppressions"]) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channel": "webhook", "address": "https://example.org"}, "channel"),
        ({"channel": "email", "address": "example.org"}, "address"),
        ({"channel": "sms", "address": "12"}, "address"),
        ({**ADDRESS, "event": "*"}, "event"),
        ({**ADDRESS, "surprise": 1}, "surprise"),
        ({**ADDRESS, "note": ["x"]}, "note"),
    ],
)
def test_what_cannot_be_used_is_named(client: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/suppressions", json=body)
    assert is_problem(answer, 400, "bellwire.invalid_input")
    assert answer.json()["field"] == field


@pytest.mark.parametrize("query", ["channel=pigeon", "reason=boredom", "cursor=eHg", "limit=0", "event=ssl_expiry"])
def test_a_filter_that_cannot_be_used_is_refused(client: httpx.Client, query: str) -> None:
    assert is_problem(client.get(f"/v1/suppressions?{query}"), 400)


def test_the_list_leads_on_from_page_to_page(client: httpx.Client) -> None:
    for number in range(3):
        client.post("/v1/suppressions", json={**ADDRESS, "address": f"u{number}@example.org"})
    first = client.get("/v1/suppressions", params={"limit": 2}).json()
    second = client.get("/v1/suppressions", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    addresses = [one["address"] for one in first["suppressions"] + second["suppressions"]]
    assert addresses == ["u0@example.org", "u1@example.org", "u2@example.org"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "odd", ["\0", "\ud800", "a\u202eb", "x" * 5000, "", " ", 7, -1, 1.5, True, [], {}, ["a"], {"a": 1}, "';--", "%00"]
)
@pytest.mark.parametrize("name", ["channel", "address", "event", "note"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_nothing_in_a_field_makes_an_error_of_ours(client: httpx.Client, method: str, name: str, odd: Any) -> None:
    content = json.dumps({**ADDRESS, name: odd}).encode()
    answer = client.request(method, "/v1/suppressions", content=content)
    assert answer.status_code in ((200, 400) if method == "POST" else (204, 400, 404))
    if isinstance(odd, str) and name != "note":
        assert is_problem(answer, answer.status_code)
