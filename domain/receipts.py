"""What follows from a receipt: one small table for the delivery, one for the address."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from domain.states import DeliveryStatus
from domain.vocabulary import ReceiptKind, Suppression

SOFT_BOUNCES: Final = 5
"""So many temporary bounces within the window suppress an address (E-29)."""

S = DeliveryStatus

UNSETTLED: Final = frozenset({S.QUEUED, S.HELD, S.PROCESSING})
"""Nobody has written down yet what came of the last attempt; a receipt waits for that."""

ARRIVED: Final = frozenset({ReceiptKind.DELIVERED, ReceiptKind.OPENED, ReceiptKind.CLICKED})
COUNTED: Final = ARRIVED | {ReceiptKind.BOUNCED, ReceiptKind.COMPLAINED}
"""What is counted by hour, tenant, channel and provider."""

SUPPRESSIONS: Final = {
    (ReceiptKind.BOUNCED, True): Suppression.PERMANENT_BOUNCE,
    (ReceiptKind.COMPLAINED, False): Suppression.SPAM_COMPLAINT,
    (ReceiptKind.UNSUBSCRIBED, False): Suppression.UNSUBSCRIBED,
}
"""What ends an address at once, by kind and permanence."""


def after_receipt(status: DeliveryStatus, kind: ReceiptKind) -> DeliveryStatus:
    """Where a settled delivery stands after a receipt. What has arrived has arrived, whatever is said after that."""
    if kind in ARRIVED and status in {S.SENT, S.FAILED, S.DEAD_LETTER}:
        return S.DELIVERED
    if kind is ReceiptKind.BOUNCED and status is S.SENT:
        return S.DEAD_LETTER
    return status


def after_receipts(status: DeliveryStatus, kinds: Iterable[ReceiptKind]) -> DeliveryStatus:
    """Where it stands after several, in the order in which they happened."""
    for kind in kinds:
        status = after_receipt(status, kind)
    return status


def may_be_tenant(claimed: str | None, tenant: str) -> bool:
    """Whether what a provider gives back may be this tenant: some shorten it, some take letters and digits only."""
    return claimed is None or _as_tag(claimed) == _as_tag(tenant)


def _as_tag(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "_", name)[:60]
