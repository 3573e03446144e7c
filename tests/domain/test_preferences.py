"""Whether somebody wants an event on a channel."""

from __future__ import annotations

import pytest

from domain.event import PreferenceEntry
from domain.preferences import wants

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
