"""Addresses that are told no more: added in batches and by hand, listed, lifted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import event as listening

from domain.errors import InvalidInputError
from domain.vocabulary import Suppression
from pipeline.identifiers import cursor_after
from pipeline.suppressions import STRENGTH, Suppressed, add_suppression, lift, list_suppressions, suppress

BOUNCE = Suppression.PERMANENT_BOUNCE


def row(address: str = "ana@example.org", reason: Suppression = BOUNCE, **more: Any) -> Suppressed:
    given = {"tenant": "acme", "channel": "email", "source": "webhook", **more}
    return Suppressed(address=address, reason=reason, **given)


def listed(world: Any, tenant: str | None = "acme", **filters: Any) -> list[dict[str, Any]]:
    with world.begin() as connection:
        return list_suppressions(connection, tenant=tenant, filters=filters)[0]


def add(world: Any, **body: Any) -> dict[str, Any]:
    with world.begin() as connection:
        return add_suppression(
            connection, tenant="acme", body={"channel": "email", **body}, actor="key:1", remote="192.0.2.1"
        )


def lifted(world: Any, **body: Any) -> bool:
    with world.begin() as connection:
        return lift(connection, tenant="acme", body={"channel": "email", **body}, actor="key:1")


def added(world: Any, *rows: Suppressed) -> int:
    with world.begin() as connection:
        return suppress(connection, rows)


@pytest.mark.mission("E-28")
def test_an_address_is_suppressed_with_its_reason_and_where_that_came_from(world: Any) -> None:
    delivery = "0192f0c1-3a10-7c44-9a02-1d2e3f4a5b6c"
    assert added(world, row(provider="resend", delivery_id=delivery)) == 1
    (one,) = listed(world)
    assert one.pop("created_at")
    assert one == {
        "tenant": "acme",
        "channel": "email",
        "address": "ana@example.org",
        "event": None,
        "reason": "permanent_bounce",
        "source": "webhook",
        "provider": "resend",
        "delivery_id": delivery,
    }


def test_every_reason_has_its_strength() -> None:
    assert set(STRENGTH) == set(Suppression)


@pytest.mark.mission("E-29", "E-30")
@pytest.mark.parametrize("first", list(Suppression))
@pytest.mark.parametrize("second", list(Suppression))
def test_the_stronger_reason_stays_whichever_came_first(world: Any, first: Suppression, second: Suppression) -> None:
    added(world, row(reason=first, source="first"))
    grew = added(world, row(reason=second, source="second"))
    stronger = STRENGTH.index(second) < STRENGTH.index(first)
    (one,) = listed(world)
    assert (one["reason"], one["source"]) == ((second, "second") if stronger else (first, "first"))
    assert grew == int(stronger)


def test_the_same_address_twice_in_a_batch_has_its_strongest_reason(world: Any) -> None:
    soft, complaint = Suppression.REPEATED_SOFT_BOUNCES, Suppression.SPAM_COMPLAINT
    assert added(world, row(reason=soft), row("ANA@example.org", reason=complaint), row(reason=BOUNCE)) == 1
    assert [one["reason"] for one in listed(world)] == ["spam_complaint"]


def test_an_event_and_all_events_are_two_entries(world: Any) -> None:
    assert added(world, row(), row(event="ssl_expiry")) == 2
    assert [one["event"] for one in listed(world)] == [None, "ssl_expiry"]


def test_addresses_are_kept_in_the_databases_lower_case(world: Any) -> None:
    added(world, row("Ana@Example.ORG"), row("@TheGroup", channel="telegram"))
    stored = {one["channel"]: one["address"] for one in listed(world)}
    assert stored == {"email": "ana@example.org", "telegram": "@thegroup"}
    assert world.execute("SELECT lower('ÄNA@example.org')")[0][0] == _stored(world, "ÄNA@example.org")


def _stored(world: Any, address: str) -> str:
    added(world, row(address))
    return str(world.execute("SELECT address FROM suppressions ORDER BY created_at DESC, address DESC")[0][0])


def test_a_tenant_that_is_gone_costs_the_others_nothing(world: Any) -> None:
    assert added(world, row(tenant="gone"), row()) == 1
    assert [one["tenant"] for one in listed(world, None)] == ["acme"]


def test_nothing_costs_no_statement_and_a_batch_costs_one(world: Any) -> None:
    for size, statements in ((0, 0), (1, 1), (300, 1)):
        said: list[str] = []
        with world.begin() as connection:
            listening.listen(connection, "before_cursor_execute", lambda *about, said=said: said.append(about[2]))
            suppress(connection, [row(f"u{number}@example.org") for number in range(size)])
        assert len(said) == statements


@pytest.mark.mission("E-28")
def test_a_person_suppresses_an_address_and_the_audit_says_who_without_the_address(world: Any) -> None:
    shown = add(world, address="Ana@Example.org", note="asked by phone")
    assert (shown["address"], shown["reason"], shown["source"]) == ("ana@example.org", "manual", "key:1")
    (entry,) = world.audit()
    assert (entry.actor, entry.action, entry.subject) == ("key:1", "suppression.add", "email a•••@example.org")
    assert entry.before is None
    assert entry.after == {"event": None, "reason": "manual", "note": "asked by phone"}
    assert entry.remote_address == "192.0.2.1"


def test_an_address_that_is_on_the_list_for_more_stays_so_and_is_shown_as_it_is(world: Any) -> None:
    added(world, row(reason=Suppression.SPAM_COMPLAINT))
    assert add(world, address="ana@example.org")["reason"] == "spam_complaint"
    assert world.audit() == []


def test_the_audit_tells_what_the_reason_was_before(world: Any) -> None:
    added(world, row())
    add(world, address="ana@example.org")
    (entry,) = world.audit()
    assert entry.before == {"event": None, "reason": "permanent_bounce", "source": "webhook"}


@pytest.mark.parametrize(
    ("channel", "given", "stored"),
    [
        ("email", "Ana.B@EXAMPLE.org", "ana.b@example.org"),
        ("email", "a@xn--mnchen-3ya.example", "a@münchen.example"),
        ("sms", "+49 30 90 18-20", "+4930901820"),
        ("whatsapp", "+49 (30) 901820", "+4930901820"),
        ("telegram", "-1001234567", "-1001234567"),
        ("telegram", 1234567, "1234567"),
    ],
)
def test_an_address_is_kept_as_a_users_would_be(world: Any, channel: str, given: Any, stored: str) -> None:
    assert add(world, channel=channel, address=given)["address"] == stored
    assert [one["address"] for one in listed(world, address=str(given))] == [stored]
    assert lifted(world, channel=channel, address=str(given)) is True
    assert listed(world) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channel": "pigeon", "address": "a@example.org"}, "channel"),
        ({"channel": "in_app", "address": "u1"}, "channel"),
        ({"channel": None, "address": "a@example.org"}, "channel"),
        ({}, "address"),
        ({"address": "nobody"}, "address"),
        ({"address": "a@example.org, b@example.org"}, "address"),
        ({"address": "a@example.org\r\nBcc: b@example.org"}, "address"),
        ({"address": ["a@example.org"]}, "address"),
        ({"address": True}, "address"),
        ({"address": "0049 30 901820", "channel": "whatsapp"}, "address"),
        ({"address": "a" * 300 + "@example.org"}, "address"),
        ({"address": "a@example.org", "event": "billing.*"}, "event"),
        ({"address": "a@example.org", "event": 7}, "event"),
        ({"address": "a@example.org", "event": ""}, "event"),
        ({"address": "a@example.org", "note": "x" * 501}, "note"),
        ({"address": "a@example.org", "reason": "spam_complaint"}, "reason"),
    ],
)
def test_what_cannot_be_suppressed_is_named_and_not_repeated(world: Any, body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        add(world, **body)
    assert refused.value.field == field
    assert "example.org" not in str(refused.value)
    assert world.execute("SELECT FROM suppressions") == []


@pytest.mark.mission("E-46")
def test_lifting_takes_exactly_the_entry_that_is_named(world: Any) -> None:
    added(world, row(), row(event="ssl_expiry"), row(tenant="other"), row("bo@example.org"))
    assert lifted(world, address="ANA@example.org") is True
    left = sorted((one["tenant"], one["address"], one["event"]) for one in listed(world, None, channel="email"))
    assert left == [
        ("acme", "ana@example.org", "ssl_expiry"),
        ("acme", "bo@example.org", None),
        ("other", "ana@example.org", None),
    ]
    (entry,) = world.audit()
    assert (entry.action, entry.subject) == ("suppression.lift", "email a•••@example.org")
    assert entry.before == {"event": None, "reason": "permanent_bounce", "source": "webhook"}
    assert entry.after is None


def test_lifting_what_is_not_there_changes_nothing(world: Any) -> None:
    added(world, row(tenant="other"))
    assert lifted(world, address="ana@example.org") is False
    assert world.audit() == []


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_the_list_leads_through_all_pages(world: Any, size: int) -> None:
    rows = [row(f"u{number}@example.org", event=event) for number in range(3) for event in ("", "ssl_expiry")]
    added(world, *rows, row("+4930901820", channel="sms"), row(tenant="other"))
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        with world.begin() as connection:
            page, cursor = list_suppressions(connection, tenant=None, cursor=cursor, limit=size)
        seen += page
        if cursor is None:
            break
    keys = [(one["tenant"], one["channel"], one["address"], one["event"] or "") for one in seen]
    assert len(keys) == 8
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("filters", "addresses"),
    [
        ({}, {"ana@example.org", "+4930901820"}),
        ({"channel": "sms"}, {"+4930901820"}),
        ({"reason": "spam_complaint"}, {"+4930901820"}),
        ({"address": "ANA@EXAMPLE.ORG"}, {"ana@example.org"}),
        ({"address": "+49 30 901820"}, {"+4930901820"}),
        ({"address": "+49 30 901820", "channel": "email"}, set()),
        ({"channel": None, "address": None}, {"ana@example.org", "+4930901820"}),
    ],
)
def test_the_list_is_filtered(world: Any, filters: dict[str, Any], addresses: set[str]) -> None:
    complaint = Suppression.SPAM_COMPLAINT
    added(world, row(), row("+4930901820", channel="sms", reason=complaint), row("x@example.org", tenant="other"))
    assert {one["address"] for one in listed(world, **filters)} == addresses


@pytest.mark.parametrize("filters", [{"channel": "pigeon"}, {"reason": "boredom"}, {"surprise": "x"}])
def test_a_filter_that_cannot_be_used_is_named(world: Any, filters: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        listed(world, **filters)
    assert refused.value.field == next(iter(filters))


@pytest.mark.parametrize("parts", ["x", [], ["a"], ["a", "b", "c", 7], {"a": 1}, [["a"], "b", "c", "d"], "[" * 100_000])
def test_a_cursor_that_no_list_answered_is_refused(world: Any, parts: Any) -> None:
    cursor = cursor_after(parts if isinstance(parts, str) else json.dumps(parts))
    with world.begin() as connection, pytest.raises(InvalidInputError, match=r"^cursor: "):
        list_suppressions(connection, tenant="acme", cursor=cursor)
