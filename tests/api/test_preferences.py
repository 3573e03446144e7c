"""A user's preferences over HTTP: the errors that clients know by their codes, and nobody else's in sight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection

from domain.vocabulary import CHANNELS
from pipeline.claim import claim
from pipeline.deliver import look_again
from tests.api.test_access import is_problem
from tests.support.api import Api

PATH = "/v1/notifications/preferences"
CUSTOMER = "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
ALL_ON = dict.fromkeys(CHANNELS, True)
BILLING: dict[str, Any] = {"group": "billing", "channels": {"email": False}}


@pytest.fixture(autouse=True)
def tenants(api: Api) -> None:
    """A token is of a tenant that exists."""
    for tenant in ("default", "globex"):
        api.key("admin", tenant)


def of_group(answer: Any, group: str) -> Any:
    """The channels of a group's own entry."""
    (found,) = (
        one["channels"]
        for one in answer.json()["preferences"]
        if (one["group"], one["event"], one["customer_id"]) == (group, None, None)
    )
    return found


@pytest.mark.mission("D-10", "A-30")
def test_the_first_answer_has_every_group_with_all_channels_on(api: Api) -> None:
    with api.user("ana") as ana:
        answer = ana.get(PATH)
        assert answer.status_code == 200
        assert of_group(answer, "chat") == ALL_ON
        assert ana.get(PATH).json() == answer.json()


@pytest.mark.mission("D-11", "A-28")
def test_a_change_is_answered_and_stays(api: Api) -> None:
    with api.user("ben", customers=[CUSTOMER.upper()]) as ben:
        mine = {**BILLING, "event": "billing.payment-failed", "customer_id": CUSTOMER}
        answer = ben.put(PATH, json={"preferences": [BILLING, mine, {"group": "chats", "channels": {"system": False}}]})
        assert answer.status_code == 200
        assert of_group(answer, "billing") == {**ALL_ON, "email": False}
        assert of_group(answer, "chat") == {**ALL_ON, "in_app": False}
        shown = {**mine, "cadence": None, "cadences": {}, "locked": []}
        assert shown in answer.json()["preferences"]
        assert ben.get(PATH).json() == answer.json()
        assert ben.put(PATH, json=answer.json()).json() == answer.json()


@pytest.mark.mission("E-46")
def test_the_moment_it_is_answered_nothing_more_is_sent(api: Api) -> None:
    with api.client() as admin, api.user("cem") as cem:
        admin.put("/v1/users/cem", json={"email": "cem@example.org", "roles": ["operations"]})
        api.route({"type": "ssl_expiry", "data": {"host": "shop.example.org"}})
        assert cem.put(PATH, json={"preferences": [{**BILLING, "group": "obligations"}]}).status_code == 200

    def claimed(connection: Connection) -> list[Any]:
        rows = claim(connection, "email", 10, 30.0, monotonic()).rows
        return [look_again(row, "email", datetime.now(UTC)) for row in rows]

    (ending,) = api.in_transaction(claimed)
    assert (ending.status, ending.reason) == ("suppressed", "preference")


@pytest.mark.parametrize(
    ("entry", "status", "code", "field"),
    [
        pytest.param(
            {**BILLING, "group": "pigeons"},
            400,
            "notifications_m.invalid_group",
            "group",
            marks=pytest.mark.mission("D-24"),
        ),
        pytest.param(
            {"channels": {}}, 400, "notifications_m.invalid_group", "group", marks=pytest.mark.mission("D-24")
        ),
        pytest.param(
            {**BILLING, "channels": {"pigeon": True}},
            400,
            "notifications_m.invalid_channel",
            "channels.pigeon",
            marks=pytest.mark.mission("D-25"),
        ),
        pytest.param(
            {**BILLING, "event": "order.created"},
            400,
            "notifications_m.invalid_event",
            "event",
            marks=pytest.mark.mission("D-26"),
        ),
        ({**BILLING, "customer_id": CUSTOMER}, 404, "bellwire.not_found", "customer_id"),
        ({**BILLING, "customer_id": "7"}, 400, "bellwire.invalid_input", "customer_id"),
        ({**BILLING, "cadence": "yearly"}, 400, "bellwire.invalid_input", "cadence"),
        ({**BILLING, "channels": {"email": "off"}}, 400, "bellwire.invalid_input", "channels.email"),
        (
            {"group": "identity", "event": "identity.password-changed", "channels": {"email": False}},
            400,
            "bellwire.preference_locked",
            "channels",
        ),
    ],
)
def test_what_cannot_be_changed_is_refused_with_its_code_and_nothing_is(
    api: Api, entry: Any, status: int, code: str, field: str
) -> None:
    with api.user("dora") as dora:
        before = dora.get(PATH).json()
        answer = dora.put(PATH, json={"preferences": [{**BILLING, "group": "order"}, entry]})
        assert is_problem(answer, status, code)
        assert answer.json()["field"] == f"preferences[1].{field}"
        assert dora.get(PATH).json() == before


@pytest.mark.mission("D-34")
def test_preferences_are_the_users_own(api: Api) -> None:
    with api.user("eva") as eva, api.user("finn") as finn, api.user("eva", tenant="globex") as stranger:
        eva.put(PATH, json={"preferences": [BILLING]})
        assert of_group(finn.get(PATH), "billing") == ALL_ON
        assert of_group(stranger.get(PATH), "billing") == ALL_ON
        assert of_group(eva.get(PATH), "billing") == {**ALL_ON, "email": False}


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_key_has_no_preferences_and_nobody_has_none_either(api: Api, method: str) -> None:
    with api.client("admin") as admin, api.client(None) as nobody:
        assert is_problem(admin.request(method, PATH, json={"preferences": []}), 403, "bellwire.role_too_low")
        assert is_problem(
            nobody.request(method, PATH, json={"preferences": []}), 401, "notifications_m.invalid_user_id"
        )


@contextmanager
def without_the_table(api: Api) -> Iterator[None]:
    """The database answers, and cannot do what is asked of it."""
    api.rows("ALTER TABLE preferences RENAME TO elsewhere")
    try:
        yield
    finally:
        api.rows("ALTER TABLE elsewhere RENAME TO preferences")


@pytest.mark.mission("D-28", "D-29")
def test_what_the_database_cannot_do_has_a_code_of_its_own(api: Api) -> None:
    with api.user("gus") as gus:
        with without_the_table(api):
            assert is_problem(gus.get(PATH), 500, "notifications_m.failed_to_fetch_preferences")
            changed = gus.put(PATH, json={"preferences": [BILLING]})
            assert is_problem(changed, 500, "notifications_m.failed_to_update_preferences")
            assert "elsewhere" not in changed.text
        assert "Traceback" not in api.log.read_text()
        assert of_group(gus.get(PATH), "billing") == ALL_ON


def test_the_audit_knows_who_changed_what_from_where(api: Api) -> None:
    with api.user("hans") as hans:
        hans.put(PATH, json={"preferences": [BILLING]})
    rows = api.rows(
        "SELECT actor, action, subject, remote_address, before, after FROM audit WHERE subject = 'hans' ORDER BY id"
    )
    assert [row[:4] for row in rows] == [
        ("user:hans", "preference.create", "hans", "127.0.0.1"),
        ("user:hans", "preference.put", "hans", "127.0.0.1"),
    ]
    before, after = rows[1][4:]
    assert before["preferences"][0]["channels"] == ALL_ON
    assert after["preferences"][0]["channels"] == {**ALL_ON, "email": False}
