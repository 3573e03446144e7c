"""Whatever a client sends, it gets an answer below 500 that says what is wrong, and the API goes on."""

from __future__ import annotations

import json
import re
import socket
import struct
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.test_access import is_problem
from tests.support.api import Api, token

MIB = 1024 * 1024
SURROGATE = b'"\\ud800"'
EVERYWHERE = b'{"type": @, "name": @, "url": @, "ids": [@], "filter": {@: @}, "headers": {@: @}, "match": {"event": @}}'

WITH_BODIES = [
    ("POST", "/v1/events"),
    ("PUT", "/v1/users/u1"),
    ("PUT", "/v1/routes/r1"),
    ("PUT", "/v1/event-types/own.made"),
    ("PUT", "/v1/webhooks/w1"),
    ("POST", "/v1/dead-letters/replay"),
    ("POST", "/v1/suppressions"),
    ("PUT", "/v1/providers/smtp"),
]
OF_USERS = [("PUT", "/v1/notifications/preferences"), ("PATCH", "/v1/users/me")]
NOTIFICATION = "/v1/notifications/0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01"
OF_INBOX = [("PATCH", f"{NOTIFICATION}/read"), ("POST", "/v1/notifications/read-all")]
LISTS = ["/v1/events", "/v1/deliveries", "/v1/dead-letters", "/v1/users", "/v1/routes", "/v1/webhooks"]
LISTS += ["/v1/event-types"]
LISTS += ["/v1/suppressions", "/v1/providers"]
IN_PATHS = [
    ("GET", "/v1/events/{}"),
    ("GET", "/v1/events/{}/explain"),
    ("POST", "/v1/events/{}/cancel"),
    ("GET", "/v1/deliveries/{}"),
    ("GET", "/v1/users/{}"),
    ("PUT", "/v1/users/{}"),
    ("DELETE", "/v1/users/{}"),
    ("GET", "/v1/routes/{}"),
    ("GET", "/v1/event-types/{}"),
    ("PUT", "/v1/event-types/{}"),
    ("DELETE", "/v1/event-types/{}"),
    ("PUT", "/v1/routes/{}"),
    ("DELETE", "/v1/routes/{}"),
    ("GET", "/v1/webhooks/{}"),
    ("PUT", "/v1/webhooks/{}"),
    ("DELETE", "/v1/webhooks/{}"),
    ("POST", "/v1/webhooks/{}/rotate"),
    ("POST", "/v1/notifications/{}/acknowledge"),
    ("POST", "/api/notifications/{}/acknowledge"),
    ("GET", "/v1/providers/{}"),
    ("PUT", "/v1/providers/{}"),
    ("DELETE", "/v1/providers/{}"),
    ("DELETE", "/v1/suppressions?address={}"),
    ("GET", "/u/{}"),
    ("POST", "/u/{}"),
    ("GET", "/a/{}"),
    ("POST", "/a/{}"),
]
BODIES = {
    "nothing": b"",
    "blank": b"  \n",
    "no JSON": b"{",
    "a comment": b'{"type": "x"} // more',
    "NaN": b'{"type": "x", "data": {"n": NaN}}',
    "an infinity": b'{"type": "x", "data": {"n": -Infinity}}',
    "a number beyond floats": b'{"type": "x", "data": {"n": 1e999}}',
    "an endless integer": b'{"type": "x", "data": {"n": ' + b"9" * 100_000 + b"}}",
    "invalid UTF-8": b'{"type": "\xff\xfe"}',
    "UTF-16": '{"type": "x"}'.encode("utf-16"),
    "a mark of byte order": b'\xef\xbb\xbf{"type": "x"}',
    "NUL": b'{"type": "x", "data": {"a": "\\u0000"}}',
    "NUL in a key": b'{"type": "x", "data": {"\\u0000": 1}}',
    "NUL in a known field": b'{"type": "a\\u0000b", "email": "\\u0000", "url": "https://\\u0000", "ids": ["\\u0000"]}',
    "half a surrogate pair": b'{"type": "x", "data": {"a": ' + SURROGATE + b"}}",
    "half a surrogate pair as a key": b"{" + SURROGATE + b": 1}",
    "half a surrogate pair everywhere": EVERYWHERE.replace(b"@", SURROGATE),
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "deep data": b'{"type": "x", "data": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
    "a list": b"[]",
    "a list of nothing": b"[null, 1, [], {}]",
    "a text": b'"x"',
    "a number": b"7",
    "null": b"null",
    "true": b"true",
    "an unknown field": b'{"type": "x", "surprise": 1}',
    "no field": b"{}",
    "the same field twice": b'{"type": "x", "type": 7}',
    "numbers for texts": b'{"type": 7, "email": 7, "url": 7, "ids": 7, "filter": 7, "match": 7, "roles": 7}',
    "objects for texts": b'{"type": {}, "email": {}, "url": {}, "ids": {}, "match": {"event": {}}, "roles": {"a": 1}}',
    "a form": b"type=x&data=1",
    "a time out of range": b'{"type": "x", "occurred_at": "0001-01-01T00:00:00+14:00"}',
    "ids that are none": b'{"ids": ["x", null, 7]}',
    "a filter that is none": b'{"filter": {"surprise": "x", "since": "yesterday"}}',
    "a number as a filter": b'{"filter": {"since": 7}}',
}


def is_whole(answer: bytes) -> bool:
    """Whether the head and as much of a body as it declares are there."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def raw(api: Api, request: bytes, *, shut: bool = False) -> tuple[int, bytes]:
    """Send bytes as they are, and read the status and everything that follows."""
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while not is_whole(answer):
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
    return (int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0), answer


def request(api: Api, method: bytes, target: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    """A request with an admin's key, for bytes that no client library would send."""
    lines = (
        method + b" " + target + b" HTTP/1.1",
        b"Host: x",
        b"Authorization: Bearer " + api.key("admin").encode(),
        b"Content-Length: " + str(len(body)).encode(),
        b"Connection: close",
        *headers,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize(("method", "path"), WITH_BODIES)
def test_a_body_that_cannot_be_taken_is_refused_in_words(api: Api, method: str, path: str, body: bytes) -> None:
    with api.client() as client:
        answer = client.request(method, path, content=body)
    if answer.status_code >= 400:
        assert is_problem(answer, 413 if answer.status_code == 413 else 400)
        assert answer.json()["detail"]
    else:
        assert answer.status_code in (200, 202)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize(("method", "path"), OF_USERS)
def test_a_users_body_that_cannot_be_taken_is_refused_in_words(api: Api, method: str, path: str, body: bytes) -> None:
    api.key("admin")  # makes the tenant
    with api.user("u1") as client:
        answer = client.request(method, path, content=body)
    if answer.status_code != 200:
        assert is_problem(answer, 400)
        assert answer.json()["detail"]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize(("method", "path"), OF_INBOX)
def test_an_inbox_takes_no_odd_body(api: Api, method: str, path: str, body: bytes) -> None:
    api.key("admin")  # makes the tenant
    with api.user("u1") as client:
        answer = client.request(method, path, content=body)
    if answer.status_code != 200:
        assert is_problem(answer, answer.status_code)
        assert answer.status_code in (400, 404)
        assert answer.json()["detail"]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_an_acknowledgement_with_an_odd_body_is_refused(api: Api, body: bytes) -> None:
    with api.client() as client:
        answer = client.post("/v1/notifications/0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01/acknowledge", content=body)
    assert answer.status_code in (400, 404, 413)
    assert is_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "%00",
            "a%00b",
            "%ED%A0%80",
            "%FF%FE",
            "%C0%AF",
            "..%2F..",
            "%252F",
            "a%2Fb",
            "a b",
            "%0A",
            "%7F",
            "%E2%80%AE",
        ),
        *("'", '"', "--", "{}", "%25", "*", "\\", "x" * 300, "x" * 5000, "None", "null", "-1", "9" * 50),
        *(
            "0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d0",
            "{0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01}",
            "urn:uuid:0",
            "%F0%9F%94%94",
        ),
    ],
)
@pytest.mark.parametrize(("method", "path"), IN_PATHS)
def test_nothing_in_a_path_makes_an_error_of_ours(api: Api, method: str, path: str, value: str) -> None:
    target = path.format(value).replace(" ", "%20").encode()
    status, answer = raw(api, request(api, method.encode(), target, b"{}"))
    assert 200 <= status < 500, answer


@pytest.mark.mission("D-20")
@pytest.mark.parametrize(
    "path", [path for _, path in IN_PATHS if "events" in path or "deliver" in path or "notif" in path]
)
def test_an_id_that_is_no_uuid_is_said_to_be_invalid(api: Api, path: str) -> None:
    method = "POST" if path.endswith(("acknowledge", "cancel")) else "GET"
    code = "notifications_m.invalid_id" if "notif" in path else "bellwire.invalid_id"
    with api.client() as client:
        assert is_problem(client.request(method, path.format("7")), 400, code)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=-1", "limit=x", "limit=1e3", "limit=" + "9" * 5000, "limit=1.5", "limit=%00"),
        *("cursor=%00", "cursor=x", "cursor=%ED%A0%80", "cursor=" + "A" * 3000, "cursor=////", "cursor=é"),
        *("surprise=1", "%00=1", "limit[]=1", "=", "&&&", "limit=1&limit=2", "limit"),
        *("status=%00", "status=worst", "channel=pigeon", "since=yesterday", "since=%00", "since=99999999999d"),
        *("since=0001-01-01T00:00:00%2B14:00", "since=9999-12-31T23:59:59-14:00", "event=%25", "type=';--", "reason=x"),
        *(
            "recipient=%ED%A0%80",
            "recipient=" + "x" * 3000,
            "severity=",
            "since=-5m",
            "since=%D9%A3m",
            "since=1000000000s",
        ),
    ],
)
@pytest.mark.parametrize("path", LISTS)
def test_nothing_in_a_query_makes_an_error_of_ours(api: Api, path: str, query: str) -> None:
    status, answer = raw(api, request(api, b"GET", f"{path}?{query}".encode("latin-1")))
    assert status in (200, 400), answer


@pytest.mark.parametrize(
    "query",
    [
        *(
            "limit=0",
            "limit=" + "9" * 5000,
            "offset=-1",
            "offset=1e3",
            "offset=" + "9" * 400,
            "offset=%00",
            "limit=%D9%A3",
        ),
        *("status=%00", "status=worst", "status=read&status=unread", "customer_id=x", "customer_id=%ED%A0%80"),
        *("customer_id={0192f0c1-2f6a-7b1e-8e55-6f1f3c1a9d01}", "customer_id=" + "0" * 3000, "customer_id=%00"),
        *(
            "cursor=x",
            "cursor=MA",
            "cursor=LTE",
            "cursor=wrI",
            "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OQ",
            "cursor=MQ&offset=1",
        ),
        *("cursor=" + "A" * 3000, "cursor=é", "user_id=u2", "tenant=other", "limit[]=1", "=", "&&&"),
    ],
)
def test_nothing_in_a_query_of_an_inbox_makes_an_error_of_ours(api: Api, query: str) -> None:
    api.key("admin")  # makes the tenant
    with api.user("u1") as client:
        answer = client.get(f"/v1/notifications?{query}")
    assert answer.status_code == 200 or is_problem(answer, 400), answer.text


@pytest.mark.parametrize(
    "value",
    [b"\xff\xfe", b"\xed\xa0\x80", b"a\x01b", b"\x7f", b"x" * 20_000, b"", b"\xc3\xa9" * 200, b"bw_" + b"\xe9" * 43],
)
@pytest.mark.parametrize(
    "name",
    [b"Authorization", b"X-API-Key", b"Idempotency-Key", b"Content-Type", b"Content-Encoding", b"Accept", b"Origin"],
)
def test_nothing_in_a_header_makes_an_error_of_ours(api: Api, name: bytes, value: bytes) -> None:
    status, answer = raw(api, request(api, b"POST", b"/v1/events", b'{"type": "x"}', name + b": " + value))
    assert 200 <= status < 500, answer
    without_key = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + name + b": " + value + b"\r\n\r\n"
    status, answer = raw(api, without_key)
    assert 400 <= status < 500, answer


@pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b"", b"9" * 40, b"1, 2", b"+5", b"0x10"])
def test_a_length_that_is_none_is_refused(api: Api, length: bytes) -> None:
    head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
    sent = head + api.key("admin").encode() + b"\r\nContent-Length: " + length + b'\r\n\r\n{"type": "x"}'
    status, answer = raw(api, sent, shut=True)
    assert status == 0 or 400 <= status < 500, answer


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png", "x", "", "multipart/form-data"]
)
def test_the_content_type_does_not_matter(api: Api, content_type: str) -> None:
    with api.client() as client:
        answer = client.post("/v1/events", content=b'{"type": "task.failed"}', headers={"Content-Type": content_type})
    assert answer.status_code == 202


def test_a_compressed_body_is_refused(api: Api) -> None:
    with api.client() as client:
        answer = client.post("/v1/events", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert is_problem(answer, 415, "bellwire.unsupported_encoding")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PUT", "TRACE", "PROPFIND", "SEARCH", "BREW", "get", "M-SEARCH"])
def test_a_method_that_is_not_for_the_address_is_refused(api: Api, method: str) -> None:
    status, answer = raw(api, request(api, method.encode(), b"/v1/events"))
    assert status in (400, 405), answer


@pytest.mark.parametrize(
    "target",
    [b"*", b"http://elsewhere/v1/events", b"/v1//events", b"/v1/events/", b"//", b"/%2e%2e/x", b"/v1/events;x"],
)
def test_an_odd_target_is_refused(api: Api, target: bytes) -> None:
    status, answer = raw(api, request(api, b"GET", target))
    assert status in (200, 400, 404), answer


@pytest.mark.parametrize(
    ("query", "field", "problem"),
    [
        ("deliveries?limit=x", "limit", "limit: must be a whole number"),
        ("deliveries?limit=1.5", "limit", "limit: must be a whole number"),
        ("deliveries?event=%00", "event", "event: has characters that are not allowed"),
        ("deliveries?surprise=1", "surprise", "surprise: is not a known parameter"),
    ],
)
def test_a_parameter_is_refused_in_words_that_need_no_python(api: Api, query: str, field: str, problem: str) -> None:
    with api.client() as client:
        answer = client.get(f"/v1/{query}")
    assert is_problem(answer, 400)
    assert (answer.json()["field"], answer.json()["detail"]) == (field, problem)


def test_what_is_wrong_with_the_whole_body_has_no_field(api: Api) -> None:
    with api.client() as client:
        answer = client.post("/v1/events", content=b"7")
    assert is_problem(answer, 400)
    assert (answer.json()["field"], answer.json()["detail"]) == (None, "The body must be a JSON object.")


def test_an_address_that_is_none_is_refused_before_anything_is_stored(api: Api) -> None:
    with api.client() as client:
        answer = client.post("/v1/events", json={"type": "an.address", "recipients": [{"email": "bad"}]})
    assert is_problem(answer, 400)
    assert answer.json()["field"] == "recipients[0].email"


class TestTooLarge:
    """A body is cut off at its first byte too many."""

    def test_a_declared_length_is_believed_when_it_is_too_much(self, api: Api) -> None:
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + api.key("admin").encode()
        status, answer = raw(api, head + b"\r\nContent-Length: 10485761\r\n\r\n")  # and not a byte of it follows
        assert status == 413, answer
        assert b"bellwire.too_large" in answer

    def test_a_body_without_a_length_is_counted(self, api: Api) -> None:
        with api.client() as client:
            answer = client.post("/v1/events", content=(b" " * MIB for _ in range(11)))
        assert is_problem(answer, 413, "bellwire.too_large")

    @pytest.mark.parametrize(
        ("method", "path", "most"), [("POST", "/v1/events", 10 * MIB), ("PUT", "/v1/users/u1", MIB // 4)]
    )
    def test_an_endless_body_is_not_read_to_its_end(self, api: Api, method: str, path: str, most: int) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key('admin')}\r\n"
        chunk = b" " * (most + 1)
        sent = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(chunk):x}\r\n".encode() + chunk + b"\r\n"
        status, answer = raw(api, sent)  # and the end never comes
        assert status == 413, answer

    def test_the_largest_body_is_taken(self, api: Api) -> None:
        data = {"text": "x" * 200_000}
        events = [{"type": "task.failed", "data": {**data, "n": n}} for n in range(50)]
        body = json.dumps({"events": events}).encode()
        body += b" " * (10 * MIB - len(body))
        with api.client() as client:
            assert client.post("/v1/events", content=body).status_code == 202
            assert is_problem(client.post("/v1/events", content=body + b" "), 413)

    def test_data_has_a_limit_of_its_own(self, api: Api) -> None:
        with api.client() as client:
            answer = client.post("/v1/events", json={"events": [{"type": "x", "data": {"text": "x" * 256 * 1024}}]})
        assert is_problem(answer, 413, "bellwire.too_large")
        assert (answer.json()["title"], answer.json()["field"]) == ("Content Too Large", "events[0].data")

    @pytest.mark.parametrize(("method", "path"), WITH_BODIES[1:])
    def test_other_bodies_are_smaller(self, api: Api, method: str, path: str) -> None:
        with api.client() as client:
            assert is_problem(client.request(method, path, content=b" " * (256 * 1024 + 1)), 413)

    def test_nothing_is_read_of_who_may_not_send(self, api: Api) -> None:
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bw_x\r\nContent-Length: 9999999\r\n\r\n"
        status, answer = raw(api, head)  # the body never comes
        assert status == 401, answer


def test_a_client_that_hangs_up_harms_nobody(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + api.key("admin").encode()
    for sent in (
        head,
        head + b"\r\nContent-Length: 100\r\n\r\n{",
        head + b'\r\nContent-Length: 13\r\n\r\n{"type": "x"}',
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
    with api.client() as client:
        assert client.post("/v1/events", json={"type": "x"}).status_code == 202
    assert "Traceback" not in api.log.read_text()


texts = st.text(alphabet=st.characters(), max_size=40)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    [
        *("type", "tenant", "status", "severity", "branch", "customer_id", "actor_id", "recipients", "data"),
        *("fingerprint", "occurred_at", "expires_at", "send_at", "attachments", "events", "ids", "filter", "email"),
        *("phone", "roles", "customers", "quiet_hours", "digest", "locale", "time_zone", "url", "headers", "secret"),
        *("match", "channels", "priority", "plan", "template", "name", "note"),
        *("channel", "address", "event", "credentials", "position", "senders"),
    ]
)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(body=st.dictionaries(fields | texts, values, max_size=6) | values, where=st.sampled_from(WITH_BODIES))
def test_no_json_makes_an_error_of_ours(api: Api, body: Any, where: tuple[str, str]) -> None:
    sent = json.dumps(body).encode()
    status, answer = raw(api, request(api, where[0].encode(), where[1].encode(), sent))
    assert 200 <= status < 500, answer


@relaxed
@given(
    body=st.fixed_dictionaries(
        {"type": st.just("task.failed")}, optional={"data": values, "branch": texts, "recipients": values}
    )
)
def test_no_event_makes_an_error_of_ours(api: Api, body: Any) -> None:
    status, answer = raw(api, request(api, b"POST", b"/v1/events", json.dumps(body).encode()))
    assert status in (202, 400, 413), answer


entries = st.fixed_dictionaries(
    {},
    optional={
        "group": st.sampled_from(["chats", "billing", "identity"]) | values,
        "event": st.sampled_from(["billing.payment-failed", "identity.password-changed"]) | values,
        "customer_id": values,
        "channels": st.dictionaries(st.sampled_from(["email", "system", "in_app"]) | texts, values) | values,
        "cadence": values,
        "locked": values,
    },
)


@relaxed
@given(
    sent=st.tuples(st.just(OF_USERS[0]), st.fixed_dictionaries({"preferences": st.lists(entries | values, max_size=4)}))
    | st.tuples(st.just(OF_USERS[1]), st.dictionaries(fields | texts, values, max_size=6))
)
def test_nothing_that_users_send_makes_an_error_of_ours(api: Api, sent: tuple[tuple[str, str], Any]) -> None:
    (method, path), body = sent
    with api.user("u1") as client:
        answer = client.request(method, path, content=json.dumps(body).encode())
    assert answer.status_code in (200, 400), answer.text


@relaxed
@given(
    where=st.sampled_from(OF_INBOX),
    body=st.dictionaries(st.sampled_from(["read", "customer_id"]) | texts, values, max_size=3) | values,
)
def test_nothing_that_is_sent_to_an_inbox_makes_an_error_of_ours(api: Api, where: tuple[str, str], body: Any) -> None:
    with api.user("u1") as client:
        answer = client.request(*where, content=json.dumps(body).encode())
    assert answer.status_code in (200, 400, 404), answer.text


@relaxed
@given(
    asked=st.dictionaries(
        st.sampled_from(["limit", "offset", "status", "customer_id", "cursor"]), st.integers() | texts, max_size=5
    )
)
def test_nothing_that_is_asked_of_an_inbox_makes_an_error_of_ours(api: Api, asked: dict[str, Any]) -> None:
    query = "&".join(f"{name}={quote(str(value).encode('utf-8', 'surrogatepass'))}" for name, value in asked.items())
    with api.user("u1") as client:
        answer = client.get(f"/v1/notifications?{query}")
    assert answer.status_code in (200, 400), answer.text


@relaxed
@given(body=st.binary(max_size=200), where=st.sampled_from(WITH_BODIES))
def test_no_bytes_make_an_error_of_ours(api: Api, body: bytes, where: tuple[str, str]) -> None:
    status, answer = raw(api, request(api, where[0].encode(), where[1].encode(), body))
    assert 200 <= status < 500, answer


@relaxed
@given(name=st.text(max_size=60), where=st.sampled_from(IN_PATHS))
def test_no_name_makes_an_error_of_ours(api: Api, name: str, where: tuple[str, str]) -> None:
    target = where[1].format(quote(name.encode("utf-8", "surrogatepass"), safe=""))
    status, answer = raw(api, request(api, where[0].encode(), target.encode(), b"{}"))
    assert 200 <= status < 500, answer


@relaxed
@given(
    claims=st.dictionaries(st.sampled_from(["sub", "tenant", "customers", "role", "aud", "exp", "nbf", "iat"]), values)
)
def test_no_claims_make_an_error_of_ours(api: Api, claims: dict[str, Any]) -> None:
    credential = (
        token("u1", **claims) if "sub" not in claims else token(claims.pop("sub"), claims.pop("tenant", "x"), **claims)
    )
    with api.client(None, Authorization=f"Bearer {credential}") as client:
        assert client.get("/v1/webhooks").status_code in (200, 401)


def test_after_all_this_nothing_was_a_bug(api: Api) -> None:
    """Runs last: whatever the tests above sent, no traceback was logged."""
    with api.client() as client:
        assert client.post("/v1/events", json={"type": "x"}).status_code == 202
    log = api.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]
