"""What is refused in the body of a route or an event type, and which field the refusal names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.catalogue import parse_event_type, parse_route, route_body
from domain.catalogue import Plan, Resolver, Route
from domain.errors import InvalidInputError
from domain.vocabulary import Priority, Severity

CHANNELS = {"channels": ["email"]}
GROUP = {"group": "order"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "channels"),
        ([], ""),
        ("channels", ""),
        ({"channels": []}, "channels"),
        ({"channels": "email"}, "channels"),
        ({"channels": ["email", "in_app", "pigeon"]}, "channels[2]"),
        ({"channels": ["email", None]}, "channels[1]"),
        ({"channels": [["email"]]}, "channels[0]"),
        (CHANNELS | {"chanels": []}, "chanels"),
        (CHANNELS | {"name": "another"}, "name"),
        (CHANNELS | {"match": "ssl_*"}, "match"),
        (CHANNELS | {"match": {"events": "ssl_*"}}, "match.events"),
        (CHANNELS | {"match": {"event": ""}}, "match.event"),
        (CHANNELS | {"match": {"event": 7}}, "match.event"),
        (CHANNELS | {"match": {"event": ["a", "b"]}}, "match.event"),
        (CHANNELS | {"match": {"event": "ssl *"}}, "match.event"),
        (CHANNELS | {"match": {"event": "ssl_[ab"}}, "match.event"),
        (CHANNELS | {"match": {"event": "ssl_]"}}, "match.event"),
        (CHANNELS | {"match": {"event": "e" * 256}}, "match.event"),
        (CHANNELS | {"match": {"severity": "urgent"}}, "match.severity"),
        (CHANNELS | {"match": {"severity": ["high", "urgent"]}}, "match.severity[1]"),
        (CHANNELS | {"match": {"severity": {"high": True}}}, "match.severity"),
        (CHANNELS | {"match": {"severity": ["HIGH"]}}, "match.severity[0]"),
        (CHANNELS | {"match": {"branch": "b[erlin"}}, "match.branch"),
        (CHANNELS | {"match": {"branch": "ber\nlin"}}, "match.branch"),
        (CHANNELS | {"recipients": "ada"}, "recipients"),
        (CHANNELS | {"recipients": ["ada"]}, "recipients[0]"),
        (CHANNELS | {"recipients": {"role": "operations"}}, "recipients.resolver"),
        (CHANNELS | {"recipients": [{"resolver": "everybody"}]}, "recipients[0].resolver"),
        (CHANNELS | {"recipients": [{"resolver": "role"}]}, "recipients[0].role"),
        (CHANNELS | {"recipients": [{"resolver": "role", "role": ""}]}, "recipients[0].role"),
        (CHANNELS | {"recipients": [{"resolver": "role", "role": "a", "path": "data.b"}]}, "recipients[0].path"),
        (CHANNELS | {"recipients": [{"resolver": "owner"}, {"resolver": "user"}]}, "recipients[1].users"),
        (CHANNELS | {"recipients": [{"resolver": "user", "users": []}]}, "recipients[0].users"),
        (CHANNELS | {"recipients": [{"resolver": "user", "users": ["a", 7]}]}, "recipients[0].users[1]"),
        (CHANNELS | {"recipients": [{"resolver": "user", "users": ["a" * 256]}]}, "recipients[0].users[0]"),
        (CHANNELS | {"recipients": [{"resolver": "payload"}]}, "recipients[0].path"),
        (CHANNELS | {"recipients": [{"resolver": "payload", "path": "user_id"}]}, "recipients[0].path"),
        (CHANNELS | {"recipients": [{"resolver": "payload", "path": "data."}]}, "recipients[0].path"),
        (CHANNELS | {"recipients": [{"resolver": "participants"}]}, "recipients[0].path"),
        (CHANNELS | {"recipients": [{"resolver": "owner", "role": "a"}]}, "recipients[0].role"),
        (CHANNELS | {"recipients": [{"resolver": "owner"}] * 21}, "recipients"),
        (CHANNELS | {"priority": "urgent"}, "priority"),
        (CHANNELS | {"priority": 1}, "priority"),
        (CHANNELS | {"plan": "whenever"}, "plan"),
        (CHANNELS | {"template": "no-such-template"}, "template"),
        (CHANNELS | {"template": "base"}, "template"),
        (CHANNELS | {"template": "../config"}, "template"),
    ],
)
def test_a_route_that_cannot_be_used_is_refused_by_field(body: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_route("mine", body)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "group"),
        (None, ""),
        ({"group": None}, "group"),
        ({"group": "Two Words"}, "group"),
        (GROUP | {"severity": "urgent"}, "severity"),
        (GROUP | {"audience": "admin"}, "audience"),
        (GROUP | {"audience": []}, "audience"),
        (GROUP | {"audience": ["admin", "guest"]}, "audience[1]"),
        (GROUP | {"key": "host"}, "key"),
        (GROUP | {"key": ["host", ""]}, "key[1]"),
        (GROUP | {"dedupe_window": -1}, "dedupe_window"),
        (GROUP | {"dedupe_window": 2592001}, "dedupe_window"),
        (GROUP | {"dedupe_window": True}, "dedupe_window"),
        (GROUP | {"dedupe_window": 1.5}, "dedupe_window"),
        (GROUP | {"dedupe_window": "300"}, "dedupe_window"),
        (GROUP | {"template": "no-such-template"}, "template"),
        (GROUP | {"transactional": "yes"}, "transactional"),
        (GROUP | {"transactional": 1}, "transactional"),
        (GROUP | {"secret": ["password", {}]}, "secret[1]"),
        (GROUP | {"title": "Order {number is here"}, "title"),
        (GROUP | {"title": "Order {} is here"}, "title"),
        (GROUP | {"title": "{data.__class__!r}"}, "title"),
        (GROUP | {"title": "x" * 256}, "title"),
        (GROUP | {"title": "two\nlines"}, "title"),
        (GROUP | {"colour": "red"}, "colour"),
    ],
)
def test_an_event_type_that_cannot_be_used_is_refused_by_field(body: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_event_type("mine", body)
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["", " ", "a" * 256, "tab\there", "nul\x00", "half\ud800", " blank"])
def test_a_route_needs_a_name_that_can_be_shown(name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_route(name, CHANNELS)
    assert refused.value.field == "name"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "order.*", "#", ".a", "a.", "a" * 256, "größe"])
def test_an_event_type_needs_a_name_that_is_a_routing_key(name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_event_type(name, GROUP)
    assert refused.value.field == "name"


def test_a_name_may_have_255_characters() -> None:
    assert parse_route("a" * 255, CHANNELS).name == "a" * 255
    assert parse_event_type("a" * 255, GROUP).name == "a" * 255


def test_a_refusal_never_repeats_the_value() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_route("mine", {"channels": ["hunter2"]})
    assert "hunter2" not in str(refused.value)


def test_a_refusal_in_a_larger_document_names_the_whole_way() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_route("mine", {"channels": ["email", "pigeon"]}, at="routes[3]")
    assert refused.value.field == "routes[3].channels[1]"


def test_what_is_left_out_has_its_default() -> None:
    assert parse_route("mine", CHANNELS) == Route(name="mine", channels=("email",))
    assert parse_route("mine", CHANNELS | {"match": None, "recipients": None, "priority": None}) == parse_route(
        "mine", CHANNELS
    )


def test_a_route_may_say_everything() -> None:
    body = {
        "name": "mine",
        "match": {"event": "order.[cf]*", "severity": ["high", "critical", "high"], "branch": "berlin-*"},
        "recipients": [{"resolver": "user", "users": ["u1", "u2"]}, {"resolver": "payload", "path": "data.a.b"}],
        "channels": ["email", "sms"],
        "priority": "critical",
        "plan": "staged",
        "template": "ssl_failure",
    }
    assert parse_route("mine", body, own=True) == Route(
        name="mine",
        event="order.[cf]*",
        severity=(Severity.HIGH, Severity.CRITICAL),
        branch="berlin-*",
        recipients=(Resolver("user", users=("u1", "u2")), Resolver("payload", path="data.a.b")),
        channels=("email", "sms"),
        priority=Priority.CRITICAL,
        plan=Plan.STAGED,
        template="ssl_failure",
        own=True,
    )


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (["websocket"], ("in_app",)),
        (["system", "websocket", "in_app"], ("in_app",)),
        (["email", "system", "email"], ("email", "in_app")),
    ],
)
def test_websocket_and_system_mean_the_inbox(said: list[str], meant: tuple[str, ...]) -> None:
    assert parse_route("mine", {"channels": said}).channels == meant


def test_chats_means_chat() -> None:
    assert parse_event_type("mine", {"group": "chats"}).group == "chat"


def test_a_single_severity_and_a_single_resolver_need_no_list() -> None:
    route = parse_route("mine", CHANNELS | {"match": {"severity": "high"}, "recipients": {"resolver": "owner"}})
    assert (route.severity, route.recipients) == ((Severity.HIGH,), (Resolver("owner"),))


def test_an_event_type_takes_the_template_of_its_own_name_if_there_is_one() -> None:
    assert parse_event_type("order.created", GROUP).template == "order.created"
    assert parse_event_type("order.mislaid", GROUP).template == "default"


names = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=30)
resolvers = st.one_of(
    st.builds(lambda users: Resolver("user", users=tuple(dict.fromkeys(users))), st.lists(names, min_size=1)),
    st.builds(lambda role: Resolver("role", role=role), names),
    st.builds(lambda step: Resolver("payload", path=f"data.{step}"), st.from_regex(r"[a-z_]{1,9}", fullmatch=True)),
    st.builds(lambda step: Resolver("participants", path=f"data.{step}"), st.just("participants")),
    st.sampled_from([Resolver("explicit"), Resolver("owner"), Resolver("customer")]),
)
routes = st.builds(
    Route,
    name=names,
    event=st.sampled_from(["*", "ssl_*", "billing.payment-failed", "order.[cf]?*"]),
    severity=st.lists(st.sampled_from(list(Severity)), unique=True).map(tuple),
    branch=st.sampled_from(["*", "berlin", "b*"]),
    recipients=st.lists(resolvers, max_size=4).map(tuple),
    channels=st.lists(st.sampled_from(["email", "in_app", "push"]), min_size=1, unique=True).map(tuple),
    priority=st.sampled_from(list(Priority)),
    plan=st.sampled_from(list(Plan)),
    template=st.sampled_from([None, "default", "task"]),
)


@given(route=routes)
def test_any_route_survives_its_json_form(route: Route) -> None:
    assert parse_route(route.name, route_body(route)) == route
