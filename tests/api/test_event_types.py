"""Tenants' own event types (C-5): set over HTTP, and in force in everything from the next event on."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api

OWN = {
    "group": "backup",
    "severity": "high",
    "key": ["host"],
    "dedupe_window": 3600,
    "title": "The backup of {host} failed",
    "transactional": True,
    "sample": {"host": "db1.example.org", "message": "No space left."},
}


def put(client: httpx.Client, name: str = "backup.failed", **changes: Any) -> dict[str, Any]:
    answer = client.put(f"/v1/event-types/{name}", json=OWN | changes)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def publish(client: httpx.Client, type_: str = "backup.failed", **data: Any) -> dict[str, Any]:
    answer = client.post("/v1/events", json={"type": type_, "data": data})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.mission("C-5")
def test_an_event_type_is_put_shown_listed_and_removed(api: Api) -> None:
    with api.client() as client:
        made = put(client)
        assert made | OWN == made
        assert made["own"] is True
        assert client.get("/v1/event-types/backup.failed").json() == made
        listed = client.get("/v1/event-types", params={"limit": 200}).json()["event_types"]
        assert [one for one in listed if one["own"]] == [made]
        assert client.put("/v1/event-types/backup.failed", json=made).json() == made  # an answer can be put again
        assert client.delete("/v1/event-types/backup.failed").status_code == 204
        assert is_problem(client.get("/v1/event-types/backup.failed"), 404)
        assert is_problem(client.delete("/v1/event-types/backup.failed"), 404)


def test_a_shipped_one_is_replaced_and_comes_back(api: Api) -> None:
    with api.client() as client:
        shipped = client.get("/v1/event-types/ssl_expiry").json()
        assert (shipped["own"], "host" in shipped["sample"]) == (False, True)
        assert put(client, "ssl_expiry", group="certificates")["group"] == "certificates"
        assert client.delete("/v1/event-types/ssl_expiry").status_code == 204
        assert client.get("/v1/event-types/ssl_expiry").json() == shipped
        assert is_problem(client.delete("/v1/event-types/ssl_expiry"), 400)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("task.failed", {"group": "task"}),
        ("provisioning.completed", {"severity": "high", "template": None}),
        ("ssl_expiry", {"key": ["host"], "sample": {"host": "a"}}),
    ],
)
def test_what_is_left_out_of_a_shipped_one_is_as_shipped(api: Api, name: str, body: dict[str, Any]) -> None:
    path = f"/v1/event-types/{name}"
    with api.client(tenant="partly") as client:
        shipped = client.get(path).json()
        made = client.put(path, json=body).json()
        assert made == shipped | {field: value for field, value in body.items() if value} | {"own": True}
        assert client.get(path).json() == made
        assert made in client.get("/v1/event-types", params={"limit": 200}).json()["event_types"]


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("own.made", {"group": None}, "group"),
        ("own.made", {"severity": "loud"}, "severity"),
        ("own.made", {"dedupe_window": -1}, "dedupe_window"),
        ("own.made", {"template": "no_such"}, "template"),
        ("own.made", {"title": "{host"}, "title"),
        ("own.made", {"name": "other.made"}, "name"),
        ("own.made", {"colour": "red"}, "colour"),
        ("own.made", {"sample": [1]}, "sample"),
        ("own.made", {"sample": {"a": {"b": "\0"}}}, "sample.a.b"),
        ("own made", {}, "name"),
        ("digest", {}, "type"),
    ],
)
def test_what_cannot_be_used_is_named(api: Api, name: str, changes: dict[str, Any], field: str) -> None:
    with api.client() as client:
        answer = client.put(f"/v1/event-types/{name}", json=OWN | changes)
        assert is_problem(answer, 400)
        assert answer.json()["field"] == field
        assert field != "colour" or "sample" in answer.json()["detail"]  # all fields that there are
        assert not [one for one in client.get("/v1/event-types").json()["event_types"] if one["own"]]


@pytest.mark.mission("C-5")
def test_the_next_event_has_its_severity_key_and_window_and_after_removal_the_defaults(api: Api) -> None:
    with api.client(tenant="keyed") as client:
        before = publish(client, host="a", message="unlisted")
        put(client)
        first, second = publish(client, host="a", message="one"), publish(client, host="a", message="two")
        assert second["duplicate_of"] == first["id"]
        assert publish(client, host="b")["duplicate_of"] is None
        assert client.delete("/v1/event-types/backup.failed").status_code == 204
        after = publish(client, host="a", message="three")
        severities = [client.get(f"/v1/events/{one['id']}").json()["severity"] for one in (before, first, after)]
    assert severities == ["medium", "high", "medium"]


@pytest.mark.mission("C-5")
def test_its_group_is_among_peoples_preferences_and_what_is_owed_cannot_be_switched_off(api: Api) -> None:
    preferences = "/v1/notifications/preferences"
    with api.client(tenant="grouped") as client, api.user("ana", "grouped") as ana:
        put(client)
        shown = {one["group"]: one for one in ana.get(preferences).json()["preferences"]}
        assert shown["backup"]["locked"] == ["backup.failed"]
        off = {"group": "backup", "event": "backup.failed", "channels": {"email": False}}
        assert is_problem(ana.put(preferences, json={"preferences": [off]}), 400)
        put(client, transactional=False)
        assert ana.put(preferences, json={"preferences": [off]}).status_code == 200
        cadence = {"cadences": [{"group": "backup", "event": "backup.failed", "cadence": "daily"}]}
        assert client.put("/v1/digest", json=cadence).status_code == 200


@pytest.mark.mission("C-5")
def test_templates_are_tried_with_its_sample_and_its_title(api: Api) -> None:
    with api.client(tenant="sampled") as client:
        put(client)
        shown = client.post("/v1/templates/backup.failed/email/preview", json={}).json()["previews"][0]
        assert shown["title"] == "The backup of db1.example.org failed"
        assert "No space left." in shown["text"]
        words = {"subject": "{{ data.host }}", "html": "<p>{{ data.hots }}</p>"}
        warnings = client.put("/v1/templates/backup.failed/email", json=words).json()["warnings"]
    assert ["hots" in one["reason"] for one in warnings] == [True]


def test_what_became_secret_is_masked_in_the_ledger(api: Api) -> None:
    with api.client(tenant="masked") as client:
        made = publish(client, host="a", token="s3cret-of-before")
        put(client, secret=["token"])
        assert "s3cret-of-before" not in client.get(f"/v1/events/{made['id']}").text
