"""The door: what is taken, what is refused, and which field the refusal names."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.catalogue import shipped
from domain.errors import InvalidInputError
from domain.event import Condition, Event
from domain.vocabulary import Severity
from pipeline.envelope import MOST_ATTACHMENT_BYTES, MOST_BODY_BYTES, MOST_EVENTS, loads, parse, parse_many
from pipeline.payload import MOST_DATA_BYTES, MOST_DATA_DEPTH

TYPES = shipped().event_types
CUSTOMER = "0191f2a0-0000-7000-8000-000000000001"
NUL, HALF = "a\x00b", "a\ud800b"


def take(body: Any, tenant: str | None = "acme") -> Event:
    return parse(body, tenant=tenant, catalogue=TYPES)


def take_many(body: Any, tenant: str | None = "acme") -> list[Event]:
    return parse_many(body, tenant=tenant, catalogue=TYPES)


def nested(depth: int) -> dict[str, Any]:
    """An object of that many objects and lists, one in the other."""
    value: Any = {}
    for level in range(depth - 1):
        value = [value] if level % 2 else {"a": value}
    return {"a": value} if isinstance(value, list) else value


def refusal(body: Any, **more: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as raised:
        take_many(body, **more)
    return raised.value


@pytest.mark.mission("B-6", "B-8")
def test_only_the_type_is_required_and_the_catalogue_says_the_rest() -> None:
    event = take({"type": "ssl_failure"})
    assert (event.tenant, event.severity, event.condition, event.dedupe_window, event.data) == (
        "acme",
        Severity.CRITICAL,
        Condition.FIRING,
        86400,
        {},
    )


def test_everything_that_was_said_is_taken() -> None:
    event = take(
        {
            "type": "ssl_expiry",
            "status": "resolved",
            "severity": "low",
            "branch": "berlin",
            "customer_id": CUSTOMER.upper(),
            "actor_id": "u1",
            "recipients": ["u1", {"email": "ops@example.org", "name": "Ops"}],
            "data": {"host": "shop.example.org"},
            "occurred_at": "2026-11-20T10:00:00+01:00",
            "expires_at": "2026-11-21t09:00:00z",
            "send_at": "2026-11-20 09:00:00Z",
            "attachments": [{"filename": "a.csv", "content_type": "text/csv", "content": "YQ=="}],
        }
    )
    assert (event.condition, event.severity, event.branch) == (Condition.RESOLVED, Severity.LOW, "berlin")
    assert (event.customer_id, event.actor_id) == (CUSTOMER, "u1")
    assert event.recipients == ["u1", {"email": "ops@example.org", "name": "Ops"}]
    assert event.occurred_at == event.send_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert event.expires_at == datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert event.attachments == [{"filename": "a.csv", "content_type": "text/csv", "content": "YQ=="}]


@pytest.mark.mission("C-5")
def test_a_type_that_nobody_listed_gets_defaults_and_a_group_by_its_name() -> None:
    event = take({"type": "warehouse.door:open"})
    assert (event.severity, event.dedupe_window) == (Severity.MEDIUM, 300)


def test_an_address_is_kept_in_the_form_in_which_users_are_stored() -> None:
    given = {"email": "ops@EXAMPLE.org", "phone": "+49 30 901820", "locale": "pt_BR", "name": "Ops "}
    (stored,) = take({"type": "x", "recipients": [given]}).recipients or []
    assert stored == {"email": "ops@example.org", "phone": "+4930901820", "locale": "pt-BR", "name": "Ops "}


def test_an_event_that_says_no_time_happened_now() -> None:
    before = datetime.now(UTC)
    assert before <= take({"type": "x"}).occurred_at <= datetime.now(UTC)


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [event.id for event in take_many([{"type": "x"}] * 100)]
    assert len(set(ids)) == 100
    assert ids == sorted(ids)


@pytest.mark.mission("B-8")
def test_the_key_fields_of_the_catalogue_make_the_same_issue() -> None:
    one = take({"type": "ssl_expiry", "data": {"host": "shop", "days_left": 7}})
    other = take({"type": "ssl_expiry", "data": {"host": "shop", "days_left": 6}})
    assert one.fingerprint == other.fingerprint != take({"type": "ssl_expiry", "data": {"host": "blog"}}).fingerprint


def test_a_given_fingerprint_stands_for_the_key_fields() -> None:
    one = take({"type": "ssl_expiry", "data": {"host": "shop"}, "fingerprint": "mine"})
    other = take({"type": "ssl_expiry", "data": {"host": "blog"}, "fingerprint": "mine"})
    assert one.fingerprint == other.fingerprint


REFUSED = {
    "no-type": ({}, "type", "required"),
    "type-is-no-text": ({"type": 5}, "type", "string"),
    "type-is-empty": ({"type": ""}, "type", "at least 1"),
    "type-with-blank": ({"type": "a b"}, "type", "not allowed"),
    "type-with-newline": ({"type": "a\n"}, "type", "not allowed"),
    "type-with-wildcard": ({"type": "a.*"}, "type", "not allowed"),
    "type-too-long": ({"type": "a" * 256}, "type", "at most 255"),
    "unknown-field": ({"type": "x", "colour": "red"}, "colour", "not a known field"),
    "a-field-of-ours": ({"type": "x", "id": CUSTOMER}, "id", "not a known field"),
    "unknown-severity": ({"type": "x", "severity": "urgent"}, "severity", "'low'"),
    "severity-in-capitals": ({"type": "x", "severity": "HIGH"}, "severity", "'high'"),
    "unknown-status": ({"type": "x", "status": "closed"}, "status", "'firing'"),
    "branch-with-nul": ({"type": "x", "branch": NUL}, "branch", "not allowed"),
    "branch-with-half-a-pair": ({"type": "x", "branch": HALF}, "branch", "not allowed"),
    "branch-is-a-number": ({"type": "x", "branch": 5}, "branch", "string"),
    "branch-too-long": ({"type": "x", "branch": "b" * 256}, "branch", "at most 255"),
    "actor-is-empty": ({"type": "x", "actor_id": ""}, "actor_id", "at least 1"),
    "customer-is-no-uuid": ({"type": "x", "customer_id": "7"}, "customer_id", "must be a UUID"),
    "customer-is-a-number": ({"type": "x", "customer_id": 7}, "customer_id", "must be a UUID"),
    "fingerprint-is-empty": ({"type": "x", "fingerprint": ""}, "fingerprint", "at least 1"),
    "another-tenant": ({"type": "x", "tenant": "globex"}, "tenant", "leave it out"),
    "recipients-is-text": ({"type": "x", "recipients": "u1"}, "recipients", "list"),
    "recipient-is-a-number": ({"type": "x", "recipients": ["u1", 5]}, "recipients[1]", ""),
    "recipient-is-empty": ({"type": "x", "recipients": [""]}, "recipients[0]", "at least 1"),
    "recipient-with-nul": ({"type": "x", "recipients": [NUL]}, "recipients[0]", "not allowed"),
    "recipient-without-address": ({"type": "x", "recipients": [{"name": "Ops"}]}, "recipients[0]", "must have email"),
    "recipient-with-unknown-field": (
        {"type": "x", "recipients": [{"email": "a@example.org", "fax": "1"}]},
        "recipients[0].fax",
        "not a known field",
    ),
    "recipient-with-a-number": ({"type": "x", "recipients": [{"phone": 49151}]}, "recipients[0].phone", "string"),
    "recipient-with-bad-email": (
        {"type": "x", "recipients": ["u1", {"email": "bad"}]},
        "recipients[1].email",
        "is not an email address",
    ),
    "recipient-with-bad-phone": (
        {"type": "x", "recipients": [{"phone": "030 123"}]},
        "recipients[0].phone",
        "country code",
    ),
    "recipient-with-bad-whatsapp": (
        {"type": "x", "recipients": [{"whatsapp": "+1"}]},
        "recipients[0].whatsapp",
        "country code",
    ),
    "recipient-with-bad-chat": (
        {"type": "x", "recipients": [{"telegram_chat_id": "me"}]},
        "recipients[0].telegram_chat_id",
        "number of a chat",
    ),
    "recipient-with-bad-locale": (
        {"type": "x", "recipients": [{"email": "a@example.org", "locale": "klingon"}]},
        "recipients[0].locale",
        "known language",
    ),
    "data-is-a-list": ({"type": "x", "data": [1]}, "data", "must be a JSON object"),
    "data-is-null": ({"type": "x", "data": None}, "data", "must be a JSON object"),
    "data-with-nul": ({"type": "x", "data": {"a": [1, {"b": NUL}]}}, "data.a[1].b", "NUL"),
    "data-with-nul-in-a-name": ({"type": "x", "data": {"a": {NUL: 1}}}, "data.a", "NUL"),
    "data-with-half-a-pair": ({"type": "x", "data": {"a": HALF}}, "data.a", "surrogate"),
    "data-with-half-a-pair-in-a-name": ({"type": "x", "data": {HALF: 1}}, "data", "surrogate"),
    "data-with-nan": ({"type": "x", "data": {"a": {"b": math.nan}}}, "data.a.b", "finite"),
    "data-with-infinity": ({"type": "x", "data": {"a": [0, math.inf]}}, "data.a[1]", "finite"),
    "data-with-minus-infinity": ({"type": "x", "data": {"a": -math.inf}}, "data.a", "finite"),
    "data-too-deep": ({"type": "x", "data": nested(MOST_DATA_DEPTH + 1)}, "data", "deeper than 32"),
    "data-much-too-deep": ({"type": "x", "data": nested(50_000)}, "data", "deeper than 32"),
    "occurred-without-offset": ({"type": "x", "occurred_at": "2026-11-20T09:00:00"}, "occurred_at", "timezone"),
    "occurred-is-a-number": ({"type": "x", "occurred_at": 1700000000}, "occurred_at", "time with its offset"),
    "occurred-is-digits": ({"type": "x", "occurred_at": "1700000000"}, "occurred_at", "time with its offset"),
    "occurred-is-a-date": ({"type": "x", "occurred_at": "2026-11-20"}, "occurred_at", "time with its offset"),
    "no-such-day": ({"type": "x", "occurred_at": "2026-02-30T09:00:00Z"}, "occurred_at", "day"),
    "before-all-times": ({"type": "x", "occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at", "out of range"),
    "after-all-times": ({"type": "x", "expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at", "out of range"),
    "over-before-it-is-sent": (
        {"type": "x", "send_at": "2026-11-20T09:00:00Z", "expires_at": "2026-11-20T10:00:00+01:00"},
        "expires_at",
        "must be later than send_at",
    ),
    "time-with-nul": ({"type": "x", "send_at": "2026-11-20T09:00:00\x00Z"}, "send_at", ""),
    "time-with-half-a-pair": ({"type": "x", "send_at": "2026-11-20T09:00:00Z\ud800"}, "send_at", ""),
    "attachment-is-no-base64": (
        {"type": "x", "attachments": [{"filename": "a", "content": "YQ==\n"}]},
        "attachments[0].content",
        "not base64",
    ),
    "attachment-with-letters-beyond-ascii": (
        {"type": "x", "attachments": [{"filename": "a", "content": "ä"}]},
        "attachments[0].content",
        "not base64",
    ),
    "attachment-with-path": (
        {"type": "x", "attachments": [{"filename": "../a", "content": ""}]},
        "attachments[0].filename",
        "not allowed",
    ),
    "attachment-with-odd-type": (
        {"type": "x", "attachments": [{"filename": "a", "content_type": "text/html\r\nBcc: x", "content": ""}]},
        "attachments[0].content_type",
        "not allowed",
    ),
    "attachment-without-content": (
        {"type": "x", "attachments": [{"filename": "a"}]},
        "attachments[0].content",
        "required",
    ),
}


@pytest.mark.mission("D-20", "D-26")
@pytest.mark.parametrize(("body", "field", "words"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_field(body: dict[str, Any], field: str, words: str) -> None:
    error = refusal(body)
    assert (error.field, error.too_large) == (field, False)
    assert words in error.problem


@pytest.mark.parametrize(("body", "field", "words"), REFUSED.values(), ids=REFUSED)
def test_within_a_list_it_names_the_event_too(body: dict[str, Any], field: str, words: str) -> None:
    assert refusal({"events": [{"type": "x"}, body]}).field == f"events[1].{field}"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"type": "x", "data": {"a": "x" * MOST_DATA_BYTES}}, "data", id="data"),
        pytest.param(
            {"type": "x", "data": {"a": "ü" * (MOST_DATA_BYTES // 2)}}, "data", id="data-in-bytes-not-letters"
        ),
        pytest.param({"type": "x", "recipients": ["u"] * 1001}, "recipients", id="recipients"),
        pytest.param(
            {"type": "x", "attachments": [{"filename": "a", "content": "YQ=="}] * 21}, "attachments", id="attachments"
        ),
        pytest.param(
            {
                "type": "x",
                "attachments": [{"filename": "a", "content": b64encode(bytes(MOST_ATTACHMENT_BYTES // 2 + 1)).decode()}]
                * 2,
            },
            "attachments",
            id="attachments-together",
        ),
        pytest.param({"events": [{"type": "x"}] * (MOST_EVENTS + 1)}, "events", id="events"),
    ],
)
def test_what_is_too_large_is_told_apart_from_what_is_wrong(body: dict[str, Any], field: str) -> None:
    error = refusal(body)
    assert (error.field, error.too_large) == (field, True)


def test_data_may_be_as_deep_and_as_large_as_the_contract_says() -> None:
    assert take({"type": "x", "data": nested(MOST_DATA_DEPTH)}).data
    frame = len('{"a":""}')
    assert take({"type": "x", "data": {"a": "x" * (MOST_DATA_BYTES - frame)}}).data


@pytest.mark.parametrize("body", [None, 5, "x", True, 1.5], ids=repr)
def test_what_is_no_object_is_refused(body: object) -> None:
    error = refusal(body)
    assert (error.field, error.problem) == ("", "must be a JSON object")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param([], "events", id="an-empty-list"),
        pytest.param({"events": []}, "events", id="no-events"),
        pytest.param({"events": {"type": "x"}}, "events", id="an-object"),
        pytest.param({"events": [{"type": "x"}], "tenant": "acme"}, "tenant", id="a-field-beside-events"),
        pytest.param({"events": [{"type": "x"}], NUL: 1}, "a\\x00b", id="nul-beside-events"),
        pytest.param({"events": [{"type": "x"}], HALF: 1}, "a\\ud800b", id="half-a-pair-beside-events"),
        pytest.param({"type": "x", NUL: 1}, "a\\x00b", id="nul-in-a-field-name"),
        pytest.param({"type": "x", HALF: 1}, "", id="half-a-pair-in-a-field-name"),
        pytest.param([{"type": "x"}, 5], "events[1]", id="a-number-among-events"),
    ],
)
def test_a_list_that_cannot_be_taken_is_refused_as_a_whole(body: object, field: str) -> None:
    assert refusal(body).field == field


def test_events_are_taken_in_the_order_given_whatever_their_frame() -> None:
    bodies = [{"type": f"t{number}"} for number in range(3)]
    assert [event.type for event in take_many(bodies)] == ["t0", "t1", "t2"]
    assert [event.type for event in take_many({"events": bodies})] == ["t0", "t1", "t2"]


def test_without_a_key_the_event_itself_says_whose_it_is() -> None:
    assert take({"type": "x", "tenant": "globex"}, tenant=None).tenant == "globex"
    assert refusal({"type": "x"}, tenant=None).field == "tenant"


def test_an_event_may_repeat_the_tenant_of_its_key() -> None:
    assert take({"type": "x", "tenant": "acme"}).tenant == "acme"


def test_a_refusal_never_repeats_a_value() -> None:
    secret = "s3cr3t-value"
    bodies = (
        {"type": "x", "severity": secret},
        {"type": secret + "!"},
        {"type": "x", "customer_id": secret},
        {"type": "x", "occurred_at": secret},
        {"type": "x", "data": {"password": secret + "\x00"}},
        {"type": "x", "attachments": [{"filename": "a", "content": secret + "!"}]},
    )
    assert not [body for body in bodies if secret in str(refusal(body))]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "not valid JSON", id="nothing"),
        pytest.param(b"{", "line 1", id="broken-off"),
        pytest.param(b'{"a": NaN}', "NaN", id="nan"),
        pytest.param(b'{"a": -Infinity}', "-Infinity", id="infinity"),
        pytest.param(b"\xff\xfe{}", "not UTF-8", id="utf-16"),
        pytest.param(b"\xef\xbb\xbf{}", "not valid JSON", id="byte-order-mark"),
        pytest.param(b"[" * 100_000, "deeper", id="too-deep"),
        pytest.param(b'{"a":' * 100_000, "deeper", id="too-deep-in-objects"),
        pytest.param(b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON", id="a-number-without-end"),
        pytest.param(b"\x80\x04\x95", "not UTF-8", id="pickle"),
    ],
)
def test_bytes_that_are_no_json_are_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        loads(body)


def test_a_body_over_the_limit_is_too_large_before_it_is_read() -> None:
    with pytest.raises(InvalidInputError) as raised:
        loads(b" " * (MOST_BODY_BYTES + 1))
    assert raised.value.too_large


def test_a_number_too_large_for_a_float_is_refused_where_it_stands() -> None:
    assert refusal(loads(b'{"type": "x", "data": {"n": 1e999}}')).field == "data.n"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ("type", "tenant", "status", "severity", "branch", "customer_id", "actor_id", "recipients", "data", "events")
FIELDS += ("fingerprint", "occurred_at", "expires_at", "send_at", "attachments", "email", "filename", "content")
moments = st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", fullmatch=True)
shaped = st.dictionaries(st.sampled_from(FIELDS), anything | moments, max_size=5).map(lambda body: {"type": "x"} | body)


@given(anything | shaped | st.lists(shaped, max_size=3))
@example({"type": "x", "data": {"a": "\\u0000"}})
@example({"type": "x", "occurred_at": "2026-11-20T09:00:00+99:99"})
def test_whatever_is_sent_is_taken_or_refused_and_what_is_taken_can_be_stored(body: Any) -> None:
    try:
        events = take_many(body)
    except InvalidInputError as error:
        assert str(error).encode()  # can be shown and stored
        assert "\x00" not in str(error)
        return
    for event in events:
        assert "\x00" not in json.loads(event.data_json)
        event.data_json.encode()
        event.occurred_at.isoformat()


@given(st.binary(max_size=60) | st.text(st.characters(), max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_whatever_bytes_come_are_json_or_refused(body: bytes) -> None:
    try:
        loads(body)
    except InvalidInputError:
        pass
