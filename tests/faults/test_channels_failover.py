"""First providers that are slow, broken or know us no more: who takes over, when, and what becomes of every message."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from channels.breaker import FAIL_MAX
from tests.support.accounts import ROUTES, Event, accounts, mails, texts
from tests.support.installation import Installation, Row
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.desks.postmark import PostmarkDesk
from workers.receivers.desks.sns import SnsDesk
from workers.receivers.lab import Lab, json_reply
from workers.receivers.script import Fault, Received, Reply
from workers.receivers.together import Receivers, Running

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

FIRST, SECOND = {"email": "resend", "sms": "twilio"}, {"email": "postmark", "sms": "sns"}
RETRY = 1.0  # seconds, at least, between two attempts of which the first may have arrived
REJECTED = json_reply(401, {"statusCode": 401, "name": "invalid_api_key", "message": "API key is invalid"})
MANY = 300
MOST_ASKED = 150  # of the 600 times that two desks would be asked: a batch of 25 is on its way in either process
OPERATIONS = "ops@example.org"
TRIES = """
SELECT delivery_id::text AS id, provider, extract(epoch FROM started_at)::float AS began,
       (duration_ms / 1000.0)::float AS took
FROM attempts ORDER BY delivery_id, number
"""


@dataclass(frozen=True)
class Broken:
    """How the first provider answers, and whether it is certain then that nothing was sent; how many of each channel.

    Few mails hang: five at a time are all that there may be.
    """

    replies: tuple[Reply, ...]
    certain: bool
    mails: int
    texts: int = 12


CASES = {
    "hangs": Broken((Reply(fault=Fault.HANG), Reply()), False, 1),
    "one-byte-a-second": Broken((Reply(fault=Fault.TRICKLE), Reply()), False, 1),
    "reset": Broken((Reply(fault=Fault.RESET), Reply()), False, 5),  # and its breaker opens
    "reset-early": Broken((Reply(fault=Fault.RESET_EARLY), Reply()), False, 5),
    "502": Broken((Reply(502), Reply()), False, 5),
    "500": Broken((Reply(500),), True, 30, 40),
    "503": Broken((Reply(503),), True, 10),
}


@dataclass
class Told:
    """What came of all cases: deliveries with their `tries`, by the name of the case; what the first ones heard."""

    by_case: dict[str, list[Row]]
    first: list[Received]


@pytest.fixture(scope="module")
def told(servers: Servers) -> Told:
    """A tenant for every case, all at once, until nothing is left to do."""
    published: list[Event] = []
    with providers() as (receivers, second), installed(servers, receivers, second) as site:
        for place, (name, case) in enumerate(CASES.items()):
            site.set_up(name, routes=ROUTES)
            published += mails(case.mails, name, f"{name}.example.org")
            published += texts(case.texts, name, 100 * place)
            for recipient in recipients(published, name):
                receivers.lab.script(recipient, *case.replies, each=True)
        site.start_worker()
        site.publish(published)
        for name, case in CASES.items():
            site.wait_until_settled(case.mails + case.texts, 60, tenant=name)
        deliveries = check_invariants(site, receivers.webhook, published, carried=(receivers.lab, second))
        tries = site.rows(TRIES)
    for one in deliveries:
        one["tries"] = [row for row in tries if row["id"] == one["id"]]
    by_case = {name: [one for one in deliveries if one["tenant"] == name] for name in CASES}
    return Told(by_case, receivers.lab.received)


@pytest.mark.mission("E-23", "E-24")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.certain])
def test_another_provider_takes_over_at_once_what_was_certainly_not_sent(told: Told, name: str) -> None:
    for one in told.by_case[name]:
        ways = [(tried["provider"], outcome) for tried, outcome in zip(one["tries"], one["outcomes"], strict=True)]
        before = [(FIRST[one["channel"]], "failed")] * (len(ways) - 1)  # none while its breaker was open
        assert ways == [*before, (SECOND[one["channel"]], "sent")]
        assert len(ways) <= 2
        assert one["failures"] == 0
        assert pause(one) < RETRY


@pytest.mark.mission("A-23")
def test_a_provider_that_fails_again_and_again_is_left_alone(told: Told) -> None:
    tried = [one for one in told.by_case["500"] if one["channel"] == "email" and len(one["tries"]) == 2]
    assert 5 <= len(tried) <= CASES["500"].mails // 2


@pytest.mark.mission("A-3", "E-23")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.certain])
def test_nobody_takes_over_what_may_have_been_sent_until_its_retry_is_due(told: Told, name: str) -> None:
    tried = [one for one in told.by_case[name] if one["outcomes"] != ["sent"]]
    for one in tried:
        assert (one["status"], one["outcomes"], one["failures"]) == ("sent", ["unknown", "sent"], 1)
        assert one["tries"][0]["provider"] == FIRST[one["channel"]]
        assert pause(one) >= RETRY
    by_email = {one["id"]: one["provider"] for one in tried if one["channel"] == "email"}
    assert set(by_email.values()) == {"resend"}, "only it knows its keys again"
    asked = [one for one in told.first if one.key in by_email]
    assert len({(one.key, one.body) for one in asked}) == len(by_email)
    for channel in FIRST:
        was_open([one for one in told.by_case[name] if one["channel"] == channel])


def was_open(deliveries: list[Row]) -> None:
    """Those that the first provider never saw went by the second, after its breaker had opened."""
    never = [one for one in deliveries if one["outcomes"] == ["sent"]]
    assert {one["provider"] for one in never} <= {SECOND[one["channel"]] for one in never}
    assert not never or len(deliveries) - len(never) >= FAIL_MAX


def pause(delivery: Row) -> float:
    """Seconds between the first attempt's end and the next one; none where there was no other."""
    first, *rest = delivery["tries"]
    return float(rest[0]["began"] - first["began"] - first["took"]) if rest else 0.0


def recipients(published: list[Event], tenant: str) -> list[str]:
    """Whom a tenant's events name."""
    return [next(iter(one["recipients"][0].values())) for one in published if one["tenant"] == tenant]


@pytest.mark.mission("E-44")
def test_accounts_that_nobody_accepts_wait_for_a_person_and_then_everything_is_sent(servers: Servers) -> None:
    published = mails(MANY)
    with providers() as (receivers, second), installed(servers, receivers, second) as site:
        site.set_up(users={"ops": {"email": OPERATIONS, "roles": ["operations"]}})
        worker = site.start_worker()
        receivers.lab.script("resend", REJECTED)
        second.script("postmark", REJECTED)
        site.publish(published)
        wait_until(lambda: waiting(site) >= MANY, lambda: f"all to wait: {site.standing()}", 40)
        opened = asked(receivers, second)
        time.sleep(5.0)  # the breakers let a probe through now and then, and nothing else
        assert opened < asked(receivers, second) <= MOST_ASKED
        assert not site.rows("SELECT FROM dead_letters")
        assert alarmed(site) == {("resend", "firing"): 1, ("postmark", "firing"): 1}
        receivers.lab.script("resend", Reply())
        second.script("postmark", Reply())
        site.wait_until_settled(MANY, 60)
        wait_until(lambda: alarmed(site)["resend", "resolved"] == 1, "somebody to say that it is over")
        site.wait_until_settled(MANY)
        worker.end()
        assert alarmed(site)["resend", "firing"] == alarmed(site)["postmark", "firing"] == 1
        published += alarms(site)
        deliveries = check_invariants(site, receivers.webhook, published, carried=(receivers.lab, second))
        # The alarms may be over before they are sent.
        told = [one for one in deliveries if one["channel"] == "email" and one["address"] != OPERATIONS]
        assert Counter((one["status"], one["failures"]) for one in told) == {("sent", 0): MANY}


@pytest.mark.mission("D-42", "E-23")
def test_a_database_that_restarts_between_the_first_provider_and_the_second_costs_nothing_but_time(
    servers: Servers,
) -> None:
    published = mails(20) + texts(40)
    with providers() as (receivers, second):
        receivers.lab.script("*", Reply(500, wait=0.5))
        second.script("*", Reply(wait=1.5))
        # Leases longer than the recovery: what was sent meanwhile is settled and not sent again.
        with servers.install(**accounts(receivers, second, LEASE_SECONDS="50", BREAKER_SECONDS="2")) as site:
            site.set_up(routes=ROUTES)
            site.start_worker()
            site.publish(published)
            wait_until(lambda: len(second.received) >= 5, lambda: f"the second to be asked: {site.standing()}")
            servers.stop_postgres()
            away = len(second.received)
            time.sleep(2.0)
            servers.start_postgres()
            site.wait_until_settled(len(published), 60)
            carried = (receivers.lab, second)
            deliveries = check_invariants(site, receivers.webhook, published, carried=carried, duplicates=False)
    assert away < len(published)
    for one in deliveries:
        assert (one["status"], one["provider"]) == ("sent", SECOND[one["channel"]])
        assert one["outcomes"] in (["failed", "sent"], ["sent"])


@contextmanager
def providers() -> Iterator[tuple[Receivers, Lab]]:
    """The first and the second ones, of a test's own."""
    with Receivers() as receivers, Running(lab := Lab(PostmarkDesk(), SnsDesk())):
        yield receivers, lab


@contextmanager
def installed(servers: Servers, receivers: Receivers, second: Lab) -> Iterator[Installation]:
    """An installation with accounts at both, whose breakers are open for two seconds."""
    with servers.install(**accounts(receivers, second, LEASE_SECONDS="14", BREAKER_SECONDS="2")) as site:
        yield site


def asked(receivers: Receivers, second: Lab) -> int:
    """How many mails the providers were asked to send."""
    return len(receivers.lab.received) + len(second.received)


def waiting(site: Installation) -> int:
    """How many mails wait for an account."""
    return int(
        site.value(
            "SELECT count(*) FROM deliveries d JOIN events e ON e.id = d.event_id WHERE e.type = 'by.email' "
            "AND d.status = 'queued' AND d.reason IN ('account_rejected', 'breaker_open')"
        )
    )


def alarms(site: Installation) -> list[Event]:
    """Those that were told, and that they are over, as if somebody had published them."""
    return site.rows(
        "SELECT tenant, type, data, condition FROM events "
        "WHERE type = 'bellwire.account-rejected' AND status <> 'duplicate'"
    )


def alarmed(site: Installation) -> Counter[tuple[str, str]]:
    """How often each provider's account was said to be rejected, and to be accepted again."""
    return Counter((one["data"]["provider"], one["condition"]) for one in alarms(site))
