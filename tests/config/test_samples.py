"""The sample events and the demo tenant: believable, complete, and everybody who is meant gets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from config.catalogue import shipped
from config.demo import demo, sample_events
from config.settings import settings
from domain.recipients import wishes
from domain.routing import glob_matches, mismatch
from domain.vocabulary import Severity
from pipeline.envelope import parse
from pipeline.sealing import _seal

EVENTS = sample_events()
TENANT = demo("http://127.0.0.1:9999/")
USER_FIELDS = {"email", "phone", "telegram_chat_id", "whatsapp", "locale", "time_zone", "roles", "customers"}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is secret in a sample is sealed the moment it is taken."""
    monkeypatch.setenv("BELLWIRE_SECRET_KEY", "k" * 40)
    for cached in (settings, _seal):
        cached.cache_clear()
    yield
    for cached in (settings, _seal):
        cached.cache_clear()


def named(event: dict[str, Any]) -> str:
    return str(event["type"])


def users_who_are_told(event: dict[str, Any]) -> set[str]:
    """The users of the demo tenant that the shipped routes find for a sample event."""
    parsed = parse(event, tenant="demo", catalogue=shipped().event_types)
    told: set[str] = set()
    for route in shipped().routes:
        if mismatch(route, parsed.type, parsed.severity, parsed.branch) is None:
            for resolver in route.recipients:
                for wish in wishes(resolver, parsed)[0]:
                    told |= {user for user, body in TENANT.users.items() if _is_meant(wish.kind, wish.key, user, body)}
    return told


def _is_meant(kind: str, key: str, user: str, body: Any) -> bool:
    return (
        (kind == "user" and user == key)
        or (kind == "role" and key in body.get("roles", ()))
        or (kind == "customer" and key in body.get("customers", ()))
    )


def test_there_is_a_sample_of_every_event_type() -> None:
    assert {event["type"] for event in EVENTS} == set(shipped().event_types)


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_a_sample_is_taken_at_the_door(event: dict[str, Any]) -> None:
    assert parse(event, tenant="demo", catalogue=shipped().event_types).type == event["type"]


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_a_sample_tells_a_user_of_the_demo_tenant(event: dict[str, Any]) -> None:
    assert users_who_are_told(event)


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_a_sample_has_the_fields_that_its_key_and_title_name(event: dict[str, Any]) -> None:
    event_type = shipped().event_types[event["type"]]
    assert set(event_type.key) <= event["data"].keys()


def test_one_sample_repeats_the_issue_of_another_so_that_the_demo_folds_it() -> None:
    parsed = [parse(event, tenant="demo", catalogue=shipped().event_types) for event in EVENTS]
    kept = {one.fingerprint for one in parsed if one.dedupe_window}
    assert len([one for one in parsed if one.dedupe_window]) - len(kept) == 1


def test_no_sample_closes_the_issue_of_another_so_that_none_is_withdrawn_before_it_is_sent() -> None:
    parsed = [parse(event, tenant="demo", catalogue=shipped().event_types) for event in EVENTS]
    closed = {one.fingerprint for one in parsed if one.condition == "resolved"}
    opened = {one.fingerprint for one in parsed if one.condition == "firing"}
    assert closed
    assert not closed & opened


@pytest.mark.parametrize("severity", list(Severity))
def test_the_samples_have_every_severity(severity: Severity) -> None:
    found = {event.get("severity", shipped().event_types[event["type"]].severity) for event in EVENTS}
    assert severity in found


@pytest.mark.parametrize("name", ["archive", "shop-system", "flaky", "broken"])
def test_a_webhook_of_the_demo_listens_on_its_own_path_to_at_least_one_sample(name: str) -> None:
    webhook = TENANT.webhooks[name]
    assert webhook["url"] == f"http://127.0.0.1:9999/{name}"
    assert any(glob_matches(pattern, event["type"]) for event in EVENTS for pattern in webhook["events"])


def test_the_users_of_the_demo_have_the_fields_that_the_api_takes() -> None:
    assert {field for body in TENANT.users.values() for field in body} <= USER_FIELDS
    assert all(UUID(customer) for body in TENANT.users.values() for customer in body.get("customers", ()))


def test_every_role_that_a_shipped_route_names_is_somebodys() -> None:
    wanted = {resolver.role for route in shipped().routes for resolver in route.recipients if resolver.role}
    assert wanted == {role for body in TENANT.users.values() for role in body.get("roles", ())}


def test_somebody_of_the_demo_is_reached_by_telegram_in_a_chat_of_his_own_and_in_a_group() -> None:
    chats = [body["telegram_chat_id"] for body in TENANT.users.values() if "telegram_chat_id" in body]
    assert any(chat.startswith("-100") for chat in chats)
    assert any(not chat.startswith("-") for chat in chats)
