"""The last look before sending."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.recheck import no_longer_wanted
from domain.states import DeliveryStatus
from domain.vocabulary import Reason

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
EXPIRED = (DeliveryStatus.EXPIRED, Reason.EXPIRED)
RESOLVED = (DeliveryStatus.CANCELLED, Reason.RESOLVED)
CANCELLED = (DeliveryStatus.CANCELLED, Reason.CANCELLED)
SUPPRESSED = (DeliveryStatus.SUPPRESSED, Reason.USER_SUPPRESSED)
ACKNOWLEDGED = (DeliveryStatus.CANCELLED, Reason.ACKNOWLEDGED)
UNWANTED = (DeliveryStatus.SUPPRESSED, Reason.PREFERENCE)


@pytest.mark.mission("A-2", "B-15")
@pytest.mark.parametrize(
    ("changed", "ends"),
    [
        pytest.param({}, None, id="nothing-changed"),
        pytest.param({"expires_at": AFTER}, None, id="still-valid"),
        pytest.param({"expires_at": NOW}, EXPIRED, id="expires-this-moment"),
        pytest.param({"expires_at": BEFORE}, EXPIRED, id="expired"),
        pytest.param({"resolved": True}, RESOLVED, id="the-issue-is-over"),
        pytest.param({"cancelled": True}, CANCELLED, id="the-event-was-withdrawn"),
        pytest.param({"acknowledged": True}, ACKNOWLEDGED, id="somebody-took-it"),
        pytest.param({"refused": Reason.USER_SUPPRESSED}, SUPPRESSED, id="the-address-is-suppressed"),
        pytest.param({"wanted": False}, UNWANTED, id="opted-out-meanwhile"),
        pytest.param({"expires_at": BEFORE, "resolved": True}, EXPIRED, id="expiry-before-resolved"),
        pytest.param({"resolved": True, "acknowledged": True}, RESOLVED, id="resolved-before-acknowledgement"),
        pytest.param({"refused": Reason.USER_SUPPRESSED, "wanted": False}, SUPPRESSED, id="address-before-preference"),
        pytest.param({"acknowledged": True, "wanted": False}, ACKNOWLEDGED, id="acknowledgement-before-preference"),
    ],
)
def test_what_changed_since_routing_decides(
    changed: dict[str, Any], ends: tuple[DeliveryStatus, Reason] | None
) -> None:
    before = {"expires_at": None, "resolved": False, "cancelled": False, "acknowledged": False, "wanted": True}
    assert no_longer_wanted(now=NOW, **(before | changed)) == ends
