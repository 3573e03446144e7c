"""The inbox over HTTP: a user's own, page by page, read, unread and deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from tests.api.test_access import is_problem
from tests.support.api import Api

PATH = "/v1/notifications"
NOWHERE = f"{PATH}/0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
ONE, OTHER = str(uuid4()), str(uuid4())


@pytest.fixture
def ana(api: Api) -> Iterator[httpx.Client]:
    """A user who was told of four things just now, the last of them about a customer; each test has its own."""
    name = f"ana-{uuid4().hex[:8]}"
    with api.client() as admin:
        assert admin.put(f"/v1/users/{name}", json={}).is_success
    told = {"type": "task.made", "recipients": [name]}
    of_none = [{**told, "data": {"n": number, "of": name}} for number in range(3)]
    api.route(*of_none, {**told, "data": {"n": 3, "of": name}, "customer_id": ONE})
    with api.user(name, customers=[ONE]) as client:
        client.headers["X-Name"] = name  # for the tests; the API does not look at it
        yield client


def listed(client: httpx.Client, **query: Any) -> Any:
    answer = client.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(client: httpx.Client) -> list[str]:
    """The newest first."""
    return [one["id"] for one in listed(client)["notifications"]]


@contextmanager
def broken(api: Api) -> Iterator[None]:
    """The database has lost a table for a while."""
    api.rows("ALTER TABLE notifications RENAME TO lost")
    try:
        yield
    finally:
        api.rows("ALTER TABLE lost RENAME TO notifications")


@contextmanager
def heard(servers: Any) -> Iterator[Callable[[], Any]]:
    """Listens as API processes do; gives the next message."""
    with redis.Redis.from_url(servers["redis"]) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("ws:notification")
        listener.get_message(timeout=5)

        def following() -> Any:
            said = listener.get_message(timeout=5)
            assert said is not None, "nothing was shown"
            return json.loads(said["data"])

        yield following


@pytest.mark.mission("D-6")
def test_an_inbox_is_listed_as_its_clients_expect(ana: httpx.Client) -> None:
    page = listed(ana)
    assert page.keys() == {"notifications", "total", "unread", "limit", "offset", "next_cursor"}
    assert (page["total"], page["unread"], page["limit"], page["offset"], page["next_cursor"]) == (4, 4, 50, 0, None)
    newest = page["notifications"][0]
    assert (newest["event"], newest["customer_id"], newest["read"], newest["read_at"]) == (
        "task.made",
        ONE,
        False,
        None,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", newest["created_at"])


@pytest.mark.mission("D-6")
def test_pages_are_reached_by_offset_and_by_cursor(ana: httpx.Client) -> None:
    everything = ids(ana)
    first = listed(ana, limit=3)
    by_cursor = listed(ana, limit=3, cursor=first["next_cursor"])
    by_offset = listed(ana, limit=3, offset=3)
    assert [one["id"] for one in first["notifications"]] == everything[:3]
    assert by_cursor["notifications"] == by_offset["notifications"]
    assert [one["id"] for one in by_offset["notifications"]] == everything[3:]
    assert (by_offset["total"], by_offset["offset"], by_offset["next_cursor"]) == (4, 3, None)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("status=unread", 3),
        ("status=read", 1),
        ("status=all", 4),
        ("status=", 4),
        ("customer_id=", 4),
        (f"customer_id={ONE}", 1),
        (f"customer_id={OTHER}", 0),
        (f"customer_id={ONE}&status=read", 0),
    ],
    ids=range(8),
)
def test_a_query_leaves_what_it_asks_for(ana: httpx.Client, query: str, count: int) -> None:
    assert ana.patch(f"{PATH}/{ids(ana)[3]}/read").status_code == 200
    page = ana.get(f"{PATH}?{query}").json()
    assert (len(page["notifications"]), page["total"]) == (count, count)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=201", "limit"),
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
        ("offset=10001", "offset"),
        ("offset=x", "offset"),
        ("status=new", "status"),
        ("customer_id=7", "customer_id"),
        ("cursor=7", "cursor"),
        ("user_id=somebody", "user_id"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused_by_name(ana: httpx.Client, query: str, field: str) -> None:
    answer = ana.get(f"{PATH}?{query}")
    assert is_problem(answer, 400)
    assert answer.json()["field"] == field


@pytest.mark.mission("D-7", "C-9")
def test_what_was_fetched_is_delivered(api: Api, ana: httpx.Client) -> None:
    states = "SELECT status, count(*) FROM deliveries WHERE channel = 'in_app' AND address = %s GROUP BY 1 ORDER BY 1"
    name = ana.headers["X-Name"]
    assert api.rows(states, name) == [("sent", 4)]
    newest = listed(ana, limit=1)["notifications"][0]
    assert api.rows(states, name) == [("delivered", 1), ("sent", 3)]
    assert ana.get(f"{PATH}/{newest['id']}").json() == newest
    oldest = listed(ana, limit=1, offset=3)["notifications"][0]
    assert ana.get(f"{PATH}/{oldest['id'].upper()}").json() == oldest
    assert api.rows(states, name) == [("delivered", 2), ("sent", 2)]


@pytest.mark.mission("D-8", "C-10")
@pytest.mark.parametrize("body", [b"", b" ", b"null", b"{}", b'{"read": true}'])
def test_a_notification_is_marked_read_with_or_without_a_body(ana: httpx.Client, body: bytes) -> None:
    one = ids(ana)[0]
    first = ana.patch(f"{PATH}/{one}/read", content=body)
    again = ana.patch(f"{PATH}/{one}/read", content=body)
    assert (first.status_code, first.json()["read"], first.json()["status"]) == (200, True, "read")
    assert again.json() == first.json() == ana.get(f"{PATH}/{one}").json()
    assert listed(ana)["unread"] == 3


@pytest.mark.mission("D-8")
def test_a_notification_is_marked_unread_again(ana: httpx.Client) -> None:
    one = ids(ana)[0]
    ana.patch(f"{PATH}/{one}/read")
    back = ana.patch(f"{PATH}/{one}/read", json={"read": False}).json()
    assert (back["read"], back["read_at"], listed(ana)["unread"]) == (False, None, 4)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"read": "yes"}, "read"),
        ({"read": None}, "read"),
        ({"read": 1}, "read"),
        ({"title": "mine"}, "title"),
        ({"read": True, "deleted_at": None}, "deleted_at"),
        ([], None),
        (True, None),
    ],
)
def test_marking_takes_nothing_but_read(ana: httpx.Client, body: Any, field: str | None) -> None:
    one = ids(ana)[0]
    answer = ana.patch(f"{PATH}/{one}/read", json=body)
    assert is_problem(answer, 400)
    assert answer.json()["field"] == field
    assert listed(ana)["unread"] == 4


@pytest.mark.mission("C-10")
def test_everything_is_marked_read_at_once(ana: httpx.Client) -> None:
    assert ana.post(f"{PATH}/read-all", json={"customer_id": ONE}).json() == {"updated": 1}
    assert ana.post(f"{PATH}/read-all", json={"customer_id": OTHER}).json() == {"updated": 0}
    assert ana.post(f"{PATH}/read-all").json() == {"updated": 3}
    assert ana.post(f"{PATH}/read-all", json={}).json() == {"updated": 0}
    assert listed(ana)["unread"] == 0
    refused = ana.post(f"{PATH}/read-all", json={"customer_id": "x"})
    assert is_problem(refused, 400)
    assert refused.json()["field"] == "customer_id"
    assert is_problem(ana.post(f"{PATH}/read-all", json={"user_id": "ben"}), 400)


@pytest.mark.mission("D-9", "D-21")
def test_a_notification_is_deleted_once_and_for_all(ana: httpx.Client) -> None:
    one = ids(ana)[0]
    for _ in range(2):  # a client that did not hear the answer asks again
        assert ana.delete(f"{PATH}/{one}").status_code == 204
    assert one not in ids(ana)
    assert is_problem(ana.get(f"{PATH}/{one}"), 404, "notifications_m.not_found")
    assert is_problem(ana.patch(f"{PATH}/{one}/read"), 404, "notifications_m.not_found")
    assert listed(ana)["total"] == 3


@pytest.mark.mission("D-21", "D-34")
@pytest.mark.parametrize("stranger", ["another user", "another tenant", "a token without the customer"])
@pytest.mark.parametrize(("method", "end"), [("GET", ""), ("PATCH", "/read"), ("DELETE", ""), ("POST", "/acknowledge")])
def test_whoever_it_was_not_meant_for_does_not_find_it(
    api: Api, ana: httpx.Client, stranger: str, method: str, end: str
) -> None:
    one, name = ids(ana)[0], ana.headers["X-Name"]
    api.key("admin", "elsewhere")  # makes the tenant
    whom: dict[str, Any] = {
        "another user": {"user_id": "ben", "customers": [ONE]},
        "another tenant": {"user_id": name, "tenant": "elsewhere", "customers": [ONE]},
        "a token without the customer": {"user_id": name, "customers": [OTHER]},
    }[stranger]
    with api.user(**whom) as client:
        asked = client.request(method, f"{PATH}/{one}{end}")
        never = client.request(method, f"{NOWHERE}{end}")
        assert is_problem(asked, 404, "notifications_m.not_found")
        assert asked.json() == never.json()
        assert one not in ids(client)
        client.post(f"{PATH}/read-all")
    found = ana.get(f"{PATH}/{one}").json()
    assert (found["read"], found["ack_at"]) == (False, None)


@pytest.mark.mission("D-20")
@pytest.mark.parametrize(("method", "end"), [("GET", ""), ("PATCH", "/read"), ("DELETE", "")])
@pytest.mark.parametrize("name", ["7", "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d0", "%00", "x" * 300])
def test_an_id_that_is_none_is_invalid(ana: httpx.Client, method: str, end: str, name: str) -> None:
    assert is_problem(ana.request(method, f"{PATH}/{name}{end}"), 400, "notifications_m.invalid_id")


@pytest.mark.mission("D-22", "D-23", "D-27")
@pytest.mark.parametrize(
    ("method", "end", "code"),
    [
        ("GET", "", "failed_to_fetch_notifications"),
        ("GET", "/{}", "failed_to_fetch_notifications"),
        ("PATCH", "/{}/read", "failed_to_mark_as_read"),
        ("POST", "/read-all", "failed_to_mark_as_read"),
        ("DELETE", "/{}", "failed_to_delete"),
    ],
)
def test_what_the_database_could_not_do_has_its_own_code(
    api: Api, ana: httpx.Client, method: str, end: str, code: str
) -> None:
    path = PATH + end.format(ids(ana)[0])
    with broken(api):
        answer = ana.request(method, path)
        assert is_problem(answer, 500, f"notifications_m.{code}")
        assert "relation" not in answer.text
    assert ana.request(method, path).is_success


@pytest.mark.mission("A-32")
@pytest.mark.parametrize(
    ("method", "end", "left"),
    [("PATCH", "/{}/read", 3), ("POST", "/read-all", 0), ("DELETE", "/{}", 3), ("POST", "/{}/acknowledge", 3)],
)
def test_all_tabs_are_shown_what_is_left_unread(
    ana: httpx.Client, servers: Any, method: str, end: str, left: int
) -> None:
    path = PATH + end.format(ids(ana)[0])
    with heard(servers) as following:
        assert ana.request(method, path).is_success
        said = following()
        while "unread" not in said:  # acknowledging also says who took it
            said = following()
    assert (said["tenant"], said["userId"], said["unread"]) == ("default", ana.headers["X-Name"], left)


def test_what_changes_nothing_is_shown_to_nobody(ana: httpx.Client, servers: Any) -> None:
    one, two = ids(ana)[:2]
    ana.patch(f"{PATH}/{one}/read")
    with heard(servers) as following:
        assert ana.patch(f"{PATH}/{one}/read").is_success
        assert ana.patch(f"{PATH}/{two}/read").is_success
        assert following()["unread"] == 2  # of the second; the first said nothing


def test_many_who_mark_the_same_at_once_mark_it_once(api: Api, ana: httpx.Client) -> None:
    one, found = ids(ana)[0], []
    together = Barrier(8)

    def mark() -> None:
        with httpx.Client(base_url=api.url, headers=ana.headers, timeout=30, trust_env=False, verify=False) as client:
            together.wait(20)
            found.append(client.patch(f"{PATH}/{one}/read").json()["read_at"])

    threads = [Thread(target=mark) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert api.rows("SELECT count(*) FROM audit WHERE action = 'notification.read' AND subject = %s", one) == [(1,)]


@pytest.mark.mission("D-36")
def test_every_change_of_an_inbox_is_in_the_audit_and_says_no_words_of_it(api: Api, ana: httpx.Client) -> None:
    name = ana.headers["X-Name"]
    one, two = ids(ana)[:2]
    ana.patch(f"{PATH}/{one}/read")
    ana.patch(f"{PATH}/{one}/read", json={"read": False})
    ana.delete(f"{PATH}/{two}")
    ana.post(f"{PATH}/read-all")
    done = api.rows(
        "SELECT action, subject, remote_address, before, after FROM audit WHERE actor = %s ORDER BY id", f"user:{name}"
    )
    assert done == [
        ("notification.read", one, "127.0.0.1", None, None),
        ("notification.unread", one, "127.0.0.1", None, None),
        ("notification.delete", two, "127.0.0.1", None, None),
        ("inbox.read", name, "127.0.0.1", None, {"updated": 3, "customer_id": None}),
    ]


def test_addresses_that_are_fixed_are_not_taken_for_ids(api: Api) -> None:
    """All else that is read under the inbox is tried before {notification_id}: addresses are, in their order."""
    with api.client(None) as client:
        known = client.get("/openapi.json").json()["paths"]
    read = [path for path, calls in known.items() if re.fullmatch(f"{PATH}/[^/]+", path) and "get" in calls]
    assert read[-1] == f"{PATH}/{{notification_id}}"
