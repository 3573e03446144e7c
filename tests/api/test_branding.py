"""Branding over HTTP: versions that never change, in every template, and for admins to set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.branding import BRAND, VALUES
from domain.brand import DEFAULT_BRAND
from tests.api.test_access import is_problem
from tests.support.api import Api

WHOLE = {name: value for name, value in BRAND.items() if name in VALUES}


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    """An admin of a tenant that has set nothing."""
    with api.client(tenant="branded") as made:
        api.rows("DELETE FROM branding")
        yield made


def version_of(api: Api) -> int:
    """What tells every process that something of the tenant changed."""
    return int(api.rows("SELECT version FROM tenants WHERE id = 'branded'")[0][0])


@pytest.mark.mission("A-21", "A-22")
def test_a_change_is_a_new_version_that_keeps_what_it_does_not_name(api: Api, client: httpx.Client) -> None:
    assert client.get("/v1/branding").json() == {
        "version": 0, **DEFAULT_BRAND.body, "set_by": None, "created_at": None
    }  # fmt: skip
    before = version_of(api)
    first = client.put("/v1/branding", json=WHOLE)
    assert first.status_code == 200, first.text
    assert {name: first.json()[name] for name in WHOLE} == WHOLE
    second = client.put("/v1/branding", json={"primary": "#b45309", "logo_url": None}).json()
    assert second["version"] == 2
    assert {name: second[name] for name in WHOLE} == {**WHOLE, "primary": "#b45309", "logo_url": ""}
    assert client.get("/v1/branding").json() == second
    assert version_of(api) > before
    assert client.put("/v1/branding", json={"primary": "#B45309"}).json() == second  # changes nothing


def test_the_versions_are_listed_with_the_newest_first_page_by_page(client: httpx.Client) -> None:
    for number in range(1, 4):
        client.put("/v1/branding", json={"name": f"Name {number}"})
    page = client.get("/v1/branding/versions?limit=2").json()
    assert [one["name"] for one in page["versions"]] == ["Name 3", "Name 2"]
    rest = client.get("/v1/branding/versions", params={"cursor": page["next_cursor"]}).json()
    assert [(one["version"], one["name"]) for one in rest["versions"]] == [(1, "Name 1")]
    assert rest["next_cursor"] is None
    assert is_problem(client.get("/v1/branding/versions?cursor=bmlj"), 400)


def test_the_audit_has_who_changed_what(client: httpx.Client) -> None:
    client.put("/v1/branding", json={"name": "Nordlicht", "primary": "#0f766e"})
    client.put("/v1/branding", json={"primary": "#b45309"})
    entry = client.get("/v1/audit?action=branding.put").json()["audit"][0]
    assert (entry["subject"], entry["before"], entry["after"]) == ("2", {"primary": "#0f766e"}, {"primary": "#b45309"})


@pytest.mark.mission("A-17")
@pytest.mark.parametrize("channel", ["email", "telegram", "whatsapp"])
def test_a_preview_shows_a_sample_in_a_branding_that_is_not_stored(client: httpx.Client, channel: str) -> None:
    client.put("/v1/branding", json={"name": "Nordlicht", "primary": "#0f766e"})
    body = {"branding": {"name": "Aurora", "footer": "<b>Aurora</b>"}, "channel": channel}
    shown = client.post("/v1/branding/preview", json=body).json()
    assert "Aurora" in shown["text"]
    assert client.get("/v1/branding").json()["name"] == "Nordlicht"
    if channel == "email":
        assert "#0f766e" in shown["html"]
        assert "<b>Aurora" not in shown["html"]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "/v1/branding", {"logo_url": "http://a.example/logo.png"}, "logo_url"),
        ("PUT", "/v1/branding", {"colour": "#fff"}, "colour"),
        ("PUT", "/v1/branding", [], None),
        ("POST", "/v1/branding/preview", {"branding": {"text": "#fff}"}}, "branding.text"),
        ("POST", "/v1/branding/preview", {"branding": "red"}, "branding"),
        ("POST", "/v1/branding/preview", {"event": "made.up"}, "event"),
        ("POST", "/v1/branding/preview", {"channel": "webhook"}, "channel"),
    ],
)
def test_what_is_wrong_is_named(client: httpx.Client, method: str, path: str, body: Any, field: str | None) -> None:
    answer = client.request(method, path, json=body)
    assert is_problem(answer, 400)
    assert answer.json()["field"] == field


def test_an_operator_looks_and_an_admin_sets(api: Api, client: httpx.Client) -> None:
    with api.client("operator", tenant="branded") as operator:
        assert operator.get("/v1/branding").status_code == 200
        assert operator.post("/v1/branding/preview").status_code == 200
        assert is_problem(operator.put("/v1/branding", json={"name": "Mine"}), 403)
    with api.client("publisher", tenant="branded") as publisher:
        assert is_problem(publisher.get("/v1/branding"), 403)
    with api.client(tenant="other") as other:
        client.put("/v1/branding", json={"name": "Nordlicht"})
        assert other.get("/v1/branding").json()["name"] == ""
