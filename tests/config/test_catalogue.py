"""The shipped catalogue: what can happen, and who is told of it."""

from __future__ import annotations

import json

import pytest

from config.catalogue import event_type_body, parse_event_type, parse_route, route_body, shipped, template_names
from domain.catalogue import Route
from domain.routing import mismatch
from domain.vocabulary import CHANNELS, Severity

NAMES = [
    pytest.param(
        "order",
        {"order.created", "order.fulfilled", "order.failed", "order.cancelled", "order.service-delivered"},
        marks=pytest.mark.mission("A-6"),
    ),
    pytest.param(
        "provisioning",
        {
            "provisioning.started",
            "provisioning.step-completed",
            "provisioning.completed",
            "provisioning.failed",
            "provisioning.rolled-back",
            "provisioning.service-suspended",
        },
        marks=pytest.mark.mission("A-7"),
    ),
    pytest.param(
        "billing",
        {
            "billing.invoice-generated",
            "billing.payment-received",
            "billing.payment-failed",
            "billing.subscription-past-due",
            "billing.refund-completed",
            "billing.subscription-cancelled",
        },
        marks=pytest.mark.mission("A-8"),
    ),
    pytest.param(
        "support",
        {
            "support.ticket-created",
            "support.comment-added",
            "support.ticket-resolved",
            "support.ticket-assigned",
            "support.ticket-closed",
        },
        marks=pytest.mark.mission("A-9"),
    ),
    pytest.param("identity", {"identity.user-created", "identity.password-changed"}, marks=pytest.mark.mission("A-10")),
    ("obligations", {"obligation_due", "obligation_overdue", "ssl_expiry", "ssl_failure"}),
    ("digest", {"digest"}),
    ("chat", {"conversation.message_posted", "conversation.created", "message_received"}),
    ("task", {"task.completed", "task.failed"}),
]


def matching(event_type: str, severity: Severity | None = None) -> list[Route]:
    """The shipped routes that an event of this type takes, without a branch."""
    default = shipped().event_types[event_type].severity
    return [route for route in shipped().routes if mismatch(route, event_type, severity or default, None) is None]


def told(event_type: str, severity: Severity | None = None) -> set[str]:
    """Whom those routes tell: roles by name, the rest by the resolver."""
    resolvers = [resolver for route in matching(event_type, severity) for resolver in route.recipients]
    return {resolver.role or resolver.resolver for resolver in resolvers} - {"explicit"}


@pytest.mark.parametrize(("group", "names"), NAMES)
def test_the_catalogue_has_exactly_the_types_of_the_group(group: str, names: set[str]) -> None:
    assert {name for name, event_type in shipped().event_types.items() if event_type.group == group} == names


def test_there_is_no_group_beside_those_listed() -> None:
    assert shipped().groups == {"order", "provisioning", "billing", "support", "identity", "obligations"} | {
        "digest",
        "chat",
        "task",
        "bellwire",
    }


@pytest.mark.mission("B-6")
@pytest.mark.mission("B-7")
@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("obligation_due", "medium"),
        ("obligation_overdue", "high"),
        ("ssl_expiry", "high"),
        ("ssl_failure", "critical"),
        ("digest", "low"),
    ],
)
def test_an_event_type_has_its_default_severity(name: str, severity: str) -> None:
    assert shipped().event_types[name].severity == severity


@pytest.mark.parametrize("name", ["conversation.message_posted", "message_received"])
def test_chat_messages_are_never_folded(name: str) -> None:
    assert shipped().event_types[name].dedupe_window == 0


def test_the_certificate_check_is_as_the_contract_shows_it() -> None:
    body = event_type_body(shipped().event_types["ssl_failure"])
    assert (
        body.items()
        >= {
            "group": "obligations",
            "severity": "critical",
            "audience": ["admin"],
            "key": ["host"],
            "dedupe_window": 86400,
            "template": "ssl_failure",
            "transactional": False,
            "secret": [],
        }.items()
    )


def test_only_the_change_of_a_password_passes_preferences() -> None:
    assert [name for name, one in shipped().event_types.items() if one.transactional] == ["identity.password-changed"]


@pytest.mark.mission("A-14")
def test_the_password_of_a_new_service_is_secret() -> None:
    assert shipped().event_types["provisioning.completed"].secret == ("password",)


@pytest.mark.mission("A-11")
@pytest.mark.parametrize("name", sorted(shipped().event_types))
def test_every_event_type_tells_somebody_beside_those_whom_it_names(name: str) -> None:
    # A chat message of another system names its readers itself, so it alone has a route of its own for them.
    assert told(name) or name == "message_received"
    assert len([route for route in matching(name) if route.recipients and route.event != "*"]) >= 1


@pytest.mark.mission("A-12")
@pytest.mark.parametrize(
    ("name", "whom"),
    [
        ("order.created", {"customer", "operations"}),
        ("order.fulfilled", {"customer"}),
        ("order.failed", {"customer", "operations"}),
        ("provisioning.started", {"customer", "operations"}),
        ("provisioning.step-completed", {"operations"}),
        ("provisioning.completed", {"customer", "operations"}),
        ("provisioning.failed", {"operations"}),
        ("provisioning.rolled-back", {"operations"}),
        ("billing.payment-received", {"customer"}),
        ("billing.payment-failed", {"customer", "finance"}),
        ("support.ticket-created", {"customer", "support"}),
        ("support.ticket-assigned", {"payload"}),
        ("identity.password-changed", {"payload"}),
        ("ssl_failure", {"operations"}),
        ("obligation_due", {"operations"}),
    ],
)
def test_customers_get_confirmations_and_admins_operational_alerts(name: str, whom: set[str]) -> None:
    assert told(name) == whom


@pytest.mark.mission("C-4")
@pytest.mark.parametrize(
    ("name", "resolver", "path"),
    [
        ("conversation.message_posted", "participants", "data.participants"),
        ("conversation.created", "payload", "data.added_user_ids"),
        ("task.completed", "owner", None),
        ("task.failed", "owner", None),
    ],
)
def test_the_built_in_rules_find_their_recipients(name: str, resolver: str, path: str | None) -> None:
    found = [one for route in matching(name) for one in route.recipients if one.resolver != "explicit"]
    assert [(one.resolver, one.path) for one in found] == [(resolver, path)]


@pytest.mark.mission("B-1")
@pytest.mark.parametrize(
    ("name", "severity", "by_telegram"),
    [
        ("ssl_failure", Severity.CRITICAL, True),
        ("ssl_expiry", Severity.HIGH, True),
        ("ssl_expiry", Severity.LOW, False),
        ("obligation_overdue", Severity.CRITICAL, True),
        ("obligation_overdue", Severity.HIGH, False),
        ("order.created", Severity.LOW, False),
    ],
)
def test_what_is_urgent_goes_to_telegram_as_well(name: str, severity: Severity, by_telegram: bool) -> None:
    assert any("telegram" in route.channels for route in matching(name, severity)) is by_telegram


def test_registered_webhooks_are_fed_with_every_event_by_a_route_without_recipients() -> None:
    (route,) = [route for route in shipped().routes if route.name == "webhooks"]
    assert (route.event, route.severity, route.branch) == ("*", (), "*")
    assert (route.channels, route.recipients) == (("webhook",), ())


def test_the_routes_for_every_event_never_outrank_the_others() -> None:
    ranks = {route.name: route.priority.rank for route in shipped().routes if route.recipients and route.event == "*"}
    assert ranks == {"named-recipients": 0}


def test_routes_name_channels_that_can_be_spoken_to() -> None:
    named = {channel for route in shipped().routes for channel in route.channels}
    assert named == set(CHANNELS)


@pytest.mark.parametrize("route", shipped().routes, ids=lambda route: route.name)
def test_a_route_survives_its_json_form(route: Route) -> None:
    assert parse_route(route.name, json.loads(json.dumps(route_body(route)))) == route


@pytest.mark.parametrize("name", sorted(shipped().event_types))
def test_an_event_type_survives_its_json_form(name: str) -> None:
    event_type = shipped().event_types[name]
    assert parse_event_type(name, json.loads(json.dumps(event_type_body(event_type)))) == event_type


def test_no_template_is_forgotten() -> None:
    used = {event_type.template for event_type in shipped().event_types.values()}
    of_routes = {route.template for route in shipped().routes if route.template}
    assert used | of_routes == template_names() - {"default"}
