"""A notification by hand: the whole path, and only where it was switched on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pipeline.directory import Directory
from pipeline.publish import route_accepted
from tests.api.test_access import is_problem
from tests.support.api import Api, running

TRIGGER = "/v1/notifications/trigger"
BODY = {
    "type": "chat",
    "event": "message_received",
    "title": "New message",
    "content": "Ada wrote to you.",
    "user_ids": ["u1", "u2"],
    "rec_type": "chat",
    "rec_id": "room 42/a",
}
BUILT = {"email": True, "in_app": True}


@pytest.fixture(scope="module")
def api(
    module_database_url: str, servers: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API on which the endpoints for tests are switched on."""
    addresses = {"BELLWIRE_BROKER_URL": servers["broker"], "BELLWIRE_REDIS_URL": servers["redis"]}
    folder = tmp_path_factory.mktemp("api")
    with running(module_database_url, folder, BELLWIRE_ENABLE_TEST_ENDPOINTS="true", **addresses) as made:
        yield made


@pytest.fixture
def told(api: Api) -> Iterator[Any]:
    """Triggers, routes as a worker does, and gives the notifications of whom it told."""

    def tell(**more: Any) -> list[Any]:
        with api.client() as client:
            for user_id in ("u1", "u2", "u3"):
                client.put(f"/v1/users/{user_id}", json={"email": f"{user_id}@example.org"})
            answer = client.post(TRIGGER, json={**BODY, **more})
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"message": "Notification sent to all connected users"}
        ids = [str(id_) for (id_,) in api.rows("SELECT id FROM events WHERE status = 'accepted'")]
        api.in_transaction(lambda connection: route_accepted(connection, Directory(), ids, BUILT))
        return api.rows(
            "SELECT user_id, event, group_name, title, content, link_url, sequence IS NOT NULL FROM notifications "
            "WHERE event_id = ANY(%s::uuid[]) ORDER BY event_id, user_id",
            ids,
        )

    api.rows("UPDATE events SET status = 'unrouted'")
    yield tell


@pytest.mark.mission("D-13", "D-15")
def test_everybody_named_is_told_in_these_words_with_a_link(told: Any) -> None:
    link = "/chat/room%2042%2Fa"
    said = ("message_received", "chat", "New message", "Ada wrote to you.", link, True)
    assert told() == [("u1", *said), ("u2", *said)]


@pytest.mark.mission("D-13")
@pytest.mark.parametrize("event", ["task.assigned", "something-nobody-listed", "billing.payment-failed"])
def test_any_event_may_be_named(told: Any, event: str) -> None:
    rows = {row[0]: row for row in told(event=event, user_ids=["u1"])}
    assert (rows["u1"][1], rows["u1"][3]) == (event, "New message")


def test_the_same_again_is_told_again(told: Any) -> None:
    assert (len(told()), len(told())) == (2, 2)


def test_without_a_record_there_is_no_link_to_it(told: Any) -> None:
    assert {row[5] for row in told(rec_id=None)} != {"/chat/None"}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"event": None}, "event"),
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"user_ids": []}, "user_ids"),
        ({"user_ids": ["u1", 7]}, "user_ids[1]"),
        ({"customer_id": "c1"}, "customer_id"),
        ({"tenant": "other"}, "tenant"),
    ],
)
def test_what_is_wrong_is_named(api: Api, wrong: dict[str, Any], field: str) -> None:
    with api.client() as client:
        answer = client.post(TRIGGER, json={**BODY, **wrong})
    assert is_problem(answer, 400)
    assert answer.json()["field"] == field


def test_only_an_administrator_may(api: Api) -> None:
    with api.client("operator") as operator, api.client(None) as nobody, api.user("u1") as user:
        assert is_problem(operator.post(TRIGGER, json=BODY), 403)
        assert is_problem(nobody.post(TRIGGER, json=BODY), 401)
        assert is_problem(user.post(TRIGGER, json=BODY), 403)


def test_it_stays_within_the_tenant_of_the_key(api: Api) -> None:
    api.key("admin")
    with api.client("admin", "other") as client:
        assert client.post(TRIGGER, json=BODY).status_code == 200
    (tenant,) = api.rows("SELECT tenant FROM events ORDER BY id DESC LIMIT 1")
    assert tenant == ("other",)


@pytest.mark.mission("D-13")
def test_there_is_no_such_address_unless_it_was_switched_on(
    module_database_url: str, servers: Mapping[str, str], tmp_path: Any
) -> None:
    addresses = {"BELLWIRE_BROKER_URL": servers["broker"], "BELLWIRE_REDIS_URL": servers["redis"]}
    with running(module_database_url, tmp_path, **addresses) as other:
        for role in ("admin", None):
            with other.client(role) as client:
                assert is_problem(client.post(TRIGGER, json=BODY), 404)
