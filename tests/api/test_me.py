"""The user's own record over HTTP: what is shown, what may be changed, and what is the platform's alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api

PATH = "/v1/users/me"
NOTHING_SAID = {
    "name": None,
    "locale": None,
    "time_zone": None,
    "quiet_hours": None,
    "digest": None,
    "disabled_channels": [],
}
MINE = {
    "locale": "pt-BR",
    "time_zone": "America/Sao_Paulo",
    "quiet_hours": {"from": "22:00", "to": "07:00"},
    "digest": {"cron": "0 8 * * *"},
}


@pytest.fixture(autouse=True)
def tenants(api: Api) -> None:
    """A token is of a tenant that exists."""
    for tenant in ("default", "globex"):
        api.key("admin", tenant)


def test_a_user_sees_what_the_platform_said_but_no_address(api: Api) -> None:
    body = {
        "name": "Ana",
        "email": "ana@example.org",
        "locale": "de",
        "roles": ["finance"],
        "disabled_channels": ["sms"],
    }
    with api.client() as admin, api.user("ana") as ana:
        admin.put("/v1/users/ana", json=body)
        assert ana.get(PATH).json() == {
            **NOTHING_SAID,
            "id": "ana",
            "name": "Ana",
            "locale": "de",
            "disabled_channels": ["sms"],
        }


def test_a_user_of_whom_nothing_is_known_sees_that_and_is_not_stored_for_looking(api: Api) -> None:
    with api.user("nobody-yet") as user:
        assert user.get(PATH).json() == {**NOTHING_SAID, "id": "nobody-yet"}
    assert api.rows("SELECT FROM users WHERE id = 'nobody-yet'") == []


def test_fields_that_are_named_change_null_clears_and_the_rest_stays(api: Api) -> None:
    with api.client() as admin, api.user("ben") as ben:
        admin.put("/v1/users/ben", json={"name": "Ben", "email": "ben@example.org", "roles": ["finance"]})
        assert ben.patch(PATH, json=MINE).json() == {**NOTHING_SAID, "id": "ben", "name": "Ben", **MINE}
        changed = ben.patch(PATH, json={"locale": "de", "digest": None})
        assert changed.status_code == 200
        assert changed.json() == ben.get(PATH).json()
        assert changed.json() == {**NOTHING_SAID, "id": "ben", "name": "Ben", **MINE, "locale": "de", "digest": None}
        stored = admin.get("/v1/users/ben").json()
    assert (stored["email"], stored["roles"], stored["locale"]) == ("ben@example.org", ["finance"], "de")


@pytest.mark.parametrize(
    "field",
    [
        *("name", "email", "phone", "telegram_chat_id", "whatsapp", "apprise", "roles", "customers"),
        *("disabled_channels", "id", "tenant", "created_at", "surprise"),
    ],
)
def test_what_is_the_platforms_to_change_is_refused_by_name_and_nothing_changes(api: Api, field: str) -> None:
    with api.user("cem") as cem:
        answer = cem.patch(PATH, json={"locale": "de", field: None})
        assert is_problem(answer, 400, "bellwire.invalid_input")
        assert answer.json()["field"] == field
        assert "time_zone" in answer.json()["detail"]
        assert cem.get(PATH).json() == {**NOTHING_SAID, "id": "cem"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"locale": "klingon"}, "locale"),
        ({"locale": 7}, "locale"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"quiet_hours": {"from": "22:00"}}, "quiet_hours.to"),
        ({"quiet_hours": {"from": "25:00", "to": "07:00"}}, "quiet_hours.from"),
        ({"digest": {"cron": "whenever"}}, "digest.cron"),
        ({"\ud800": 1}, "?"),
        ([], None),
        ("locale", None),
        (None, None),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_field(api: Api, body: Any, field: str | None) -> None:
    with api.user("dora") as dora:
        answer = dora.patch(PATH, content=json.dumps(body).encode())
    assert is_problem(answer, 400)
    assert answer.json()["field"] == field


@pytest.mark.mission("D-34")
def test_a_record_is_the_users_own(api: Api) -> None:
    with api.user("eva") as eva, api.user("finn") as finn, api.user("eva", tenant="globex") as stranger:
        eva.patch(PATH, json={"locale": "de"})
        for other in (finn, stranger):
            assert other.get(PATH).json()["locale"] is None


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_key_has_no_record_and_nobody_has_none_either(api: Api, method: str) -> None:
    with api.client("admin") as admin, api.client(None) as nobody:
        refused = admin.request(method, PATH, json={})
        assert is_problem(refused, 403, "bellwire.role_too_low")
        assert refused.json()["detail"] == "This needs a user's token: an API key is no user."
        assert is_problem(nobody.request(method, PATH, json={}), 401, "notifications_m.invalid_user_id")


def test_the_audit_says_who_changed_which_fields(api: Api) -> None:
    with api.user("gus") as gus:
        gus.patch(PATH, json={"time_zone": "Europe/Berlin"})
    rows = api.rows("SELECT actor, action, after FROM audit WHERE subject = 'gus'")
    assert rows == [("user:gus", "user.put", {"changed": ["time_zone"]})]
