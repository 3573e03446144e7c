"""The last look before sending."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.recheck import no_longer_wanted
from domain.states import DeliveryStatus
from domain.vocabulary import Reason

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
BEFORE, AFTER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("expires_at", "acknowledged", "wanted", "ends"),
    [
        pytest.param(None, False, True, None, id="nothing-changed"),
        pytest.param(AFTER, False, True, None, id="still-valid"),
        pytest.param(NOW, False, True, (DeliveryStatus.EXPIRED, Reason.EXPIRED), id="expires-this-moment"),
        pytest.param(BEFORE, False, True, (DeliveryStatus.EXPIRED, Reason.EXPIRED), id="expired"),
        pytest.param(
            None,
            True,
            True,
            (DeliveryStatus.CANCELLED, Reason.ACKNOWLEDGED),
            id="somebody-took-it",
            marks=pytest.mark.mission("B-15"),
        ),
        pytest.param(
            None,
            False,
            False,
            (DeliveryStatus.SUPPRESSED, Reason.PREFERENCE),
            id="opted-out-meanwhile",
            marks=pytest.mark.mission("A-2"),
        ),
        pytest.param(BEFORE, True, False, (DeliveryStatus.EXPIRED, Reason.EXPIRED), id="expiry-first"),
        pytest.param(
            None, True, False, (DeliveryStatus.CANCELLED, Reason.ACKNOWLEDGED), id="acknowledgement-before-preference"
        ),
    ],
)
def test_what_changed_since_routing_decides(
    expires_at: datetime | None, acknowledged: bool, wanted: bool, ends: tuple[DeliveryStatus, Reason] | None
) -> None:
    assert no_longer_wanted(now=NOW, expires_at=expires_at, acknowledged=acknowledged, wanted=wanted) == ends
