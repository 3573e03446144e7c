"""Deliveries that depend on the others: what a route may declare, and what follows when they are due."""

from __future__ import annotations

import pytest

from domain.catalogue import OnlyIf, Plan, When
from domain.conditions import STAGED_AFTER, Never, Wait, depends_on, judge, parse_when, united, when_words
from domain.errors import InvalidInputError
from domain.vocabulary import Reason

EMAIL_WHEN_UNSEEN = When(OnlyIf.UNSEEN, 0)
LATER_WHEN_UNREAD = When(OnlyIf.UNREAD, STAGED_AFTER)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("unread for 15m", When(OnlyIf.UNREAD, 900)),
        ("unread for 90s", When(OnlyIf.UNREAD, 90)),
        ("unread for 2h", When(OnlyIf.UNREAD, 7200)),
        ("unread for 30d", When(OnlyIf.UNREAD, 2_592_000)),
        ("not delivered for 1h", When(OnlyIf.UNDELIVERED, 3600)),
        ("unread", When(OnlyIf.UNREAD, 900)),
        ("not delivered", When(OnlyIf.UNDELIVERED, 900)),
    ],
)
def test_a_route_declares_a_condition_in_words_and_gets_them_back(text: str, when: When) -> None:
    assert parse_when(text, "when") == when
    assert parse_when(when_words(when), "when") == when


@pytest.mark.parametrize(
    "text", ["", "unread for 0m", "unread for 15", "read for 5m", "unread for 31d", " unread", 5, None]
)
def test_what_is_no_condition_is_refused_with_the_place_of_it(text: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_when(text, "when.sms")
    assert refused.value.field == "when.sms"


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, When(OnlyIf.UNREAD, 60), None),
        (When(OnlyIf.UNREAD, 60), None, None),
        (When(OnlyIf.UNREAD, 60), When(OnlyIf.UNREAD, 30), When(OnlyIf.UNREAD, 30)),
    ],
)
def test_of_two_routes_the_one_that_tells_sooner_wins(one: When | None, other: When | None, both: When | None) -> None:
    assert united(one, other) == both


@pytest.mark.mission("C-8", "E-40")
@pytest.mark.parametrize(
    ("plan", "channel", "declared", "channels", "expected"),
    [
        (Plan.SIMULTANEOUS, "email", None, {"email", "in_app"}, None),
        (Plan.OFFLINE_EMAIL, "email", None, {"email", "in_app"}, EMAIL_WHEN_UNSEEN),
        (Plan.OFFLINE_EMAIL, "email", None, {"email", "push"}, EMAIL_WHEN_UNSEEN),
        (Plan.OFFLINE_EMAIL, "email", None, {"email", "sms"}, None),  # nothing is shown live
        (Plan.OFFLINE_EMAIL, "sms", None, {"sms", "email", "in_app"}, None),
        (Plan.STAGED, "in_app", None, {"in_app", "push", "sms"}, None),
        (Plan.STAGED, "push", None, {"in_app", "push", "sms"}, None),
        (Plan.STAGED, "webhook", None, {"in_app", "webhook"}, None),
        (Plan.STAGED, "sms", None, {"in_app", "push", "sms"}, LATER_WHEN_UNREAD),
        (Plan.STAGED, "telegram", None, {"telegram"}, None),  # without an inbox nothing can be read
        (Plan.STAGED, "sms", When(OnlyIf.UNDELIVERED, 60), {"in_app", "sms"}, When(OnlyIf.UNDELIVERED, 60)),
        (Plan.SIMULTANEOUS, "sms", When(OnlyIf.UNREAD, 60), {"sms"}, When(OnlyIf.UNREAD, 60)),
    ],
)
def test_what_a_delivery_depends_on_follows_from_plan_and_route(
    plan: Plan, channel: str, declared: When | None, channels: set[str], expected: When | None
) -> None:
    assert depends_on(plan, channel, declared, channels) == expected


SHOWN = {"in_app": ["delivered"]}
STORED = {"in_app": ["sent"]}
EARLY, LATE = 100.0, 200.0  # moments


@pytest.mark.mission("C-8")
@pytest.mark.parametrize(
    ("seen", "since", "shown_at", "age", "others", "expected"),
    [
        pytest.param(True, EARLY, LATE, 1, SHOWN, Never(Reason.SEEN), id="read"),
        pytest.param(True, None, None, 500, STORED, Never(Reason.SEEN), id="read-and-gone"),
        pytest.param(False, None, None, 1, STORED, None, id="nobody-there"),
        pytest.param(False, EARLY, None, 1, STORED, Wait(119), id="somebody-there"),
        pytest.param(False, EARLY, LATE, 1, SHOWN, Wait(119), id="shown-just-now"),
        pytest.param(False, EARLY, LATE, 120, SHOWN, Never(Reason.SEEN), id="shown-and-still-there"),
        pytest.param(False, LATE, LATE, 120, SHOWN, Never(Reason.SEEN), id="shown-when-the-stream-began"),
        pytest.param(False, None, EARLY, 120, SHOWN, None, id="shown-and-dropped-in-between"),
        pytest.param(False, LATE, EARLY, 120, SHOWN, None, id="shown-on-a-stream-that-broke-and-back-on-another"),
        pytest.param(False, EARLY, None, 120, STORED, None, id="connected-and-never-shown"),
        pytest.param(False, None, None, 1, {"push": ["queued"]}, Wait(119), id="a-push-is-on-its-way"),
        pytest.param(False, None, None, 1, {"push": ["failed"]}, None, id="the-push-does-not-get-through"),
        pytest.param(False, None, None, 120, {"push": ["sent"]}, Never(Reason.TOLD_OTHERWISE), id="pushed"),
        pytest.param(
            False, None, None, 120, {"push": ["refused", "sent"]}, Never(Reason.TOLD_OTHERWISE), id="one-device"
        ),
        pytest.param(False, None, None, 120, {"push": ["queued"]}, None, id="the-push-took-too-long"),
        pytest.param(False, None, None, 120, {}, None, id="nothing-else"),
    ],
)
def test_email_goes_to_who_is_not_there_and_to_who_dropped_in_between(
    seen: bool,
    since: float | None,
    shown_at: float | None,
    age: float,
    others: dict[str, list[str]],
    expected: object,
) -> None:
    found = judge(OnlyIf.UNSEEN, seen=seen, since=since, shown_at=shown_at, age=age, grace=120, others=others)
    assert found == expected


@pytest.mark.mission("E-40")
@pytest.mark.parametrize(
    ("only_if", "seen", "others", "expected"),
    [
        (OnlyIf.UNREAD, True, {}, Never(Reason.SEEN)),
        (OnlyIf.UNREAD, False, SHOWN, None),
        (OnlyIf.UNDELIVERED, False, STORED, None),
        (OnlyIf.UNDELIVERED, False, SHOWN, Never(Reason.TOLD_OTHERWISE)),
        (OnlyIf.UNDELIVERED, False, {"email": ["sent"]}, Never(Reason.TOLD_OTHERWISE)),
        (OnlyIf.UNDELIVERED, False, {"email": ["failed", "dead_letter"]}, None),
    ],
)
def test_a_declared_condition_is_looked_at_once_when_its_time_has_come(
    only_if: OnlyIf, seen: bool, others: dict[str, list[str]], expected: object
) -> None:
    assert judge(only_if, seen=seen, since=None, shown_at=None, age=900, grace=120, others=others) == expected
