"""Figures by provider, and who is tried last for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.deliverability import Sums, Totals, demoted, demoted_of, figures


def note(world: Any, kind: str, count: int, **more: Any) -> None:
    """Count something as settling and receipts do."""
    values = {"tenant": "acme", "channel": "email", "provider": "resend", "shard": 0, "hours": 0, "cost": 0, **more}
    world.execute(
        "INSERT INTO deliverability (hour, tenant, channel, provider, kind, shard, count, cost) VALUES"
        " (date_trunc('hour', now(), 'UTC') - :hours * interval '1 hour', :tenant, :channel, :provider, :kind, :shard,"
        " :count, :cost)",
        kind=kind,
        count=count,
        **values,
    )


def ago(**time: float) -> datetime:
    return datetime.now(UTC) - timedelta(**time)


def seen(world: Any, tenant: str | None = "acme", since: datetime | None = None) -> list[dict[str, Any]]:
    with world.begin() as connection:
        return figures(connection, tenant=tenant, since=since or ago(days=1))


def last(world: Any, channel: str = "email", tenants: tuple[str, ...] = ("acme", "other")) -> dict[str, frozenset[str]]:
    with world.begin() as connection:
        return demoted(connection, channel, tenants)


@pytest.mark.mission("E-20", "E-47")
def test_what_became_of_what_a_provider_accepted_is_summed_over_hours_and_processes(world: Any) -> None:
    for shard in (0, 7):
        for hours in (0, 3):
            note(world, "accepted", 100, shard=shard, hours=hours)
    note(world, "delivered", 300)
    note(world, "bounced", 8)
    note(world, "complained", 2)
    (row,) = seen(world)
    assert (row["accepted"], row["delivered"], row["bounced"], row["complained"]) == (400, 300, 8, 2)
    assert (row["delivery_rate"], row["bounce_rate"], row["complaint_rate"]) == (0.75, 0.02, 0.005)


@pytest.mark.mission("E-47")
def test_text_messages_are_counted_by_their_parts_and_their_cost(world: Any) -> None:
    note(world, "accepted", 3, channel="sms", provider="twilio", cost="0.0415")
    note(world, "segments", 5, channel="sms", provider="twilio")
    (row,) = seen(world)
    assert (row["accepted"], row["segments"], row["cost"]) == (3, 5, 0.0415)


def test_nothing_accepted_has_no_rates(world: Any) -> None:
    note(world, "deactivated", 4, channel="push", provider="fcm")
    (row,) = seen(world)
    assert (row["deactivated"], row["bounce_rate"], row["complaint_rate"], row["delivery_rate"]) == (
        4,
        None,
        None,
        None,
    )


def test_figures_are_of_one_tenant_or_of_all_and_begin_when_they_are_asked_to(world: Any) -> None:
    note(world, "accepted", 1)
    note(world, "accepted", 10, tenant="other")
    note(world, "accepted", 100, hours=30)
    assert [row["accepted"] for row in seen(world)] == [1]
    assert [row["accepted"] for row in seen(world, tenant=None)] == [11]
    assert [row["accepted"] for row in seen(world, since=ago(days=2))] == [101]
    assert seen(world, tenant="nobody") == []


@pytest.mark.mission("E-20")
def test_a_provider_with_bad_rates_is_named_for_the_tenant_who_has_them(world: Any) -> None:
    note(world, "accepted", 1000)
    note(world, "bounced", 80)
    note(world, "accepted", 1000, tenant="other")
    assert last(world) == {"acme": frozenset({"resend"})}
    assert last(world, tenants=("other",)) == {}
    assert last(world, channel="sms") == {}
    assert last(world, tenants=()) == {}


@pytest.mark.mission("E-20")
def test_bad_rates_are_forgiven_after_a_day(world: Any) -> None:
    note(world, "accepted", 1000, hours=26)
    note(world, "bounced", 900, hours=26)
    assert last(world) == {}


def test_people_see_what_is_demoted_on_every_channel(world: Any) -> None:
    note(world, "accepted", 1000)
    note(world, "complained", 20)
    note(world, "accepted", 1000, channel="sms", provider="twilio")
    note(world, "bounced", 500, channel="sms", provider="twilio")
    with world.begin() as connection:
        assert demoted_of(connection, "acme") == [
            {"channel": "email", "provider": "resend"},
            {"channel": "sms", "provider": "twilio"},
        ]
        assert demoted_of(connection, "other") == []


def read(world: Any, totals: Totals, hours: float = 0) -> Sums:
    with world.begin() as connection:
        return totals.read(connection, datetime.now(UTC) + timedelta(hours=hours))


RESEND = ("email", "resend", "accepted")


@pytest.mark.mission("E-47")
def test_counters_sum_everything_whenever_it_was_counted(world: Any) -> None:
    note(world, "accepted", 100, hours=2000, cost=1)
    note(world, "accepted", 20, hours=1, tenant="other", cost=2)
    totals = Totals()
    for _ in range(2):
        assert read(world, totals) == {RESEND: (120, 3)}
    note(world, "accepted", 3)
    note(world, "accepted", 4, hours=1, shard=5)
    assert read(world, totals) == {RESEND: (127, 3)}


def test_counters_read_an_hour_that_is_over_once_and_never_fall(world: Any) -> None:
    note(world, "accepted", 100, hours=200)
    note(world, "accepted", 10)
    totals = Totals()
    assert read(world, totals) == {RESEND: (110, 0)}
    world.execute("DELETE FROM deliverability WHERE count = 100")
    assert read(world, totals) == {RESEND: (110, 0)}
    assert read(world, totals, hours=3) == {RESEND: (110, 0)}
    world.execute("DELETE FROM deliverability")
    assert read(world, totals, hours=3) == {RESEND: (110, 0)}
    assert read(world, Totals()) == {}
