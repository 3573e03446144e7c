"""Tenants' accounts at providers over HTTP: written, never read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api

KEY = "re_Xyzzy1234567890"
ACCOUNT = {"credentials": {"api_key": KEY}, "position": 1, "senders": {"*": "Acme <no-reply@acme.org>"}}


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    """An admin of a tenant that has set nothing."""
    with api.client(tenant="carrying") as made:
        api.rows("DELETE FROM provider_accounts")
        yield made


@pytest.mark.mission("A-3", "E-20")
def test_an_account_is_set_looked_at_and_removed(api: Api, client: httpx.Client) -> None:
    made = client.put("/v1/providers/resend", json=ACCOUNT)
    assert made.status_code == 200
    found = made.json()
    assert found.pop("updated_at")
    assert found.pop("receipts_url").endswith("/v1/receipts/resend?tenant=carrying")
    assert found == {
        "provider": "resend",
        "channel": "email",
        "position": 1,
        "account": "own",
        "credentials": ["api_key"],
        "senders": {"*": "Acme <no-reply@acme.org>"},
    }
    assert client.get("/v1/providers/resend").json() == made.json()
    client.put("/v1/providers/smtp", json={"position": 0})
    listed = client.get("/v1/providers").json()
    assert [one["provider"] for one in listed["providers"]] == ["smtp", "resend"]
    assert listed["next_cursor"] is None
    assert client.delete("/v1/providers/resend").status_code == 204
    assert is_problem(client.get("/v1/providers/resend"), 404)
    assert is_problem(client.delete("/v1/providers/resend"), 404)


def test_no_answer_ever_has_a_credential_and_neither_has_the_log(api: Api, client: httpx.Client) -> None:
    said = [
        client.put("/v1/providers/resend", json=ACCOUNT),
        client.put("/v1/providers/resend", json={"credentials": {"api_key": KEY + "\r\n"}}),
        client.put("/v1/providers/smtp", json={"credentials": {"url": f"ftp://{KEY}@x"}}),
        client.put("/v1/providers/fcm", json={"credentials": {"credentials": json.dumps({"type": KEY})}}),
        client.put("/v1/providers/pigeon", json=ACCOUNT),
        client.get("/v1/providers"),
        client.get("/v1/providers/resend"),
        client.get("/v1/audit"),
    ]
    assert [one.status_code for one in said[:5]] == [200, 400, 400, 400, 404]
    for answer in said:
        assert "Xyzzy" not in answer.text
    assert "Xyzzy" not in api.log.read_text()
    for table in ("provider_accounts", "audit"):
        assert "Xyzzy" not in str(api.rows(f"SELECT * FROM {table}"))


@pytest.mark.parametrize("role", ["publisher", "operator"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_an_admin_may(api: Api, client: httpx.Client, role: str, method: str) -> None:
    client.put("/v1/providers/resend", json=ACCOUNT)
    with api.client(role, tenant="carrying") as caller:
        answer = caller.request(method, "/v1/providers/resend", json=ACCOUNT if method == "PUT" else None)
        assert is_problem(answer, 403)
        assert is_problem(caller.get("/v1/providers"), 403)
    with api.client(None) as nobody:
        assert is_problem(nobody.request(method, "/v1/providers/resend", content=b"{}"), 401)


def test_another_tenants_account_is_neither_seen_nor_removed(api: Api, client: httpx.Client) -> None:
    client.put("/v1/providers/resend", json=ACCOUNT)
    with api.client(tenant="neighbour") as other:
        assert other.get("/v1/providers").json()["providers"] == []
        assert is_problem(other.get("/v1/providers/resend"), 404)
        assert is_problem(other.delete("/v1/providers/resend"), 404)
    assert client.get("/v1/providers/resend").status_code == 200


@pytest.mark.parametrize(
    ("provider", "body", "field"),
    [
        ("resend", {"credentials": {}}, "credentials.api_key"),
        ("resend", {"credentials": {"apikey": KEY}}, "credentials.apikey"),
        ("resend", {"credentials": {"api_key": 7}}, "credentials.api_key"),
        ("resend", {"credentials": KEY}, "credentials"),
        ("resend", {"position": 100}, "position"),
        ("resend", {"senders": {"billing.*": "nobody"}}, "senders.billing.*"),
        ("apns", {"credentials": {"key": "/etc/passwd"}}, "credentials.key"),
        ("twilio", {"senders": {"*": "Acme <a@acme.org>"}}, "senders"),
        ("resend", {"webhook": "x"}, "webhook"),
    ],
)
def test_what_cannot_be_used_is_named(client: httpx.Client, provider: str, body: dict[str, Any], field: str) -> None:
    answer = client.put(f"/v1/providers/{provider}", json=body)
    assert is_problem(answer, 400, "bellwire.invalid_input")
    assert answer.json()["field"] == field
    assert client.get("/v1/providers").json()["providers"] == []


@pytest.mark.parametrize("provider", ["pigeon", "webhook", "Resend", "resend%00", "%ED%A0%80", "resend%20"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_provider_that_does_not_exist_is_not_found(client: httpx.Client, method: str, provider: str) -> None:
    body = b"{}" if method == "PUT" else None
    assert client.request(method, f"/v1/providers/{provider}", content=body).status_code in (400, 404)


def test_what_waited_for_an_account_is_due_at_once(api: Api, client: httpx.Client) -> None:
    (event,) = api.route({"type": "task.failed", "recipients": [{"email": "a@example.org"}]}, tenant="carrying")
    api.rows(
        "UPDATE deliveries SET due_at = now() + interval '1 hour', reason = 'account_rejected' WHERE event_id = %s",
        event,
    )
    client.put("/v1/providers/resend", json=ACCOUNT)
    due = api.rows("SELECT due_at <= now() FROM deliveries WHERE event_id = %s AND channel = 'email'", event)
    assert due == [(True,)]


def test_the_description_names_every_credential(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    body = paths["/v1/providers/{provider}"]["put"]["requestBody"]["content"]["application/json"]
    described = body["schema"]["properties"]["credentials"]["description"]
    for words in ("`resend`: `api_key`, `webhook_secret`", "`apns`: `key`, `key_id`, `team_id`, `topic`"):
        assert words in described
    for example in body["examples"].values():
        assert client.put("/v1/providers/resend", json=example["value"]).status_code == 200
