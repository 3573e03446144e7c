"""Events over HTTP: what is taken, what is answered, and that 202 means stored."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.api.test_access import is_problem
from tests.support.api import Api
from tests.support.waiting import wait_until

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not this one' USING ERRCODE = 'untranslatable_character';
END
$$;
CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.branch = 'poison') EXECUTE FUNCTION refuse();
"""


def some_event(**more: Any) -> dict[str, Any]:
    """An event that nobody has published before."""
    return {"type": "ssl_expiry", "data": {"host": f"{uuid4().hex}.example.org"}, **more}


@pytest.mark.mission("A-11")
def test_an_event_is_stored_when_it_is_accepted(api: Api) -> None:
    sent = some_event(severity="critical", branch="berlin", recipients=["u1", {"email": "ops@example.org"}])
    with api.client("publisher") as client, api.client("operator") as operator:
        answer = client.post("/v1/events", json=sent)
        assert answer.status_code == 202
        said = answer.json()
        assert list(said) == ["id", "status", "duplicate_of", "fingerprint"]
        assert (said["status"], said["duplicate_of"]) == ("accepted", None)
        stored = operator.get(f"/v1/events/{said['id']}").json()
    assert stored["data"] == sent["data"]
    assert (stored["severity"], stored["branch"], stored["status"]) == ("critical", "berlin", "accepted")
    assert stored["fingerprint"] == said["fingerprint"]


def test_a_repeated_event_is_a_duplicate_of_the_first(api: Api) -> None:
    sent = some_event()
    with api.client("publisher") as client, api.client("operator") as operator:
        first, second = client.post("/v1/events", json=sent).json(), client.post("/v1/events", json=sent).json()
        assert (second["status"], second["duplicate_of"]) == ("duplicate", first["id"])
        assert second["id"] != first["id"]
        assert operator.get(f"/v1/events/{second['id']}").json()["status"] == "duplicate"
        assert operator.get(f"/v1/events/{first['id']}").json()["repeats"] == 1


def test_a_list_is_answered_in_its_order(api: Api) -> None:
    events = [some_event() for _ in range(20)]
    with api.client("publisher") as client, api.client("operator") as operator:
        results = client.post("/v1/events", json={"events": [*events, events[3]]}).json()["results"]
        assert [one["status"] for one in results] == ["accepted"] * 20 + ["duplicate"]
        assert results[20]["duplicate_of"] == results[3]["id"]
        for sent, one in zip(events, results, strict=False):
            assert operator.get(f"/v1/events/{one['id']}").json()["data"] == sent["data"]


def test_a_list_of_one_gets_a_list(api: Api) -> None:
    with api.client("publisher") as client:
        assert len(client.post("/v1/events", json={"events": [some_event()]}).json()["results"]) == 1


def test_all_events_of_a_list_are_taken_or_none(api: Api) -> None:
    before = api.rows("SELECT count(*) FROM events")
    with api.client("publisher") as client:
        answer = client.post("/v1/events", json={"events": [some_event(), some_event(), some_event(severity="worst")]})
    assert is_problem(answer, 400)
    assert answer.json()["field"] == "events[2].severity"
    assert api.rows("SELECT count(*) FROM events") == before


def test_a_thousand_events_are_taken_at_once_and_no_more(api: Api) -> None:
    with api.client("publisher") as client:
        assert (
            len(client.post("/v1/events", json={"events": [some_event() for _ in range(1000)]}).json()["results"])
            == 1000
        )
        answer = client.post("/v1/events", json={"events": [some_event() for _ in range(1001)]})
    assert is_problem(answer, 413)
    assert answer.json()["field"] == "events"


def test_the_tenant_is_the_keys(api: Api) -> None:
    with api.client("publisher", tenant="other") as client:
        assert is_problem(client.post("/v1/events", json=some_event(tenant="default")), 400)
        id_ = client.post("/v1/events", json=some_event(tenant="other")).json()["id"]
    assert api.rows("SELECT tenant FROM events WHERE id = %s", id_) == [("other",)]


def test_an_event_is_listed_by_what_it_is(api: Api) -> None:
    with api.client("publisher") as client:
        id_ = client.post("/v1/events", json=some_event(type="task.failed", severity="critical")).json()["id"]
    with api.client("operator") as client:
        found = client.get("/v1/events", params={"type": "task.*", "severity": "critical", "since": "1h", "limit": 1})
        assert [event["id"] for event in found.json()["events"]] == [id_]
        assert client.get("/v1/events", params={"type": "task.failed", "severity": "low"}).json()["events"] == []


def test_a_list_goes_on_where_its_cursor_says(api: Api) -> None:
    with api.client("publisher", tenant="pages") as client:
        client.post("/v1/events", json={"events": [some_event() for _ in range(7)]})
    with api.client("operator", tenant="pages") as client:
        seen, cursor = [], ""
        while cursor is not None:
            page = client.get("/v1/events", params={"limit": 3, "cursor": cursor}).json()
            seen += [event["id"] for event in page["events"]]
            cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)


class TestIdempotencyKey:
    """The same request twice does its work once."""

    def test_the_second_request_gets_the_answer_of_the_first(self, api: Api) -> None:
        sent, key = {"events": [some_event(), some_event()]}, {"Idempotency-Key": uuid4().hex}
        with api.client("publisher") as client:
            first = client.post("/v1/events", json=sent, headers=key)
            second = client.post("/v1/events", json=sent, headers=key)
        assert first.json() == second.json()
        assert second.status_code == 202
        assert "idempotency-replayed" not in first.headers
        assert second.headers["idempotency-replayed"] == "true"
        assert stored(api, sent["events"][0]) == 1

    def test_another_body_is_a_conflict(self, api: Api) -> None:
        key = {"Idempotency-Key": uuid4().hex}
        with api.client("publisher") as client:
            client.post("/v1/events", json=some_event(), headers=key)
            other = some_event()
            assert is_problem(
                client.post("/v1/events", json=other, headers=key), 409, "bellwire.idempotency_key_reused"
            )
        assert stored(api, other) == 0

    def test_a_key_belongs_to_its_tenant(self, api: Api) -> None:
        key = {"Idempotency-Key": uuid4().hex}
        with api.client("publisher") as one, api.client("publisher", tenant="other") as other:
            assert one.post("/v1/events", json=some_event(), headers=key).status_code == 202
            assert other.post("/v1/events", json=some_event(), headers=key).json()["status"] == "accepted"

    def test_a_key_is_forgotten_after_a_day(self, api: Api) -> None:
        key = uuid4().hex
        with api.client("publisher") as client:
            client.post("/v1/events", json=some_event(), headers={"Idempotency-Key": key})
            api.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = %s", key)
            again = client.post("/v1/events", json=some_event(), headers={"Idempotency-Key": key})
        assert again.json()["status"] == "accepted"
        assert "idempotency-replayed" not in again.headers

    def test_what_was_refused_takes_no_key(self, api: Api) -> None:
        key = {"Idempotency-Key": uuid4().hex}
        with api.client("publisher") as client:
            assert is_problem(client.post("/v1/events", json={"type": ""}, headers=key), 400)
            assert client.post("/v1/events", json=some_event(), headers=key).status_code == 202

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
    def test_a_key_that_cannot_be_kept_is_refused(self, api: Api, key: str) -> None:
        with api.client("publisher") as client:
            answer = client.post("/v1/events", json=some_event(), headers={"Idempotency-Key": key})
        assert is_problem(answer, 400, "bellwire.invalid_idempotency_key")

    @pytest.mark.mission("B-8")
    def test_requests_that_come_at_once_do_their_work_once(self, api: Api) -> None:
        sent, key = some_event(type="conversation.message_posted"), {"Idempotency-Key": uuid4().hex}
        clients = [api.client("publisher") for _ in range(16)]
        start = threading.Barrier(len(clients))

        def publish(client: Any) -> Any:
            start.wait()
            return client.post("/v1/events", json=sent, headers=key)

        with ThreadPoolExecutor(len(clients)) as pool:
            answers = list(pool.map(publish, clients))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.text for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        assert stored(api, sent) == 1

    def test_who_comes_second_waits_for_the_first(self, api: Api) -> None:
        """Another process has taken the key and has not committed yet."""
        sent, key = some_event(), uuid4().hex
        with (
            psycopg.connect(api.database_url) as other,
            api.client("publisher") as client,
            ThreadPoolExecutor(1) as pool,
        ):
            other.execute(
                "INSERT INTO idempotency_keys (tenant, endpoint, key, body_hash, status, response)"
                " VALUES ('default', 'POST /v1/events', %s, '', 202, '[]')",
                (key,),
            )
            waiting = pool.submit(client.post, "/v1/events", json=sent, headers={"Idempotency-Key": key})
            wait_until(lambda: blocked(api), "the request to wait for the key")
            assert not waiting.done()
            other.rollback()
            assert waiting.result().json()["status"] == "accepted"
        assert stored(api, sent) == 1


class TestStoredMeansStored:
    """202 comes after the commit and only then."""

    def test_nothing_is_answered_before_the_commit(self, api: Api) -> None:
        with (
            psycopg.connect(api.database_url) as other,
            api.client("publisher") as client,
            ThreadPoolExecutor(1) as pool,
        ):
            other.execute("LOCK TABLE events IN SHARE MODE")
            waiting = pool.submit(client.post, "/v1/events", json=some_event())
            wait_until(lambda: blocked(api), "the transaction to wait for the table")
            assert not waiting.done()
            other.rollback()
            assert waiting.result().status_code == 202

    def test_a_transaction_that_dies_is_answered_503_and_leaves_nothing(self, api: Api) -> None:
        sent = [some_event() for _ in range(3)]
        with psycopg.connect(api.database_url) as other, ThreadPoolExecutor(3) as pool:
            other.execute("LOCK TABLE events IN SHARE MODE")
            clients = [api.client("publisher") for _ in sent]
            waiting = [
                pool.submit(client.post, "/v1/events", json=one) for client, one in zip(clients, sent, strict=True)
            ]
            wait_until(lambda: blocked(api), "the transaction to wait for the table")
            api.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            wait_until(lambda: any(one.done() for one in waiting), "the first answer")
            other.rollback()
            answers = [one.result() for one in waiting]
        for event, answer in zip(sent, answers, strict=True):
            assert answer.status_code in (202, 503)
            assert stored(api, event) == (answer.status_code == 202)
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        for answer in refused:
            assert is_problem(answer, 503, "bellwire.database_away")
            assert int(answer.headers["retry-after"]) > 0

    def test_it_goes_on_when_the_database_is_back(self, api: Api) -> None:
        with api.client("publisher") as client:
            api.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bellwire'")
            assert client.post("/v1/events", json=some_event()).status_code == 202


class TestGroupCommit:
    """Requests that wait share a transaction."""

    @pytest.mark.mission("D-31")
    def test_requests_that_wait_share_one_transaction(self, api: Api) -> None:
        sent = [some_event() for _ in range(20)]
        clients = [api.client("publisher") for _ in sent]
        with psycopg.connect(api.database_url) as other, ThreadPoolExecutor(len(sent)) as pool:
            other.execute("LOCK TABLE events IN SHARE MODE")
            ahead = pool.submit(clients[0].post, "/v1/events", json=sent[0])
            wait_until(lambda: blocked(api), "the first to wait for the table")
            rest = [
                pool.submit(client.post, "/v1/events", json=one)
                for client, one in zip(clients[1:], sent[1:], strict=True)
            ]
            wait_until(lambda: waiting(api) == len(rest), "the others to wait for the next transaction")
            other.rollback()
            assert {one.result().status_code for one in (ahead, *rest)} == {202}
        hosts = [one["data"]["host"] for one in sent]
        commits = api.rows("SELECT count(DISTINCT xmin::text) FROM events WHERE data->>'host' = ANY(%s)", hosts)
        assert commits == [(2,)]

    def test_one_bad_request_in_a_group_harms_no_other(self, api: Api) -> None:
        """The key of one was revoked, another repeats an idempotency key: the rest is stored."""
        new = api.new_key("publisher")
        keys = {"Idempotency-Key": uuid4().hex}
        with (
            api.client("publisher") as client,
            api.client(None, Authorization=f"Bearer {new.key}") as revoked,
            psycopg.connect(api.database_url) as other,
            ThreadPoolExecutor(4) as pool,
        ):
            assert revoked.post("/v1/events", json=some_event()).status_code == 202
            client.post("/v1/events", json=some_event(), headers=keys)
            other.execute("LOCK TABLE events IN SHARE MODE")
            ahead = pool.submit(client.post, "/v1/events", json=some_event())
            wait_until(lambda: blocked(api), "the first to wait for the table")
            api.rows("UPDATE api_keys SET revoked_at = now() WHERE id = %s", new.id)
            gone = pool.submit(revoked.post, "/v1/events", json=some_event())
            reused = pool.submit(client.post, "/v1/events", json=some_event(), headers=keys)
            good = pool.submit(client.post, "/v1/events", json=some_event())
            wait_until(lambda: waiting(api) == 3, "all three to wait for the next transaction")
            other.rollback()
            assert is_problem(gone.result(), 401)
            assert is_problem(reused.result(), 409)
            assert ahead.result().status_code == good.result().status_code == 202

    def test_what_the_database_refuses_harms_only_its_own_request(self, api: Api) -> None:
        """Nothing is known that passes the door and cannot be stored; should anything, this is what happens."""
        api.rows(REFUSE)
        sent = [some_event(), some_event(branch="poison"), some_event()]
        clients = [api.client("publisher") for _ in sent]
        try:
            with psycopg.connect(api.database_url) as other, ThreadPoolExecutor(4) as pool:
                other.execute("LOCK TABLE events IN SHARE MODE")
                ahead = pool.submit(api.client("publisher").post, "/v1/events", json=some_event())
                wait_until(lambda: blocked(api), "the first to wait for the table")
                group = [
                    pool.submit(client.post, "/v1/events", json=one) for client, one in zip(clients, sent, strict=True)
                ]
                wait_until(lambda: waiting(api) == 3, "all three to wait for the next transaction")
                other.rollback()
                answers = [one.result() for one in (ahead, *group)]
        finally:
            api.rows("DROP FUNCTION refuse CASCADE")
        assert [answer.status_code for answer in answers] == [202, 202, 400, 202]
        assert is_problem(answers[2], 400, "bellwire.not_storable")
        assert [stored(api, one) for one in sent] == [1, 0, 1]


def stored(api: Api, event: dict[str, Any]) -> int:
    """How many events there are with this one's data."""
    rows = api.rows("SELECT count(*) FROM events WHERE data->>'host' = %s", event["data"]["host"])
    return int(rows[0][0])


def blocked(api: Api) -> bool:
    """Whether the API waits for somebody's lock."""
    rows = api.rows(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'bellwire' AND wait_event_type = 'Lock' AND datname = current_database()"
    )
    return bool(rows[0][0])


def waiting(api: Api) -> int:
    """How many requests wait for the transaction after the one that is under way."""
    with api.client(None) as client:
        shown = client.get("/metrics").text
    return int(float(shown.split("\nbellwire_intake_waiting ", 1)[1].split("\n", 1)[0]))
