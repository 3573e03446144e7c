"""The operator's work over HTTP: the ledger, dead letters, acknowledgement, the round, the figures."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import redis

from pipeline.filters import DEAD_LETTER_FILTERS, DELIVERY_FILTERS, EVENT_FILTERS
from tests.api.test_access import is_problem
from tests.support.api import Api
from tests.support.waiting import wait_until


def an_event(**more: Any) -> dict[str, Any]:
    """An event that tells the users with the role operations."""
    return {"type": "ssl_failure", "data": {"host": f"{uuid4().hex}.example.org"}, **more}


@pytest.fixture(scope="module")
def team(api: Api) -> Api:
    """Two operators of the tenant."""
    with api.client() as client:
        for user_id in ("ada", "bo"):
            body = {"email": f"{user_id}@example.org", "roles": ["operations"]}
            assert client.put(f"/v1/users/{user_id}", json=body).is_success
    return api


def dead(api: Api, count: int) -> list[str]:
    """Deliveries that ended as dead letters; their ids."""
    ids = []
    for _ in range(count):
        (event,) = api.route(an_event())
        (row,) = api.rows("SELECT id::text FROM deliveries WHERE event_id = %s AND channel = 'email' LIMIT 1", event)
        api.rows(
            "UPDATE deliveries SET status = 'dead_letter', reason = 'retries_exhausted', due_at = NULL WHERE id = %s",
            row[0],
        )
        api.rows(
            "INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail)"
            " VALUES (%s, 'default', 'email', 'ssl_failure', 'retries_exhausted', 'connection refused')",
            row[0],
        )
        ids.append(row[0])
    return ids


def test_deliveries_are_listed_and_read(team: Api) -> None:
    (event,) = team.route(an_event())
    with team.client("operator") as client:
        found = client.get("/v1/deliveries", params={"channel": "email", "recipient": "ada", "status": "queued"}).json()
        one = found["deliveries"][0]
        assert one["event_id"] == event
        assert one["address"] == "a•••@example.org"
        assert client.get(f"/v1/deliveries/{one['id']}").json() == one
        assert is_problem(client.get(f"/v1/deliveries/{uuid4()}"), 404)


def test_the_reasons_of_an_event_are_told_in_words(team: Api) -> None:
    (event,) = team.route(an_event())
    with team.client("operator") as client:
        said = client.get(f"/v1/events/{event}/explain").json()
    assert said["status"] == "routed"
    assert said["words"]
    assert all(route["words"] for route in said["routes"])


class TestCancel:
    """A publisher takes an event back."""

    def test_what_was_not_sent_is_withdrawn(self, team: Api) -> None:
        event = an_event()
        (id_,) = team.route(event)
        emails = team.rows("SELECT id FROM deliveries WHERE event_id = %s AND channel = 'email'", id_)
        team.rows("UPDATE deliveries SET status = 'processing' WHERE id = %s", emails[0][0])
        with team.client("publisher") as client:
            said = client.post(f"/v1/events/{id_}/cancel").json()
            again = client.post(f"/v1/events/{id_}/cancel").json()
        ended = team.rows(
            "SELECT status, reason, due_at FROM deliveries WHERE event_id = %s AND channel = 'email' AND id <> %s",
            *(id_, emails[0][0]),
        )
        assert ended == [("cancelled", "cancelled", None)] * (len(emails) - 1)
        assert said == {"id": id_, "status": "cancelled", "withdrawn": len(emails) - 1}
        assert again == {"id": id_, "status": "cancelled", "withdrawn": 0}

    def test_an_event_that_was_not_routed_yet_tells_nobody(self, team: Api) -> None:
        with team.client("publisher") as client, team.client("operator") as operator:
            id_ = client.post("/v1/events", json=an_event()).json()["id"]
            assert client.post(f"/v1/events/{id_}/cancel").json()["status"] == "cancelled"
            assert operator.get(f"/v1/events/{id_}").json()["status"] == "cancelled"

    def test_the_same_may_be_reported_anew(self, team: Api) -> None:
        event = an_event()
        with team.client("publisher") as client:
            id_ = client.post("/v1/events", json=event).json()["id"]
            assert client.post("/v1/events", json=event).json()["status"] == "duplicate"
            client.post(f"/v1/events/{id_}/cancel")
            assert client.post("/v1/events", json=event).json()["status"] == "accepted"

    def test_a_duplicate_has_nothing_to_take_back(self, team: Api) -> None:
        event = an_event()
        with team.client("publisher") as client:
            client.post("/v1/events", json=event)
            id_ = client.post("/v1/events", json=event).json()["id"]
            assert client.post(f"/v1/events/{id_}/cancel").json() == {"id": id_, "status": "duplicate", "withdrawn": 0}
            assert client.post("/v1/events", json=event).json()["status"] == "duplicate"


@pytest.mark.mission("B-12")
class TestReplay:
    """Dead letters are sent again, each once."""

    def test_some_are_replayed_by_id_once(self, team: Api) -> None:
        ids = dead(team, 2)
        with team.client("operator") as client:
            listed = client.get("/v1/dead-letters").json()
            assert set(ids) <= {letter["id"] for letter in listed["dead_letters"]}
            assert listed["causes"][0]["reason"] == "retries_exhausted"
            first = client.post("/v1/dead-letters/replay", json={"ids": ids}).json()
            assert sorted(first["replayed"]) == sorted(ids)
            again = client.post("/v1/dead-letters/replay", json={"ids": ids}).json()
        assert again["replayed"] == []
        assert {one["reason"] for one in again["left_out"]} == {"not_a_dead_letter"}

    def test_many_are_replayed_by_filter(self, team: Api) -> None:
        ids = dead(team, 3)
        with team.client("operator") as client:
            other = client.post("/v1/dead-letters/replay", json={"filter": {"channel": "telegram"}}).json()
            assert other["replayed"] == []
            mine = client.post("/v1/dead-letters/replay", json={"filter": {"channel": "email", "since": "1h"}}).json()
        assert set(ids) <= set(mine["replayed"])

    @pytest.mark.parametrize(
        "body", [{}, {"ids": [], "filter": {}}, {"ids": ["x"]}, {"filter": {"surprise": "x"}}, {"filter": []}]
    )
    def test_a_replay_of_nothing_in_particular_is_refused(self, team: Api, body: Any) -> None:
        with team.client("operator") as client:
            assert is_problem(client.post("/v1/dead-letters/replay", json=body), 400)

    def test_the_channel_is_rung(self, team: Api, servers: dict[str, str]) -> None:
        ids = dead(team, 1)
        with (
            redis.Redis.from_url(servers["redis"].replace("db=1", "db=0")) as broker,
            team.client("operator") as client,
        ):
            before = broker.llen("deliver.email")
            client.post("/v1/dead-letters/replay", json={"ids": ids})
            wait_until(lambda: broker.llen("deliver.email") > before, "the bell")


@pytest.mark.mission("B-14")
class TestAcknowledge:
    """A person takes an issue."""

    def mine(self, api: Api, user_id: str, **more: Any) -> str:
        """A notification of that user."""
        (event,) = api.route(an_event(**more))
        (row,) = api.rows("SELECT id::text FROM notifications WHERE event_id = %s AND user_id = %s", event, user_id)
        return str(row[0])

    def test_a_user_takes_the_issue_with_a_note(self, team: Api) -> None:
        notification = self.mine(team, "ada")
        with team.user("ada") as ada:
            said = ada.post(f"/v1/notifications/{notification}/acknowledge", json={"note": "Renewed."})
            again = ada.post(f"/v1/notifications/{notification}/acknowledge", json={"note": "Again."})
        assert said.status_code == again.status_code == 200
        assert (said.json()["ack_by_user_id"], said.json()["ack_note"]) == ("ada", "Renewed.")
        assert again.json() == said.json()

    def test_the_older_address_answers_in_camel_case(self, team: Api) -> None:
        notification = self.mine(team, "ada")
        with team.user("ada") as ada:
            said = ada.post(f"/api/notifications/{notification}/acknowledge", json={"note": "Renewed."}).json()
        assert (said["ackByUserId"], said["ackNote"]) == ("ada", "Renewed.")
        assert said["ackAt"]
        assert not [name for name in said if "_" in name]

    @pytest.mark.parametrize("body", [None, b"", b"null", b"{}", b'{"note": null}'])
    def test_the_body_may_be_left_out(self, team: Api, body: bytes | None) -> None:
        notification = self.mine(team, "ada")
        with team.user("ada") as ada:
            assert ada.post(f"/v1/notifications/{notification}/acknowledge", content=body).status_code == 200

    @pytest.mark.parametrize("body", [{"note": 7}, {"note": "x" * 2001}, {"note": "a\0"}, {"by": "ben"}, [], "x"])
    def test_an_odd_body_is_refused(self, team: Api, body: Any) -> None:
        notification = self.mine(team, "ada")
        with team.user("ada") as ada:
            assert is_problem(ada.post(f"/v1/notifications/{notification}/acknowledge", json=body), 400)

    @pytest.mark.mission("D-21")
    @pytest.mark.parametrize(("user_id", "tenant"), [("bo", "default"), ("ada", "other")])
    def test_another_users_notification_is_not_found(self, team: Api, user_id: str, tenant: str) -> None:
        notification = self.mine(team, "ada")
        team.key("admin", "other")
        with team.user(user_id, tenant) as somebody:
            answer = somebody.post(f"/v1/notifications/{notification}/acknowledge")
        assert is_problem(answer, 404, "notifications_m.not_found")

    @pytest.mark.mission("B-15")
    def test_an_operator_silences_the_issue_for_everyone(self, team: Api) -> None:
        event = an_event()
        team.route(event)
        host = event["data"]["host"]
        (row,) = team.rows(
            "SELECT n.id::text FROM notifications n JOIN events e ON e.id = n.event_id"
            " WHERE e.data->>'host' = %s AND n.user_id = 'bo'",
            host,
        )
        with team.client("operator") as client:
            said = client.post(f"/v1/notifications/{row[0]}/acknowledge").json()
        assert said["ack_by_user_id"].startswith("key:")
        left = team.rows(
            "SELECT DISTINCT d.status, d.reason FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE e.data->>'host' = %s AND d.channel = 'email'",
            host,
        )
        assert left == [("cancelled", "acknowledged")]
        audit = team.rows("SELECT action, actor FROM audit WHERE subject = %s", row[0])
        assert [action for action, _ in audit] == ["issue.acknowledge"]


@pytest.mark.mission("B-13")
def test_the_round_rings_for_what_is_due_and_tells_the_callers_part(team: Api, servers: dict[str, str]) -> None:
    team.route(an_event())
    team.rows("UPDATE events SET accepted_at = now() - interval '1 minute'")
    with team.client("publisher") as client:
        client.post("/v1/events", json=an_event())
    team.rows("UPDATE events SET accepted_at = now() - interval '1 minute' WHERE status = 'accepted'")
    with redis.Redis.from_url(servers["redis"].replace("db=1", "db=0")) as broker:
        broker.delete("deliver.email", "ingest")
        with team.client("operator") as client:
            found = client.post("/api/cron/retries").json()
        assert found["due"]["email"] >= 2
        assert found["events"] >= 1
        wait_until(lambda: broker.llen("deliver.email") and broker.llen("ingest"), "the bells")
    with team.client("operator", tenant="quiet") as client:
        assert client.post("/api/cron/retries").json() == {"due": {}, "events": 0}


@pytest.mark.mission("D-32")
def test_the_figures_are_those_of_the_database(team: Api) -> None:
    team.route(an_event())
    api_rows = team.rows(
        "SELECT count(*) FROM deliveries WHERE channel = 'email' AND status = 'queued' AND due_at IS NOT NULL"
    )
    with team.client(None) as client:
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(lines['bellwire_live_deliveries{channel="email",status="queued"}']) == api_rows[0][0]
    assert float(lines['bellwire_oldest_due_seconds{channel="email"}']) > 0
    assert 'bellwire_queue_depth{queue="deliver.email"}' in lines
    assert 'bellwire_http_requests_total{method="PUT",path="/v1/users/{user_id}",status="200"}' in lines
    assert lines["bellwire_broker_up"] == lines["bellwire_database_up"] == "1.0"
    assert all("tenant" not in name for name in lines)


def test_the_lists_take_the_filters_that_the_ledger_knows(api: Api) -> None:
    with api.client(None) as client:
        paths = client.get("/openapi.json").json()["paths"]
    known = {"/v1/events": EVENT_FILTERS, "/v1/deliveries": DELIVERY_FILTERS, "/v1/dead-letters": DEAD_LETTER_FILTERS}
    for path, filters in known.items():
        described = {one["name"] for one in paths[path]["get"]["parameters"]}
        assert described == {*filters, "cursor", "limit"}
