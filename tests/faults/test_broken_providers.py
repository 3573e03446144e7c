"""Providers that answer wrongly, slowly, endlessly or not at all, each beside all the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from channels.webhook import DEADLINE
from tests.support.installation import TENANT, Installation, Row
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.http import HttpReceiver
from workers.receivers.script import Fault, Reply
from workers.receivers.telegram import problem
from workers.receivers.together import Receivers

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

ADDRESS, CHAT = "ops@example.org", "4711"


@dataclass(frozen=True)
class Broken:
    """How an endpoint misbehaves, answer by answer, and what its delivery comes to."""

    replies: tuple[Reply, ...]
    outcomes: str
    status: str = "sent"
    seconds: float = DEADLINE + 1.0  # that no attempt may take


def not_now(value: str) -> Broken:
    """It wants to be left alone for some time, in words that may make no sense."""
    return Broken((Reply(429, headers={"Retry-After": value}), Reply()), "failed sent")


CASES = {
    "500": Broken((Reply(500), Reply()), "failed sent"),
    "503-then-502": Broken((Reply(503), Reply(502), Reply()), "failed failed sent"),
    "429-for-ever": Broken(
        (Reply(429, headers={"Retry-After": "1"}),), "failed failed failed failed failed failed", "dead_letter"
    ),
    "retry-after-negative": not_now("-5"),
    "retry-after-fraction": not_now("1.5"),
    "retry-after-words": not_now("soon"),
    "retry-after-nothing": not_now(""),
    "retry-after-beyond-counting": not_now("9" * 40),
    "retry-after-infinite": not_now("inf"),
    "retry-after-1970": not_now("Thu, 01 Jan 1970 00:00:00 GMT"),
    "retry-after-no-date": not_now("Thu, 99 Foo 99999 99:99:99 GMT"),
    "hangs": Broken((Reply(fault=Fault.HANG), Reply()), "unknown sent"),
    "one-byte-a-second": Broken((Reply(fault=Fault.TRICKLE), Reply()), "unknown sent"),
    "body-one-byte-a-second": Broken((Reply(fault=Fault.TRICKLE_BODY),), "sent"),
    "endless-body": Broken((Reply(fault=Fault.ENDLESS_BODY),), "sent", seconds=5.0),
    "reset": Broken((Reply(fault=Fault.RESET), Reply()), "unknown sent"),
    "reset-early": Broken((Reply(fault=Fault.RESET_EARLY), Reply()), "unknown sent"),
    "hangs-up": Broken((Reply(fault=Fault.HANG_UP), Reply()), "unknown sent"),
    "nonsense": Broken((Reply(fault=Fault.NONSENSE), Reply()), "unknown sent"),
    "redirect": Broken((Reply(302, headers={"Location": "http://127.0.0.1:1/"}),), "refused", "dead_letter"),
    "gone": Broken((Reply(410),), "refused", "dead_letter"),
}

# Fields that only the tenant's own setting up can give: a route for Telegram beside the shipped one for email.
TO_TELEGRAM = {"match": {"event": "telegram"}, "recipients": {"resolver": "explicit"}, "channels": ["telegram"]}


@pytest.fixture(scope="module")
def told(servers: Servers) -> Iterator[dict[str, Row]]:
    """One event for every case, all at once, until nothing is left to do; deliveries by the name of the case."""
    with (
        Receivers() as receivers,
        servers.install(
            LEASE_SECONDS="25",
            **{name.removeprefix("BELLWIRE_"): value for name, value in receivers.environment().items()},
        ) as site,
    ):
        hooks = {name: {"url": f"{receivers.webhook.url}/{name}", "events": [name]} for name in CASES}
        site.set_up(webhooks=hooks, routes={"to-telegram": TO_TELEGRAM})
        for name, case in CASES.items():
            receivers.webhook.script(f"/{name}", *case.replies)
        receivers.mail.script("end", Reply(fault=Fault.HANG), Reply(fault=Fault.RESET), Reply(451), Reply())
        slow_down = problem(429, "Too Many Requests: retry after 1", retry_after=1)
        receivers.telegram.script(CHAT, slow_down, Reply(fault=Fault.HANG), Reply(fault=Fault.RESET), Reply())
        site.start_worker()
        published = [{"tenant": TENANT, "type": name, "data": {}} for name in CASES]
        published.append({"tenant": TENANT, "type": "email", "data": {}, "recipients": [{"email": ADDRESS}]})
        published.append({"tenant": TENANT, "type": "telegram", "data": {}, "recipients": [{"telegram_chat_id": CHAT}]})
        site.publish(published)
        site.wait_until_settled(len(published), 90)
        deliveries = check_invariants(site, receivers.webhook, published, mail=receivers.mail)
        arrived = [received for received in receivers.telegram.received if received.target == CHAT]
        assert 2 <= len(arrived) <= 4
        yield {row["name"] or row["channel"]: row for row in deliveries}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_endpoint_is_told_apart_and_its_delivery_ends(told: dict[str, Row], name: str) -> None:
    case = CASES[name]
    assert " ".join(told[name]["outcomes"]) == case.outcomes
    assert told[name]["status"] == case.status
    assert told[name]["slowest_ms"] < case.seconds * 1000


def test_a_mail_server_that_hangs_resets_and_defers_gets_the_mail_in_the_end(told: dict[str, Row]) -> None:
    assert told["email"]["outcomes"] == ["unknown", "unknown", "failed", "sent"]


def test_a_bot_api_that_defers_hangs_and_resets_gets_the_message_in_the_end(told: dict[str, Row]) -> None:
    assert told["telegram"]["outcomes"] == ["failed", "unknown", "unknown", "sent"]


@pytest.mark.mission("E-45")
def test_a_provider_that_asks_for_years_gets_an_hour(site: Installation, receiver: HttpReceiver) -> None:
    receiver.script("/years", Reply(429, headers={"Retry-After": "315360000"}), Reply())
    site.set_up(webhooks={"years": {"url": f"{receiver.url}/years"}})
    site.start_worker()
    event = {"tenant": TENANT, "type": "years", "data": {}}
    site.publish(event)
    wait_until(lambda: site.deliveries(status="failed"), "the first attempt")
    (wait,) = site.rows("SELECT extract(epoch FROM due_at - failed_at)::float AS seconds, reason FROM deliveries")
    assert wait["seconds"] == pytest.approx(3600, abs=1)
    assert wait["reason"] == "retry"
    site.rows("UPDATE deliveries SET due_at = now() RETURNING id")
    site.wait_until_settled(1)
    check_invariants(site, receiver, [event], duplicates=False)
