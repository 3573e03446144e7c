"""Four ways in, one path behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import bus
from tests.support.installation import Api, Installation
from workers.receivers.together import Receivers

Event = dict[str, Any]


@pytest.fixture(scope="module")
def api(site: Installation) -> Api:
    """The API beside the worker."""
    return site.start_api()


@pytest.fixture(scope="module")
def listening(site: Installation) -> None:
    """The bus intake beside the worker."""
    bus.listening(site)


@pytest.fixture
def prepared(site: Installation, receivers: Receivers, tenant: str) -> Event:
    """An event of a tenant whose webhook leads to the receiver; `key` opens the API for it."""
    hook = {"url": f"{receivers.webhook.url}/{tenant}"}
    made = site.set_up(tenant, webhooks={"all": hook}, keys=["operator"])
    event = {"type": "task.failed", "tenant": tenant, "severity": "high", "data": {"task": "import", "task_id": tenant}}
    return {"event": event, "key": made["keys"]["operator"]}


def test_an_event_by_celery_arrives(site: Installation, receivers: Receivers, prepared: Event) -> None:
    site.publish(prepared["event"])
    arrives(site, receivers, prepared["event"])


def test_an_event_by_http_arrives_and_its_ledger_can_be_read(
    site: Installation, api: Api, receivers: Receivers, prepared: Event
) -> None:
    event, key = prepared["event"], prepared["key"]
    answer = api.post("/v1/events", key, {name: value for name, value in event.items() if name != "tenant"})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    arrives(site, receivers, event)
    ledger = api.get(f"/v1/events/{answer.json()['id']}", key).json()
    assert ledger["status"] == "routed"
    (delivery,) = ledger["deliveries"]
    assert (delivery["status"], delivery["attempts"][0]["outcome"]) == ("sent", "sent")


@pytest.mark.usefixtures("listening")
def test_an_event_as_plain_json_on_the_bus_arrives(site: Installation, receivers: Receivers, prepared: Event) -> None:
    bus.publish(site, prepared["event"])
    arrives(site, receivers, prepared["event"])


def test_an_event_from_the_command_line_arrives(site: Installation, receivers: Receivers, prepared: Event) -> None:
    event = prepared["event"]
    options = ("--tenant", event["tenant"], "--severity", event["severity"], "--data", json.dumps(event["data"]))
    site.run("workers.cli", "send", event["type"], *options)
    arrives(site, receivers, event)


@pytest.mark.usefixtures("listening")
def test_the_same_event_over_all_ways_is_told_once(
    site: Installation, api: Api, receivers: Receivers, prepared: Event
) -> None:
    event, key = prepared["event"], prepared["key"]
    ways: list[Callable[[], object]] = [
        lambda: site.publish(event),
        lambda: api.post("/v1/events", key, {name: value for name, value in event.items() if name != "tenant"}),
        lambda: bus.publish(site, event),
    ]
    for way in ways:
        way()
    site.wait_until_settled(len(ways), tenant=event["tenant"])
    assert len(at(receivers, event)) == 1


def at(receivers: Receivers, event: Event) -> list[Any]:
    """What arrived at the webhook of an event's tenant."""
    return [received for received in list(receivers.webhook.received) if received.target == f"/{event['tenant']}"]


def arrives(site: Installation, receivers: Receivers, event: Event) -> None:
    """It is delivered once, and says what was published."""
    site.wait_until_settled(1, tenant=event["tenant"])
    (received,) = at(receivers, event)
    said = json.loads(received.body)
    assert (said["type"], said["data"], said["userId"]) == (event["type"], event["data"], None)
    (stored,) = site.rows("SELECT severity, status FROM events WHERE tenant = %(tenant)s", tenant=event["tenant"])
    assert (stored["severity"], stored["status"]) == ("high", "routed")
