"""Channels with rules of their own: text messages for the worst, devices for push, and what was switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from domain.catalogue import EventType, OnlyIf, Resolver, Route, When
from domain.catalogue import Plan as RoutePlan
from domain.conditions import STAGED_AFTER
from domain.event import Event, Person
from domain.plan import Plan, plan
from domain.recipients import Skipped
from domain.routing import resolve
from domain.vocabulary import Priority, Reason, Severity

BUILT = {"email": True, "sms": True, "push": True, "in_app": True}
PHONE = {"addresses": {"sms": "+4915112345678", "email": "u1@example.org"}}


@pytest.fixture
def decide(event: Callable[..., Event], user: Callable[..., Person], alarm: EventType) -> Callable[..., Plan]:
    """Plans an event of a severity for `u1`, whose fields are given."""

    def decide(routes: Iterable[Route], severity: Severity = Severity.MEDIUM, **person: Any) -> Plan:
        told = event(severity=severity)
        return plan(
            told,
            alarm,
            resolve(tuple(routes), "alarm", severity, None),
            find=lambda _: (user("u1", **person),),
            tenant_webhooks=(),
            silenced=frozenset(),
            built=BUILT,
        )

    return decide


def ways(decided: Plan) -> list[tuple[str, str]]:
    return [(way.channel, way.address) for one in decided.notifications for way in one.deliveries]


@pytest.mark.mission("E-34")
@pytest.mark.parametrize(
    ("least", "severity", "sent"),
    [
        pytest.param(Severity.CRITICAL, Severity.CRITICAL, True, id="critical-always"),
        pytest.param(Severity.CRITICAL, Severity.HIGH, False, id="high-not-by-default"),
        pytest.param(Severity.CRITICAL, Severity.LOW, False, id="low-not-by-default"),
        pytest.param(Severity.HIGH, Severity.HIGH, True, id="high-where-the-route-says-so"),
        pytest.param(Severity.HIGH, Severity.MEDIUM, False, id="medium-below-what-the-route-says"),
        pytest.param(Severity.LOW, Severity.LOW, True, id="everything-where-the-route-says-so"),
    ],
)
def test_text_messages_are_for_critical_events_unless_the_route_says_otherwise(
    decide: Callable[..., Plan], to_users: Callable[..., Route], least: Severity, severity: Severity, sent: bool
) -> None:
    decided = decide([to_users("u1", channels=("sms", "email"), sms_severity=least)], severity, **PHONE)
    assert [channel for channel, _ in ways(decided)] == (["email", "sms"] if sent else ["email"])
    assert (Skipped("u1", "sms", Reason.SMS_CRITICAL_ONLY) in decided.skipped) is not sent


def test_one_route_that_wants_the_text_message_is_enough(
    decide: Callable[..., Plan], to_users: Callable[..., Route]
) -> None:
    strict = to_users("u1", channels=("sms",), name="strict")
    generous = to_users("u1", channels=("sms",), name="generous", sms_severity=Severity.LOW)
    for routes in ([strict, generous], [generous, strict]):
        decided = decide(routes, **PHONE)
        assert ways(decided) == [("sms", "+4915112345678")]
        assert decided.skipped == []


@pytest.mark.mission("E-34")
def test_text_messages_that_a_route_adds_for_everybody_are_for_critical_events_too(
    decide: Callable[..., Plan], to_users: Callable[..., Route]
) -> None:
    routes = [to_users("u1", channels=("email",)), Route("sms-for-all", channels=("sms",))]
    assert [channel for channel, _ in ways(decide(routes, Severity.HIGH, **PHONE))] == ["email"]
    assert [channel for channel, _ in ways(decide(routes, Severity.CRITICAL, **PHONE))] == ["email", "sms"]


@pytest.mark.mission("E-16", "C-7")
def test_every_device_gets_a_delivery_of_its_own(decide: Callable[..., Plan], to_users: Callable[..., Route]) -> None:
    decided = decide([to_users("u1", channels=("push",))], push_tokens=("phone", "tablet"))
    assert ways(decided) == [("push", "phone"), ("push", "tablet")]


@pytest.mark.mission("E-17")
def test_without_a_device_the_reason_is_told(decide: Callable[..., Plan], to_users: Callable[..., Route]) -> None:
    decided = decide([to_users("u1", channels=("push",))])
    assert Skipped("u1", "push", Reason.NO_TOKENS) in decided.skipped


@pytest.mark.mission("E-21", "E-32")
@pytest.mark.parametrize(
    ("channel", "reason"),
    [("email", Reason.EMAIL_DISABLED), ("sms", Reason.SMS_DISABLED), ("push", Reason.PUSH_DISABLED)],
)
def test_a_channel_that_is_switched_off_is_not_used_whatever_the_severity(
    decide: Callable[..., Plan], to_users: Callable[..., Route], channel: str, reason: Reason
) -> None:
    person = {**PHONE, "push_tokens": ("phone",), "disabled": frozenset({channel})}
    decided = decide([to_users("u1", channels=(channel,))], Severity.CRITICAL, **person)
    assert decided.skipped == [Skipped("u1", channel, reason), Skipped("u1", None, Reason.NO_ENABLED_CHANNELS)]


@pytest.mark.parametrize(
    ("severity", "told"),
    [
        pytest.param(Severity.CRITICAL, [("sms", Reason.NO_ADDRESS), ("push", Reason.NO_TOKENS)], id="critical"),
        pytest.param(Severity.HIGH, [], id="high"),
    ],
)
def test_why_a_channel_for_everybody_was_not_used_is_kept_of_critical_events(
    decide: Callable[..., Plan], to_users: Callable[..., Route], severity: Severity, told: list[tuple[str, Reason]]
) -> None:
    everywhere = Route("everywhere", channels=("email", "sms", "push", "webhook", "telegram"))
    decided = decide([to_users("u1", channels=("email",)), everywhere], severity, addresses={"email": "u1@example.org"})
    assert [(one.channel, one.reason) for one in decided.skipped] == told


@pytest.mark.mission("E-40")
@pytest.mark.parametrize("severity", [Severity.MEDIUM, Severity.CRITICAL])
def test_what_is_critical_depends_on_nothing(
    decide: Callable[..., Plan], to_users: Callable[..., Route], severity: Severity
) -> None:
    channels = ("in_app", "push", "email", "sms")
    when = {"email": When(OnlyIf.UNREAD, 60)}
    route = to_users("u1", channels=channels, sms_severity=Severity.LOW, plan=RoutePlan.STAGED, when=when)
    decided = decide([route], severity, push_tokens=("t1",), **PHONE)
    found = {way.channel: way.when for one in decided.notifications for way in one.deliveries}
    staged = {"in_app": None, "push": None, "email": when["email"], "sms": When(OnlyIf.UNREAD, STAGED_AFTER)}
    assert found == (staged if severity is Severity.MEDIUM else dict.fromkeys(channels))


def test_a_route_that_names_the_channel_without_a_condition_is_enough(
    decide: Callable[..., Plan], to_users: Callable[..., Route]
) -> None:
    later = to_users("u1", channels=("email",), name="later", when={"email": When(OnlyIf.UNREAD, 60)})
    for routes, expected in (
        ([later], When(OnlyIf.UNREAD, 60)),
        ([later, to_users("u1", channels=("email",), name="now")], None),
        ([later, to_users("u1", channels=("in_app",), name="inbox")], When(OnlyIf.UNREAD, 60)),
        ([later, Route("for-all", channels=("email",))], When(OnlyIf.UNREAD, 60)),  # adds nothing that is not there
    ):
        decided = decide(routes, **PHONE)
        assert [way.when for one in decided.notifications for way in one.deliveries if way.channel == "email"] == [
            expected
        ]


@pytest.mark.mission("C-3", "A-12")
@pytest.mark.parametrize(
    ("routes", "template"),
    [
        pytest.param([{"template": "low"}, {"priority": Priority.HIGH, "template": "high"}], "high", id="the-leading"),
        pytest.param([{"template": "low"}, {"priority": Priority.HIGH}], "low", id="the-leading-that-names-one"),
        pytest.param([{}, {"recipients": (), "template": "added"}], None, id="not-one-that-only-adds-channels"),
        pytest.param([{}], None, id="none"),
    ],
)
def test_somebody_is_told_in_the_template_of_the_leading_route_that_tells_him(
    decide: Callable[..., Plan], routes: list[dict[str, Any]], template: str | None
) -> None:
    to = {"recipients": (Resolver("user", users=("u1",)),), "channels": ("email",)}
    made = [Route(str(number), **{**to, **route}) for number, route in enumerate(routes)]
    (notification,) = decide(made, **PHONE).notifications
    assert notification.template == template
