"""What a tenant has for users who do not say when and how often they want to be told."""

from __future__ import annotations

from typing import Any

import pytest

from api.digest import DIGEST
from tests.support.api import Api

PATH = "/v1/digest"
NOTHING = {"cron": None, "time_zone": None, "cadences": []}


@pytest.mark.mission("B-16")
def test_what_is_set_is_answered_and_counts_for_whoever_says_nothing(api: Api) -> None:
    with api.client("admin") as admin, api.user("dora") as dora:
        assert admin.get(PATH).json() == NOTHING
        assert admin.put(PATH, json=DIGEST).json() == DIGEST == admin.get(PATH).json()
        entries = dora.get("/v1/notifications/preferences").json()["preferences"]
        assert {one["group"]: one["cadence"] for one in entries}["obligations"] == "daily"
        assert admin.put(PATH, json={"cron": "daily"}).json() == {**DIGEST, "cron": "daily"}
        assert admin.put(PATH, json=dict.fromkeys(NOTHING)).json() == NOTHING
        assert [one["action"] for one in admin.get("/v1/audit?action=digest.put").json()["audit"]] == ["digest.put"] * 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cron": "every day"}, "cron"),
        ({"cron": "0 8 31 2 *"}, "cron"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"cadences": {}}, "cadences"),
        ({"cadences": [{"group": "pigeons"}]}, "cadences[0].group"),
        ({"cadences": [{"group": "billing", "event": "order.created"}]}, "cadences[0].event"),
        ({"cadences": [{"group": "billing", "cadence": "yearly"}]}, "cadences[0].cadence"),
        ({"cadences": [{"group": "billing", "cadences": {"in_app": "daily"}}]}, "cadences[0].cadences.in_app"),
        ({"cadences": [{"group": "billing"}, {"group": "billing"}]}, "cadences[1]"),
        ({"surprise": 1}, "surprise"),
        ([], None),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_field(api: Api, body: Any, field: str | None) -> None:
    with api.client("admin") as admin:
        answer = admin.put(PATH, json=body)
        assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_only_an_admin_changes_it(api: Api) -> None:
    with api.client("operator") as operator:
        assert operator.get(PATH).status_code == 200
        assert operator.put(PATH, json={}).status_code == 403


def test_what_a_user_changes_counts_for_what_is_held_already(api: Api) -> None:
    preferences = "/v1/notifications/preferences"
    with api.client("admin") as admin, api.user("emil") as emil:
        admin.put("/v1/users/emil", json={"email": "emil@example.org", "roles": ["operations"]})
        emil.put(preferences, json={"preferences": [{"group": "obligations", "cadence": "weekly"}]})
        api.route({"type": "ssl_expiry", "severity": "low", "data": {"host": "emil.example.org"}})
        waits = "SELECT release_at <= now() AS now, release_at <= now() + interval '1 minute' AS soon FROM holds"
        assert [tuple(row) for row in api.rows(waits)] == [(False, False)]
        assert emil.patch("/v1/users/me", json={"digest": {"cron": "* * * * *"}}).status_code == 200
        emil.put(preferences, json={"preferences": [{"group": "obligations", "cadence": "daily"}]})
        assert [tuple(row) for row in api.rows(waits)] == [(False, True)]
        emil.put(preferences, json={"preferences": [{"group": "obligations", "cadence": "instant"}]})
        assert [tuple(row) for row in api.rows(waits)] == [(True, True)]
