"""What providers say later: found, applied once and in any order, and what it means for addresses and people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event as listening

from channels.receipts.base import Inbound, LaterReceipt
from domain.receipts import UNSETTLED, after_receipt
from domain.states import DeliveryStatus, may_move
from domain.vocabulary import ReceiptKind
from pipeline.ledger import read_delivery
from pipeline.receipts import Applied, Position, apply, open_sessions, store, waiting
from pipeline.setup import ensure_tenant
from pipeline.users import delete_user

NOW = datetime.now(UTC)
K = ReceiptKind

INSERT = """
WITH e AS (
    INSERT INTO events (id, tenant, type, status, condition, severity, fingerprint, data, occurred_at)
    VALUES (gen_random_uuid(), :tenant, 'ssl_expiry', 'routed', 'firing', 'high', '', '{}', now())
    RETURNING id
), n AS (
    INSERT INTO notifications (id, tenant, event_id, user_id, recipient, audience, event, group_name, title, content,
                               priority, severity)
    SELECT gen_random_uuid(), :tenant, e.id, :user, 'r', 'admin', 'ssl_expiry', 'g', 't', 'c', 'high', 'high' FROM e
    RETURNING id, event_id
)
INSERT INTO deliveries (id, tenant, event_id, notification_id, channel, provider, address, template, priority, status,
                        due_at, attempts, sent_at)
SELECT cast(:id AS uuid), :tenant, n.event_id, n.id, :channel, :provider, :address, 'default', 2, :status,
       CASE WHEN :status IN ('failed', 'held') THEN now() END, 1, CASE WHEN :status = 'sent' THEN now() END FROM n
"""
TRIED = """
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail, message_id)
VALUES (cast(:id AS uuid), 1, :provider, now(), 1, :outcome, '', :message)
"""
LETTER = """
INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail)
VALUES (cast(:id AS uuid), 'acme', 'email', 'ssl_expiry', 'outcome_unknown', '')
"""


@pytest.fixture
def made(world: Any) -> Callable[..., str]:
    """Makes a delivery as a worker would have left it; its id."""

    def make(status: str = "sent", **about: Any) -> str:
        values = {
            "id": str(uuid4()),
            "tenant": "acme",
            "channel": "email",
            "provider": "resend",
            "address": "Ana@Example.org",
            "user": None,
            "status": status,
        } | {name: value for name, value in about.items() if name not in {"message", "outcome"}}
        world.execute(INSERT, **values)
        if status not in {"processing", "queued"}:
            outcome = about.get("outcome", "unknown" if status == "failed" else "sent")
            world.execute(
                TRIED,
                id=values["id"],
                provider=values["provider"],
                outcome=outcome,
                message=about.get("message", f"m-{values['id']}"),
            )
        if status == "dead_letter":
            world.execute(LETTER, id=values["id"])
        return str(values["id"])

    return make


def receipt(kind: ReceiptKind, delivery: str | None = None, *, ago: float = 60, **more: Any) -> LaterReceipt:
    """What a provider says of a delivery by the id that we sent along."""
    values = {"key": str(uuid4()), "occurred_at": NOW - timedelta(seconds=ago), "delivery_id": delivery} | more
    return LaterReceipt(kind=kind, **values)


def hear(world: Any, *receipts: LaterReceipt, provider: str = "resend", account: str = "") -> Applied:
    """Store and apply, as the API does."""
    with world.begin() as connection:
        ids = store(connection, provider, account, receipts)
    with world.begin() as connection:
        return apply(connection, ids)


def sweep(world: Any) -> Applied:
    """Apply all that waits."""
    with world.begin() as connection:
        ids, _ = waiting(connection, Position(), 500)
        return apply(connection, ids)


def row(world: Any, delivery: str) -> Any:
    (found,) = world.execute("SELECT * FROM deliveries WHERE id = cast(:id AS uuid)", id=delivery)
    return found


def suppressions(world: Any) -> list[tuple[str, ...]]:
    rows = world.execute("SELECT tenant, channel, address, reason, source FROM suppressions ORDER BY 1, 2, 3")
    return [tuple(one) for one in rows]


def letters(world: Any) -> list[Any]:
    return list(world.execute("SELECT delivery_id::text, reason, detail FROM dead_letters"))


# Where a delivery goes


@pytest.mark.mission("A-27", "E-26", "E-27")
@pytest.mark.parametrize(
    ("before", "kinds", "after"),
    [
        ("sent", [K.DELIVERED], "delivered"),
        ("sent", [K.OPENED], "delivered"),
        ("sent", [K.CLICKED], "delivered"),
        ("sent", [K.BOUNCED], "dead_letter"),
        ("sent", [K.COMPLAINED], "sent"),
        ("sent", [K.UNSUBSCRIBED], "sent"),
        ("failed", [K.DELIVERED], "delivered"),
        ("failed", [K.BOUNCED], "failed"),
        ("dead_letter", [K.DELIVERED], "delivered"),
        ("dead_letter", [K.BOUNCED], "dead_letter"),
        ("delivered", [K.BOUNCED], "delivered"),
        ("delivered", [K.COMPLAINED], "delivered"),
        ("sent", [K.DELIVERED, K.BOUNCED], "delivered"),
        ("sent", [K.BOUNCED, K.DELIVERED], "delivered"),
        ("sent", [K.BOUNCED, K.BOUNCED], "dead_letter"),
        ("sent", [K.DELIVERED, K.OPENED, K.COMPLAINED], "delivered"),
        ("cancelled", [K.DELIVERED], "cancelled"),
        ("suppressed", [K.BOUNCED], "suppressed"),
        ("expired", [K.CLICKED], "expired"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value,
)
@pytest.mark.parametrize("together", [True, False], ids=["in-one-call", "one-by-one"])
def test_a_delivery_goes_where_its_receipts_lead_and_never_backwards(
    world: Any, made: Any, before: str, kinds: Sequence[ReceiptKind], after: str, together: bool
) -> None:
    delivery = made(before)
    receipts = [receipt(kind, delivery, ago=60 - place) for place, kind in enumerate(kinds)]
    for batch in [receipts] if together else [[one] for one in receipts]:
        assert hear(world, *batch).waiting == 0
    assert row(world, delivery).status == after
    assert row(world, delivery).due_at is None or after == "failed"


def test_receipts_that_overtake_each_other_lead_to_the_same_end(world: Any, made: Any) -> None:
    first, second = made(), made()
    for delivery, kinds in ((first, (K.BOUNCED, K.DELIVERED)), (second, (K.DELIVERED, K.BOUNCED))):
        for kind in kinds:  # the bounce happened first, whichever came first
            hear(world, receipt(kind, delivery, ago=50 if kind is K.BOUNCED else 40))
    assert [row(world, one).status for one in (first, second)] == ["delivered", "delivered"]
    assert letters(world) == []


@pytest.mark.mission("A-27")
def test_what_arrived_has_the_time_at_which_it_did(world: Any, made: Any) -> None:
    delivery = made("failed")
    early, late = receipt(K.DELIVERED, delivery, ago=50), receipt(K.OPENED, delivery, ago=10)
    hear(world, late, early)
    found = row(world, delivery)
    assert (found.delivered_at, found.sent_at) == (early.occurred_at, early.occurred_at)


@pytest.mark.mission("A-27")
def test_what_was_confirmed_after_an_unknown_outcome_is_not_sent_again(world: Any, made: Any) -> None:
    delivery = made("failed")
    hear(world, receipt(K.DELIVERED, delivery))
    assert world.send("email") == []
    assert row(world, delivery).status == "delivered"


def test_a_dead_letter_that_arrived_waits_for_nobody(world: Any, made: Any) -> None:
    delivery = made("dead_letter")
    hear(world, receipt(K.DELIVERED, delivery))
    assert (row(world, delivery).reason, letters(world)) == (None, [])


@pytest.mark.mission("E-26", "E-27")
def test_a_bounce_is_a_dead_letter_that_says_why(world: Any, made: Any) -> None:
    delivery = made()
    assert hear(world, receipt(K.BOUNCED, delivery, permanent=True, detail="550 5.1.1")).dead_letters == 1
    found = row(world, delivery)
    assert (found.status, found.reason, found.failed_at) == ("dead_letter", "bounced", NOW - timedelta(seconds=60))
    assert [tuple(one) for one in letters(world)] == [(delivery, "bounced", "550 5.1.1")]


@pytest.mark.parametrize(("kind", "status"), [(K.DELIVERED, "delivered"), (K.BOUNCED, "created")])
def test_a_notification_is_delivered_when_one_of_its_deliveries_is(
    world: Any, made: Any, kind: ReceiptKind, status: str
) -> None:
    delivery = made()
    hear(world, receipt(kind, delivery))
    (found,) = world.execute(
        "SELECT n.status FROM notifications n JOIN deliveries d ON d.notification_id = n.id "
        "WHERE d.id = cast(:id AS uuid)",
        id=delivery,
    )
    assert found.status == status


def test_what_was_told_along_in_one_message_arrived_with_it(world: Any, made: Any) -> None:
    carrier, folded = made("failed"), made("cancelled")
    world.execute("UPDATE deliveries SET folded_into = cast(:to AS uuid) WHERE status = 'cancelled'", to=carrier)
    hear(world, receipt(K.DELIVERED, carrier))
    assert row(world, folded).status == "cancelled"
    assert {one.status for one in world.execute("SELECT status FROM notifications")} == {"delivered"}


def test_every_move_that_a_receipt_makes_is_in_the_table_of_moves() -> None:
    for status in set(DeliveryStatus) - UNSETTLED:
        for kind in K:
            assert may_move(status, after_receipt(status, kind))


# Early, late, twice


@pytest.mark.parametrize("status", ["processing", "queued", "held"])
def test_a_receipt_before_our_own_record_waits_for_it(world: Any, made: Any, status: str) -> None:
    delivery = made(status)
    assert hear(world, receipt(K.DELIVERED, delivery)).waiting == 1
    assert row(world, delivery).status == status
    world.execute("UPDATE deliveries SET status = 'processing' WHERE status <> 'processing'")
    world.execute("UPDATE deliveries SET status = 'sent'")
    world.execute(TRIED + " ON CONFLICT DO NOTHING", id=delivery, provider="resend", outcome="sent", message=None)
    assert sweep(world) == Applied(applied=1)
    assert row(world, delivery).status == "delivered"


def test_a_receipt_by_the_providers_own_id_waits_until_that_is_written_down(world: Any, made: Any) -> None:
    delivery = made(message=None)
    assert hear(world, receipt(K.DELIVERED, message_id="re_1")) == Applied(waiting=1)
    world.execute("UPDATE attempts SET message_id = 're_1'")
    sweep(world)
    assert row(world, delivery).status == "delivered"


def test_what_belongs_to_nothing_is_given_up_after_three_days(world: Any) -> None:
    hear(world, receipt(K.BOUNCED, str(uuid4()), permanent=True, address="a@example.org"))
    assert sweep(world).waiting == 1
    world.execute("UPDATE receipts SET received_at = now() - interval '73 hours'")
    assert sweep(world) == Applied(applied=1)
    assert sweep(world) == Applied()
    (kept,) = world.execute("SELECT delivery_id, address, tenant FROM receipts")
    assert (tuple(kept), suppressions(world)) == ((None, None, None), [])


def test_what_waits_is_walked_through_from_the_oldest_on_and_then_anew(world: Any) -> None:
    hear(world, *[receipt(K.DELIVERED, str(uuid4())) for _ in range(5)])
    seen: list[int] = []
    position = Position()
    with world.begin() as connection:
        for _ in range(3):
            ids, position = waiting(connection, position, 2)
            seen += ids
        assert seen == sorted(seen)
        assert len(set(seen)) == 5
        assert waiting(connection, position, 2) == ([], Position())


@pytest.mark.mission("E-26")
def test_a_receipt_counts_once_however_often_it_comes(world: Any, made: Any) -> None:
    delivery = made()
    one = receipt(K.BOUNCED, delivery, permanent=True)
    assert [hear(world, one).applied, hear(world, one, one).applied, sweep(world).applied] == [1, 0, 0]
    counts = world.execute("SELECT kind, count FROM deliverability")
    assert [tuple(found) for found in counts] == [("bounced", 1)]


def test_the_same_key_of_another_provider_or_account_is_another_receipt(world: Any) -> None:
    one = receipt(K.DELIVERED, message_id="x")
    with world.begin() as connection:
        stored = [
            len(store(connection, provider, account, [one]))
            for provider, account in (("resend", ""), ("postmark", ""), ("resend", "acme"), ("resend", ""))
        ]
    assert stored == [1, 1, 1, 0]


def test_two_that_apply_the_same_receipts_at_once_apply_each_once(world: Any, made: Any) -> None:
    deliveries = [made() for _ in range(20)]
    with world.begin() as connection:
        ids = store(connection, "resend", "", [receipt(K.BOUNCED, one) for one in deliveries])
    start, done = Barrier(3), []

    def work() -> None:
        start.wait(10)
        with world.begin() as connection:
            done.append(apply(connection, ids).applied)

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(done) == 20
    assert world.execute("SELECT sum(count) FROM deliverability")[0][0] == 20


# Whose it is


@pytest.mark.mission("F-11")
@pytest.mark.parametrize(
    ("account", "claimed", "provider", "applied"),
    [
        pytest.param("", None, "resend", True, id="the-installations-account"),
        pytest.param("", "acme", "resend", True, id="with-the-tenant-given-back"),
        pytest.param("acme", None, "resend", True, id="the-tenants-own-account"),
        pytest.param("other", None, "resend", False, id="another-tenants-account"),
        pytest.param("", "other", "resend", False, id="another-tenant-given-back"),
        pytest.param("", None, "postmark", False, id="a-provider-that-never-had-it"),
    ],
)
@pytest.mark.parametrize("by", ["what-we-sent-along", "the-providers-id"])
def test_a_receipt_touches_only_what_its_account_and_provider_may(
    world: Any, made: Any, account: str, claimed: str | None, provider: str, applied: bool, by: str
) -> None:
    delivery = made(message="m1")
    about = {"delivery": delivery} if by == "what-we-sent-along" else {"message_id": "m1"}
    hear(world, receipt(K.COMPLAINED, tenant=claimed, address="x@y.org", **about), provider=provider, account=account)
    assert (len(suppressions(world)) == 1) is applied


@pytest.mark.parametrize("account", ["acme", "other"])
def test_two_accounts_may_have_given_the_same_id(world: Any, made: Any, account: str) -> None:
    deliveries = {tenant: made(tenant=tenant, message="same") for tenant in ("acme", "other")}
    hear(world, receipt(K.DELIVERED, message_id="same"), account=account)
    arrived = {tenant for tenant, delivery in deliveries.items() if row(world, delivery).status == "delivered"}
    assert arrived == {account}


def test_a_tenant_whose_name_a_provider_had_to_change_is_known_again(world: Any, made: Any) -> None:
    with world.begin() as connection:
        ensure_tenant(connection, "søren&co.")
    delivery = made(tenant="søren&co.")
    hear(world, receipt(K.DELIVERED, delivery, tenant="s_ren_co_"))
    assert row(world, delivery).status == "delivered"


def test_after_a_crash_nobody_knows_the_provider_so_any_may_speak(world: Any, made: Any) -> None:
    delivery = made("failed", provider="email", outcome="lost")
    hear(world, receipt(K.DELIVERED, delivery), provider="sendgrid")
    assert row(world, delivery).status == "delivered"


# What it means for the address and the person


@pytest.mark.mission("E-28", "E-30")
@pytest.mark.parametrize(
    ("kind", "permanent", "reason"),
    [
        (K.BOUNCED, True, "permanent_bounce"),
        (K.COMPLAINED, False, "spam_complaint"),
        (K.UNSUBSCRIBED, False, "unsubscribed"),
        (K.BOUNCED, False, None),
        (K.DELIVERED, False, None),
        (K.OPENED, False, None),
        (K.CLICKED, False, None),
    ],
)
def test_an_address_is_suppressed_for_what_is_said_of_it(
    world: Any, made: Any, kind: ReceiptKind, permanent: bool, reason: str | None
) -> None:
    delivery = made()
    hear(world, receipt(kind, delivery, permanent=permanent, address="somebody@else.org"))
    expected = [("acme", "email", "ana@example.org", reason, "webhook")] if reason else []
    assert suppressions(world) == expected
    added = [(one.actor, one.action, one.subject) for one in world.audit() if one.action.startswith("suppression")]
    assert added == ([("receipt:resend", "suppression.add", delivery)] if reason else [])
    assert "example.org" not in str(world.audit())


def test_an_address_that_was_erased_is_known_from_the_receipt(world: Any, made: Any) -> None:
    delivery = made(address="")
    hear(world, receipt(K.COMPLAINED, delivery, address="Ana@example.org"))
    assert [one[2] for one in suppressions(world)] == ["ana@example.org"]


def test_a_receipt_that_blames_the_message_says_nothing_of_the_address(world: Any, made: Any) -> None:
    for _ in range(6):
        hear(world, receipt(K.BOUNCED, made(), address=""))
    assert suppressions(world) == []


@pytest.mark.mission("E-29", "F-11")
@pytest.mark.parametrize(
    ("ages", "suppressed"),
    [
        pytest.param([5, 4, 3, 2, 1], True, id="five"),
        pytest.param([5, 4, 3, 2], False, id="four"),
        pytest.param([8, 4, 3, 2, 1], False, id="one-is-older-than-the-window"),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in-one-call", "one-by-one"])
def test_five_temporary_bounces_within_a_week_suppress_an_address(
    world: Any, made: Any, ages: Sequence[int], suppressed: bool, together: bool
) -> None:
    receipts = [receipt(K.BOUNCED, made(), ago=age * 86400 - 60) for age in ages]
    for batch in [receipts] if together else [[one] for one in receipts]:
        hear(world, *batch)
    expected = [("acme", "email", "ana@example.org", "repeated_soft_bounces", "auto_suppression")]
    assert suppressions(world) == (expected if suppressed else [])


@pytest.mark.mission("E-29")
def test_temporary_bounces_are_counted_by_tenant_and_address(world: Any, made: Any) -> None:
    addresses = [("acme", "a@x.org"), ("acme", "b@x.org"), ("other", "a@x.org")]
    for number in range(12):
        tenant, address = addresses[number % 3]
        hear(world, receipt(K.BOUNCED, made(tenant=tenant, address=address)))
    assert suppressions(world) == []


@pytest.mark.mission("E-29", "F-11")
def test_bounces_that_another_tenants_account_only_claims_are_not_counted(world: Any, made: Any) -> None:
    claimed = [receipt(K.BOUNCED, made(), tenant="acme", address="ana@example.org") for _ in range(5)]
    assert hear(world, *claimed, account="other").waiting == 5
    hear(world, receipt(K.BOUNCED, made()))
    assert suppressions(world) == []


@pytest.mark.mission("E-29")
def test_the_fifth_bounce_counts_when_five_come_at_once(world: Any, made: Any) -> None:
    bounces = [receipt(K.BOUNCED, made()) for _ in range(5)]
    with world.begin() as connection:
        batches = [store(connection, "resend", "", [one]) for one in bounces]
    start = Barrier(5)

    def work(ids: list[int]) -> None:
        start.wait(10)
        with world.begin() as connection:
            apply(connection, ids)

    threads = [Thread(target=work, args=(ids,)) for ids in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(suppressions(world)) == 1


def test_a_telephone_that_is_off_for_long_is_not_suppressed(world: Any, made: Any) -> None:
    for _ in range(6):
        hear(world, receipt(K.BOUNCED, made(channel="sms", provider="twilio", address="+4915")), provider="twilio")
    assert suppressions(world) == []


@pytest.mark.mission("E-30")
def test_a_complaint_switches_off_all_email_of_the_person_and_nothing_else(world: Any, made: Any) -> None:
    for tenant in ("acme", "other"):
        world.user("ana", tenant, email="ana@example.org")
    delivery = made(user="ana")
    hear(world, receipt(K.COMPLAINED, delivery), receipt(K.COMPLAINED, delivery))
    users = world.execute("SELECT tenant, disabled_channels FROM users ORDER BY tenant")
    assert [tuple(one) for one in users] == [("acme", ["email"]), ("other", [])]
    switched = [one for one in world.audit() if one.action == "user.email_off"]
    assert [(one.tenant, one.actor, one.subject) for one in switched] == [("acme", "receipt:resend", "ana")]
    assert (switched[0].before, switched[0].after["disabled_channels"]) == ({"disabled_channels": []}, ["email"])


def test_a_bounce_leaves_the_persons_channels_alone(world: Any, made: Any) -> None:
    world.user("ana", email="ana@example.org")
    hear(world, receipt(K.BOUNCED, made(user="ana"), permanent=True), receipt(K.UNSUBSCRIBED, made(user="ana")))
    assert world.execute("SELECT disabled_channels FROM users")[0][0] == []


@pytest.mark.parametrize(
    ("account", "tenants"), [("", ["acme", "third"]), ("other", ["other"])], ids=["shared-number", "own-number"]
)
def test_a_wish_to_hear_no_more_counts_for_those_who_know_the_number(
    world: Any, account: str, tenants: list[str]
) -> None:
    with world.begin() as connection:
        ensure_tenant(connection, "third")
    for tenant in ("acme", "third"):
        world.user("ana", tenant, phone="+4930901820")
    world.user("bo", "other", phone="+4930901821")
    stop = receipt(K.UNSUBSCRIBED, address="+4930901820")
    assert hear(world, stop, provider="twilio", account=account) == Applied(applied=1)
    assert suppressions(world) == [(one, "sms", "+4930901820", "unsubscribed", "webhook") for one in tenants]


@pytest.mark.parametrize("kind", [K.BOUNCED, K.COMPLAINED])
def test_nobody_is_suppressed_for_an_address_that_only_a_receipt_names(world: Any, kind: ReceiptKind) -> None:
    world.user("ana", email="ana@example.org")
    hear(world, receipt(kind, permanent=True, address="ana@example.org"))
    assert suppressions(world) == []


def test_an_address_is_kept_only_while_temporary_bounces_are_counted_by_it(world: Any, made: Any) -> None:
    kinds = [(K.BOUNCED, False), (K.BOUNCED, True), (K.DELIVERED, False), (K.COMPLAINED, False)]
    hear(world, *[receipt(kind, made(), permanent=permanent, address="x@y.org") for kind, permanent in kinds])
    kept = world.execute("SELECT kind, permanent FROM receipts WHERE address IS NOT NULL")
    assert [tuple(one) for one in kept] == [("bounced", False)]


def test_who_is_erased_leaves_no_address_among_receipts(world: Any, made: Any) -> None:
    world.user("ana", email="ana@example.org")
    hear(world, receipt(K.BOUNCED, made(user="ana")))
    with world.begin() as connection:
        assert delete_user(connection, tenant="acme", user_id="ana", actor="cli")
    assert world.execute("SELECT address FROM receipts")[0][0] is None


# Counted, shown, quick


@pytest.mark.mission("E-20")
def test_what_providers_say_is_counted_by_tenant_channel_and_provider(world: Any, made: Any) -> None:
    hear(world, *[receipt(kind, made()) for kind in (*K, K.BOUNCED)])
    counts = world.execute("SELECT tenant, channel, provider, kind, count FROM deliverability ORDER BY kind")
    expected = {"bounced": 2, "clicked": 1, "complained": 1, "delivered": 1, "opened": 1}
    assert [tuple(one) for one in counts] == [
        ("acme", "email", "resend", kind, count) for kind, count in expected.items()
    ]


def test_the_moves_are_counted_as_those_of_workers_are(world: Any, made: Any) -> None:
    hear(world, receipt(K.BOUNCED, made()), receipt(K.DELIVERED, made()), receipt(K.OPENED, made("delivered")))
    counts = world.execute("SELECT status, reason, count FROM statistics ORDER BY status")
    assert [tuple(one) for one in counts] == [("dead_letter", "bounced", 1), ("delivered", "", 1)]


@pytest.mark.mission("E-26")
def test_a_delivery_shows_what_was_said_of_it_and_nothing_that_was_only_claimed(world: Any, made: Any) -> None:
    delivery = made()
    hear(world, receipt(K.OPENED, delivery, ago=5), receipt(K.DELIVERED, delivery, ago=9, detail="250 ok"))
    hear(world, receipt(K.CLICKED, delivery, tenant="other"))
    with world.begin() as connection:
        found = read_delivery(connection, tenant="acme", delivery_id=delivery)
    assert found is not None
    assert [(one["kind"], one["detail"]) for one in found["receipts"]] == [("delivered", "250 ok"), ("opened", "")]
    assert found["receipts"][0]["at"].endswith("Z")


def test_who_wrote_to_us_last_is_noted_and_never_backwards(world: Any) -> None:
    def heard(*ages: int, account: str = "") -> None:
        with world.begin() as connection:
            open_sessions(connection, account, [Inbound("+4930901820", NOW - timedelta(hours=age)) for age in ages])

    heard(3, 1, 2)
    heard(4)
    heard(5, account="acme")
    rows = world.execute("SELECT account, at FROM whatsapp_sessions ORDER BY account")
    assert [tuple(one) for one in rows] == [("", NOW - timedelta(hours=1)), ("acme", NOW - timedelta(hours=5))]


@pytest.mark.mission("D-31")
def test_a_call_costs_the_same_number_of_statements_at_every_size(world: Any, made: Any) -> None:
    for number in range(100):
        world.user(f"u{number}", email=f"u{number}@example.org")
    deliveries = [made(user=f"u{number % 100}", address=f"u{number}@example.org") for number in range(200)]

    def count(size: int) -> int:
        said: list[str] = []
        receipts = [
            receipt(kind, deliveries[number % 200], permanent=number % 2 == 0 and kind is K.BOUNCED)
            for number in range(size)
            for kind in (K.BOUNCED, K.COMPLAINED, K.UNSUBSCRIBED, K.OPENED, K.BOUNCED)
        ]
        receipts.append(receipt(K.UNSUBSCRIBED, address="u1@example.org"))
        with world.begin() as connection:
            listening.listen(connection, "before_cursor_execute", lambda *about: said.append(about[2]))
            assert apply(connection, store(connection, "resend", "", receipts)).applied == len(receipts)
        return len(said)

    # stored; taken, locked, moved, marked; bounces counted alone, known to, suppressed, switched off
    assert [count(2), count(200)] == [10, 10]
