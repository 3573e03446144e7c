"""The identity of "the same issue"."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.fingerprint import canonical, fingerprint, lookup

COMPOSED, DECOMPOSED = normalize("NFC", "Köln"), normalize("NFD", "Köln")


def mark(**fields: Any) -> bytes:
    data = fields.get("data", {"host": "shop", "days_left": 7})
    made = {
        "tenant": "t",
        "event_type": "ssl_expiry",
        "branch": None,
        "customer_id": None,
        "recipients": None,
        "key": ("host",),
        "data": data,
        "data_json": canonical(data),
    }
    return fingerprint(**(made | fields))


@pytest.mark.mission("B-8")
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"tenant": "other"}, id="tenant"),
        pytest.param({"event_type": "ssl_failure"}, id="type"),
        pytest.param({"branch": "berlin"}, id="branch"),
        pytest.param({"customer_id": "0191f2a0-0000-7000-8000-000000000001"}, id="customer"),
        pytest.param({"recipients": ["u1"]}, id="recipients"),
        pytest.param({"send_at": "2027-11-20T09:00:00+00:00"}, id="when-it-is-to-be-told"),
        pytest.param({"recipients": []}, id="recipients-named-but-none"),
        pytest.param({"data": {"host": "blog", "days_left": 7}}, id="key-field"),
        pytest.param({"given": "my-own"}, id="given"),
    ],
)
def test_another_value_is_another_issue(fields: dict[str, Any]) -> None:
    assert mark(**fields) != mark()


@pytest.mark.mission("B-8")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({}, {"data": {"host": "shop", "days_left": 6}}, id="a-field-that-is-no-key"),
        pytest.param({"recipients": ["u1", "u2"]}, {"recipients": ["u2", "u1"]}, id="order-of-recipients"),
        pytest.param(
            {"recipients": [{"email": "a@example.org", "name": "A"}]},
            {"recipients": [{"name": "A", "email": "a@example.org"}]},
            id="order-within-a-recipient",
        ),
        pytest.param({"given": "x", "data": {"host": "a"}}, {"given": "x", "data": {"host": "b"}}, id="given-for-keys"),
        pytest.param(
            {"key": (), "data": {"a": 1, "b": 2}}, {"key": (), "data": {"b": 2, "a": 1}}, id="order-of-fields"
        ),
        pytest.param({"data": {"host": COMPOSED}}, {"data": {"host": DECOMPOSED}}, id="unicode-in-a-value"),
        pytest.param({"branch": COMPOSED}, {"branch": DECOMPOSED}, id="unicode-in-the-branch"),
        pytest.param(
            {"key": (), "data": {"é": 1, "f": 2}},
            {"key": (), "data": {"e\u0301": 1, "f": 2}},
            id="unicode-in-a-field-name-that-sorts-elsewhere",
        ),
        pytest.param(
            {"recipients": ["é", "f"]},
            {"recipients": ["e\u0301", "f"]},
            id="unicode-in-a-recipient-that-sorts-elsewhere",
        ),
    ],
)
def test_these_are_the_same_issue(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert mark(**one) == mark(**other)


def test_a_given_fingerprint_stands_for_the_key_fields_only() -> None:
    assert mark(given="x", tenant="t") != mark(given="x", tenant="u")
    assert mark(given="x", branch="berlin") != mark(given="x", branch="hamburg")


def test_an_event_without_any_key_field_is_known_by_all_of_its_data() -> None:
    assert mark(key=("certificate",), data={"host": "a"}) != mark(key=("certificate",), data={"host": "b"})


def test_a_key_field_that_is_false_or_zero_counts() -> None:
    assert mark(key=("n",), data={"n": 0, "at": 1}) == mark(key=("n",), data={"n": 0, "at": 2})


def test_a_key_field_may_lie_deeper() -> None:
    one = mark(key=("order.id",), data={"order": {"id": 1, "sum": 10}})
    assert one == mark(key=("order.id",), data={"order": {"id": 1, "sum": 20}})
    assert one != mark(key=("order.id",), data={"order": {"id": 2, "sum": 10}})


def test_it_has_32_bytes() -> None:
    assert len(mark()) == 32


def test_it_stays_what_it_is_over_releases() -> None:
    """Windows and acknowledgements in the database are found by it: a change would make every open issue new."""
    assert mark().hex() == "7ed247140e0d74eee4becb68be597206297256b035eaa1763b04d75aeed4933a"
    assert (
        mark(branch=DECOMPOSED, recipients=["u2", "u1"]).hex()
        == "82fa4e9be9cd6a8f5c010b1f166a0389a8ee026c3fe99d10282c67ca58915887"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), json_values, max_size=5))
def test_the_order_of_fields_never_matters(data: dict[str, Any]) -> None:
    backwards = dict(reversed(data.items()))
    assert mark(key=(), data=data) == mark(key=(), data=backwards)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_json_number_has_no_canonical_form(number: float) -> None:
    with pytest.raises(ValueError):
        canonical({"n": number})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("order.id", 7, id="there"),
        pytest.param("order", {"id": 7}, id="an-object"),
        pytest.param("order.name", None, id="missing"),
        pytest.param("order.id.digits", None, id="through-a-number"),
        pytest.param("lines.0", None, id="through-a-list"),
    ],
)
def test_a_dotted_path_leads_through_objects(path: str, value: object) -> None:
    assert lookup({"order": {"id": 7}, "lines": [1]}, path) == value
