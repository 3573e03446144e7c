"""Receipts that had to wait are applied by the sweep, whatever else waits beside them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from channels.receipts.base import Heard, LaterReceipt
from config.settings import settings
from domain.vocabulary import ReceiptKind
from models.engine import transaction
from pipeline.provider_accounts import put_account

DELIVERY = """
WITH e AS (
    INSERT INTO events (id, tenant, type, status, condition, severity, fingerprint, data, occurred_at)
    VALUES (gen_random_uuid(), 'acme', 'ssl_expiry', 'routed', 'firing', 'high', '', '{}', now()) RETURNING id
)
INSERT INTO deliveries (id, tenant, event_id, channel, provider, address, template, priority, status, attempts)
SELECT cast(:id AS uuid), 'acme', e.id, 'email', 'resend', 'ana@example.org', 'default', 2, 'processing', 1 FROM e
"""
TRIED = """
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail)
VALUES (cast(:id AS uuid), 1, 'resend', now(), 1, 'sent', '')
"""


def receipt(kind: ReceiptKind = ReceiptKind.DELIVERED, delivery: str | None = None) -> LaterReceipt:
    return LaterReceipt(str(uuid4()), kind, datetime.now(UTC), delivery_id=delivery or str(uuid4()))


def take_in(*receipts: LaterReceipt) -> None:
    from tasks.receipts import take_in

    take_in("resend", "", Heard(len(receipts), receipts))


def under_way(process: Any) -> str:
    """A delivery that a worker is just sending."""
    made = str(uuid4())
    process.execute(DELIVERY, id=made)
    return made


def settle(process: Any, made: str) -> None:
    process.execute("UPDATE deliveries SET status = 'sent'")
    process.execute(TRIED, id=made)


def statuses(process: Any) -> set[str]:
    return {row.status for row in process.execute("SELECT status FROM deliveries")}


def sweep(process: Any) -> None:
    from tasks.sweep import sweep_here

    process.execute("DELETE FROM rounds")
    sweep_here(process.child, 1.0)


@pytest.mark.mission("E-26")
def test_a_receipt_that_overtook_its_delivery_is_applied_by_the_sweep(process: Any) -> None:
    made = under_way(process)
    take_in(receipt(delivery=made))
    sweep(process)
    assert statuses(process) == {"processing"}
    settle(process, made)
    sweep(process)
    assert statuses(process) == {"delivered"}


def test_receipts_of_other_systems_on_our_account_hold_up_none_of_ours(process: Any) -> None:
    """Thousands that belong to nothing wait in front of one that is ours; some rounds later it is found."""
    for _ in range(5):
        take_in(*[receipt() for _ in range(1000)])
    made = under_way(process)
    take_in(receipt(delivery=made))
    settle(process, made)
    for _ in range(4):
        sweep(process)
        if statuses(process) == {"delivered"}:
            break
    assert statuses(process) == {"delivered"}


def test_a_new_dead_letter_is_announced(process: Any) -> None:
    from tasks.bells import ringer

    made = under_way(process)
    settle(process, made)
    take_in(receipt(ReceiptKind.BOUNCED, made))
    assert ringer().flush()
    assert process.execute("SELECT reason FROM dead_letters")[0].reason == "bounced"
    assert any("bellwire.announce" in str(key) for key in _tasks(process))


def _tasks(process: Any) -> list[str]:
    """The names of the tasks that wait in any queue."""
    found = []
    for queue in process.broker.client.keys("*"):
        if process.broker.client.type(queue) == b"list":
            found += [str(item) for item in process.broker.client.lrange(queue, 0, -1)]
    return found


def test_what_cannot_be_applied_now_is_kept(process: Any) -> None:
    made = under_way(process)
    settle(process, made)
    process.execute("ALTER TABLE deliverability RENAME TO out_of_reach")
    try:
        take_in(receipt(delivery=made))
        assert statuses(process) == {"sent"}
    finally:
        process.execute("ALTER TABLE out_of_reach RENAME TO deliverability")
    sweep(process)
    assert statuses(process) == {"delivered"}


def test_one_that_the_database_refuses_holds_up_no_other(process: Any) -> None:
    good, bad = under_way(process), under_way(process)
    take_in(*[receipt(ReceiptKind.BOUNCED, one) for one in (good, bad)])
    process.execute("UPDATE deliveries SET status = 'sent'")
    for made in (good, bad):
        process.execute(TRIED, id=made)
    process.execute(f"ALTER TABLE dead_letters ADD CONSTRAINT refused CHECK (delivery_id <> '{bad}')")
    try:
        sweep(process)
        assert [str(row.delivery_id) for row in process.execute("SELECT delivery_id FROM dead_letters")] == [good]
    finally:
        process.execute("ALTER TABLE dead_letters DROP CONSTRAINT refused")
    sweep(process)
    assert statuses(process) == {"dead_letter"}


def test_a_tenants_own_account_knows_whose_it_is_for_its_receipts_must_say(process: Any) -> None:
    from tasks.accounts import Accounts

    credentials = {"account_sid": "AC" + "0" * 32, "auth_token": "t", "from": "+4915735983768"}
    with transaction() as connection:
        put_account(
            connection, tenant="acme", provider="twilio", body={"credentials": credentials}, actor="cli", remote=None
        )
        accounts = Accounts(settings(), "sms", (), lambda _: None)
        (account,) = accounts.orders(connection, ["acme"])["acme"]
    assert account.provider.tenant == "acme"
