"""What deliveries came to and how much of it arrived: for operators, and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import Api


@pytest.fixture
def tenant(api: Api) -> Iterator[str]:
    """A tenant with mail that bounces, and one beside it."""
    for name in ("acme", "other"):
        api.key("operator", name)
    note(api, "accepted", 1000)
    note(api, "delivered", 900)
    note(api, "bounced", 80)
    note(api, "complained", 1)
    note(api, "accepted", 400, channel="sms", provider="twilio", cost=4.98)
    note(api, "segments", 600, channel="sms", provider="twilio")
    note(api, "deactivated", 7, channel="push", provider="fcm")
    note(api, "accepted", 5, tenant="other")
    count(api, "email", "sent", "", 1000)
    count(api, "email", "dead_letter", "bounced", 80)
    count(api, "email", "sent", "", 50, hours=48)
    count(api, "", "skipped", "no_recipients", 3)
    count(api, "email", "sent", "", 9, tenant="other")
    yield "acme"
    api.rows("DELETE FROM deliverability")
    api.rows("DELETE FROM statistics")


HOUR = "date_trunc('hour', now(), 'UTC') - %s * interval '1 hour'"


def note(api: Api, kind: str, number: int, **more: Any) -> None:
    values = {"hours": 0, "tenant": "acme", "channel": "email", "provider": "resend", "cost": 0, **more}
    api.rows(
        f"INSERT INTO deliverability VALUES ({HOUR}, %s, %s, %s, %s, 0, %s, %s)",
        *(values[name] for name in ("hours", "tenant", "channel", "provider")),
        kind,
        number,
        values["cost"],
    )


def count(
    api: Api, channel: str, status: str, reason: str, number: int, *, hours: int = 0, tenant: str = "acme"
) -> None:
    api.rows(
        f"INSERT INTO statistics (hour, tenant, channel, status, reason, shard, count) VALUES ({HOUR}, %s, %s, %s, %s,"
        " 0, %s)",
        hours,
        tenant,
        channel,
        status,
        reason,
        number,
    )


def ask(api: Api, tenant: str = "acme", **query: str) -> Any:
    with api.client("operator", tenant) as client:
        answer = client.get("/v1/statistics", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.mission("D-32", "E-20", "E-47")
def test_operators_see_what_deliveries_came_to_and_how_much_arrived(api: Api, tenant: str) -> None:
    said = ask(api)
    assert said["deliveries"] == [
        {"channel": "email", "status": "dead_letter", "reason": "bounced", "count": 80},
        {"channel": "email", "status": "sent", "reason": "", "count": 1000},
    ]
    email, push, sms = said["deliverability"]
    assert (email["provider"], email["accepted"], email["bounce_rate"]) == ("resend", 1000, 0.08)
    assert (push["provider"], push["deactivated"], push["bounce_rate"]) == ("fcm", 7, None)
    assert (sms["segments"], sms["cost"], said["currency"]) == (600, 4.98, "USD")
    assert said["demoted"] == [{"channel": "email", "provider": "resend"}]


def test_an_hour_is_named_when_it_is_asked_by_the_hour(api: Api, tenant: str) -> None:
    rows = ask(api, since="3d", by="hour")["deliveries"]
    sent = [row for row in rows if row["status"] == "sent"]
    assert [row["count"] for row in sent] == [50, 1000]
    assert sent[0]["hour"] < sent[1]["hour"]
    assert sent[0]["hour"].endswith(":00:00.000Z")


def test_since_says_how_far_it_goes_back(api: Api, tenant: str) -> None:
    (row,) = [row for row in ask(api, since="3d")["deliveries"] if row["status"] == "sent"]
    assert row["count"] == 1050


def test_nobody_sees_another_tenants_figures(api: Api, tenant: str) -> None:
    said = ask(api, "other")
    assert [row["count"] for row in said["deliveries"]] == [9]
    assert [row["accepted"] for row in said["deliverability"]] == [5]
    assert said["demoted"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"since": "90d", "by": "hour"}, "since"),
        ({"since": "9" * 600}, "since"),
        ({"by": "minute"}, "by"),
        ({"tenant": "other"}, "tenant"),
    ],
)
def test_what_cannot_be_asked_is_named(api: Api, tenant: str, query: dict[str, str], field: str) -> None:
    with api.client("operator", tenant) as client:
        answer = client.get("/v1/statistics", params=query)
    assert answer.status_code == 400
    assert answer.json()["field"] == field


@pytest.mark.parametrize(("role", "status"), [("publisher", 403), (None, 401)])
def test_others_than_operators_see_nothing(api: Api, tenant: str, role: str | None, status: int) -> None:
    with api.client(role, tenant) as client:
        assert client.get("/v1/statistics").status_code == status


def test_the_example_has_the_shape_of_an_answer(api: Api, tenant: str) -> None:
    with api.client(None) as client:
        described = client.get("/openapi.json").json()["paths"]["/v1/statistics"]["get"]
    example = described["responses"]["200"]["content"]["application/json"]["example"]
    said = ask(api)
    assert example.keys() == said.keys()
    for name in ("deliveries", "deliverability", "demoted"):
        assert example[name][0].keys() == said[name][0].keys()


@pytest.fixture
def scraped(api: Api, tenant: str) -> dict[tuple[str, ...], float]:
    """What Prometheus reads, by name and the values of the labels, which are in the order of their names."""
    with api.client(None) as client:
        text = client.get("/metrics").text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.mission("E-47")
def test_prometheus_reads_what_became_of_messages_at_each_provider(scraped: dict[tuple[str, ...], float]) -> None:
    assert scraped["bellwire_provider_messages_total", "email", "accepted", "resend"] == 1005
    assert scraped["bellwire_provider_messages_total", "email", "bounced", "resend"] == 80
    assert scraped["bellwire_provider_messages_total", "email", "complained", "resend"] == 1
    assert scraped["bellwire_push_tokens_deactivated_total", "push", "fcm"] == 7
    assert scraped["bellwire_sms_segments_total", "sms", "twilio"] == 600
    assert scraped["bellwire_cost_total", "sms", "USD", "twilio"] == 4.98
    assert scraped["bellwire_bounce_rate", "email", "resend"] == pytest.approx(80 / 1005)
    assert scraped["bellwire_complaint_rate", "email", "resend"] == pytest.approx(1 / 1005)
    assert ("bellwire_bounce_rate", "push", "fcm") not in scraped
