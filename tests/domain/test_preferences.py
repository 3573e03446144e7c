"""Whether somebody wants an event on a channel."""

from __future__ import annotations

import pytest

from domain.catalogue import EventType
from domain.event import PreferenceEntry
from domain.preferences import changed, locked, wants

ON, OFF = {"email": True}, {"email": False}
CUSTOMER, OTHER = "0191f2a0-0000-7000-8000-000000000001", "0191f2a0-0000-7000-8000-000000000002"


@pytest.mark.mission("A-2", "E-39")
@pytest.mark.parametrize(
    ("entries", "wanted"),
    [
        pytest.param([], True, id="nothing-said-is-yes"),
        pytest.param([("billing", None, None, OFF)], False, id="the-group-off"),
        pytest.param([("billing", None, None, {"sms": False})], True, id="another-channel-off"),
        pytest.param([("orders", None, None, OFF)], True, id="another-group-off"),
        pytest.param([("billing", "billing.refund", None, OFF)], True, id="another-event-off"),
        pytest.param([("billing", None, OTHER, OFF)], True, id="another-customer-off"),
        pytest.param(
            [("billing", None, None, OFF), ("billing", "billing.paid", None, ON)], True, id="event-before-group"
        ),
        pytest.param([("billing", "billing.paid", None, ON), ("billing", None, None, OFF)], True, id="in-any-order"),
        pytest.param([("billing", None, None, ON), ("billing", None, CUSTOMER, OFF)], False, id="customer-before-all"),
        pytest.param(
            [("billing", None, CUSTOMER, ON), ("billing", "billing.paid", None, OFF)], False, id="event-before-customer"
        ),
        pytest.param(
            [("billing", "billing.paid", None, OFF), ("billing", "billing.paid", CUSTOMER, ON)],
            True,
            id="event-and-customer-before-event",
        ),
        pytest.param(
            [("billing", None, None, OFF), ("billing", "billing.paid", None, {"sms": True})],
            False,
            id="an-entry-that-does-not-name-the-channel-says-nothing",
        ),
    ],
)
def test_the_most_specific_entry_decides(
    entries: list[tuple[str, str | None, str | None, dict[str, bool]]], wanted: bool
) -> None:
    said = [PreferenceEntry(*entry) for entry in entries]
    assert wants(said, group="billing", event="billing.paid", customer_id=CUSTOMER, channel="email") is wanted


def test_an_entry_for_one_customer_says_nothing_about_an_event_without_customer() -> None:
    entry = PreferenceEntry("billing", None, CUSTOMER, OFF)
    assert wants([entry], group="billing", event="billing.paid", customer_id=None, channel="email")


@pytest.mark.parametrize("weaker", range(1, 4))
def test_each_step_of_being_more_specific_overrules_all_before_it(weaker: int) -> None:
    """Whole group, group for a customer, event, event for a customer."""
    ladder = [(None, None), (None, CUSTOMER), ("billing.paid", None), ("billing.paid", CUSTOMER)]
    said = [PreferenceEntry("billing", event, customer, OFF) for event, customer in ladder[:weaker]]
    said.append(PreferenceEntry("billing", *ladder[weaker], ON))
    for entries in (said, said[::-1]):
        assert wants(entries, group="billing", event="billing.paid", customer_id=CUSTOMER, channel="email") is True


@pytest.mark.parametrize(
    ("said", "change", "after"),
    [
        pytest.param({}, {"email": False}, {"email": False}, id="said-for-the-first-time"),
        pytest.param({"email": True}, {"email": False}, {"email": False}, id="said-otherwise"),
        pytest.param({"sms": False}, {"email": False}, {"sms": False, "email": False}, id="beside-another"),
        pytest.param({"sms": False, "email": True}, {"email": None}, {"sms": False}, id="taken-back"),
        pytest.param({}, {"email": None}, {}, id="taken-back-though-never-said"),
        pytest.param({"email": True}, {}, {"email": True}, id="nothing-named"),
    ],
)
def test_a_change_touches_the_channels_that_it_names(
    said: dict[str, bool], change: dict[str, bool | None], after: dict[str, bool]
) -> None:
    assert changed(said, change) == after


OWED = EventType("identity.password-changed", "identity", transactional=True)
TYPES = (OWED, EventType("identity.user-created", "identity"), EventType("billing.paid", "billing"))


@pytest.mark.parametrize(
    ("group", "event", "names"),
    [
        ("identity", None, ["identity.password-changed"]),
        ("identity", "identity.password-changed", ["identity.password-changed"]),
        ("identity", "identity.user-created", []),
        ("billing", None, []),
        ("billing", "identity.password-changed", []),
    ],
)
def test_what_is_owed_to_the_user_cannot_be_switched_off(group: str, event: str | None, names: list[str]) -> None:
    assert locked(TYPES, group=group, event=event) == names
