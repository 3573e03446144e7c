"""`kill -9` while providers think and while a storm is folded: nothing is lost, nothing is sent twice unrecorded."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.support.accounts import ROUTES, accounts, mails, phone, texts, whatsapps
from tests.support.installation import TENANT, Installation, Row
from tests.support.invariants import check_invariants
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.desks import fcm
from workers.receivers.desks.resend import ResendDesk
from workers.receivers.script import Ledger, Reply
from workers.receivers.together import Receivers

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240), pytest.mark.mission("A-26")]

SLOW = Reply(wait=8.0)  # seconds: longer than it takes to kill somebody, shorter than every deadline
OWN = "owner"  # a tenant whose mails go by SMTP
DEVICE = "a1" * 32
FOLDING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%AS f(id uuid, carrier%%'"
)
CAP, WINDOW, STORM = 3, 3, 60


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Where everything arrives."""
    with Receivers() as running:
        yield running


def carried(receivers: Receivers) -> tuple[Ledger, ...]:
    """Where everything that carries our ids arrives."""
    return receivers.lab, receivers.mail, receivers.apns


@pytest.mark.mission("A-3", "E-23")
def test_a_worker_that_dies_while_providers_think_leaves_every_channel_to_another_which_sends_again(
    servers: Servers, receivers: Receivers
) -> None:
    by_resend, by_smtp = mails(2), mails(3, OWN)
    published = by_resend + by_smtp + texts(6) + whatsapps(4) + [push()]
    for receiver in (receivers.lab, receivers.apns):
        receiver.script("*", SLOW, Reply(), each=True)
    receivers.mail.script("end", SLOW, Reply(), each=True)
    with servers.install(
        **accounts(receivers, LEASE_SECONDS="25", EMAIL_PROVIDERS="resend,smtp")
    ) as site:  # as long as SMTP's deadline asks for
        set_up(site, receivers)
        first = site.start_worker("first")
        site.publish(published)
        wait_until(lambda: arrived(receivers) == 5 + 6 + 4 + 3, lambda: f"all to arrive: {site.standing()}")
        first.kill_all()
        site.start_worker("second")
        site.wait_until_settled(len(published) - len(by_smtp), 40)
        site.wait_until_settled(len(by_smtp), tenant=OWN)
        deliveries = check_invariants(site, receivers.webhook, published, carried=carried(receivers))
    told = [one for one in deliveries if one["channel"] != "in_app"]
    assert {(one["status"], *one["outcomes"]) for one in told} == {("sent", "lost", "sent")}
    assert twice(receivers.mail) == ids(told, "smtp")
    same_thing_twice_is_one_mail(receivers, ids(told, "resend"))


def same_thing_twice_is_one_mail(receivers: Receivers, sent: set[str]) -> None:
    """Resend got each mail twice, by one key and with one content, and sent it once."""
    desk = receivers.lab.desks["resend"]
    assert isinstance(desk, ResendDesk)
    said = defaultdict(list)
    for one in receivers.lab.received:
        if one.key in sent:
            said[one.key].append(one.body)
    assert {key: (len(bodies), len(set(bodies))) for key, bodies in said.items()} == dict.fromkeys(sent, (2, 1))
    assert desk.sent.keys() == sent


@pytest.mark.mission("E-45")
def test_a_storm_that_everything_dies_in_is_told_whole_in_the_end(servers: Servers, receivers: Receivers) -> None:
    people = [{"email": f"user{number}@example.org"} for number in range(3)]
    published = [
        {"type": "by.email", "tenant": TENANT, "recipients": people, "data": {"n": number}} for number in range(STORM)
    ]
    too_many = len(people) * (STORM - CAP)
    capped = accounts(receivers, RECIPIENT_CAPS=f"email={CAP}/{WINDOW}", LEASE_SECONDS="14")
    with servers.install(**capped) as site:
        site.set_up()
        site.start_worker()
        site.publish(published)
        wait_until(lambda: held(site) == too_many, lambda: f"the rest to wait: {site.standing()}")
        with closing(psycopg.connect(site.database_url)) as blocking:
            blocking.execute("LOCK TABLE statistics IN EXCLUSIVE MODE")
            wait_until(lambda: site.value(FOLDING), "a worker to fold")
            kill_everything(site, servers)
        assert held(site) == too_many, "it was folded without a commit"
        receivers.lab.script("resend", SLOW)
        before = len(receivers.lab.received)
        site.start_worker("second")
        wait_until(lambda: len(receivers.lab.received) > before, lambda: f"what is folded: {site.standing()}")
        kill_everything(site, servers)
        receivers.lab.script("resend", Reply())
        site.start_worker("third")
        site.wait_until_settled(len(published), 40)
        deliveries = check_invariants(site, receivers.webhook, published, carried=carried(receivers))
    assert {one["status"] for one in deliveries} == {"sent", "cancelled"}
    assert any("lost" in one["outcomes"] for one in deliveries)
    everybody_was_told_of_everything(receivers, deliveries)


def everybody_was_told_of_everything(receivers: Receivers, deliveries: list[Row]) -> None:
    """Each delivery was sent or folded into one that was, and the mails say so in numbers."""
    sent = {one["id"]: one for one in deliveries if one["status"] == "sent"}
    folded = Counter(str(one["folded_into"]) for one in deliveries if one["status"] == "cancelled")
    assert folded.keys() <= sent.keys(), "something was folded into what was never sent"
    desk = receivers.lab.desks["resend"]
    assert isinstance(desk, ResendDesk)
    assert desk.sent.keys() == sent.keys()
    said = {one.key: more(json.loads(one.body)["text"]) for one in receivers.lab.received}
    assert {key: count for key, count in said.items() if count} == folded
    told = Counter[str]()
    for id_, one in sent.items():
        told[one["address"]] += 1 + said[id_]
    assert set(told.values()) == {STORM}


def more(text: str) -> int:
    """How many others a mail tells of."""
    found = re.search(r"^And (\d+) more", text, re.MULTILINE)
    return int(found[1]) if found else 0


def held(site: Installation) -> int:
    """How many deliveries wait for the end of a window."""
    return int(site.value("SELECT count(*) FROM deliveries WHERE status = 'held' AND reason = 'too_many'"))


def kill_everything(site: Installation, servers: Servers) -> None:
    """Worker, broker and database at once; the last two come back."""
    for process in (*site.processes, servers.valkey, servers.postgres):
        process.kill_all()
    servers.start_valkey()
    servers.start_postgres()


def set_up(site: Installation, receivers: Receivers) -> None:
    """One tenant with ann's three devices, and one whose mails go by SMTP."""
    devices = [
        {"platform": "ios", "token": DEVICE},
        {"platform": "android", "token": fcm.TOKEN},
        {"platform": "web", "token": receivers.subscribe("ann")},
    ]
    site.set_up(users={"ann": {"phone": phone(9999)}}, devices={"ann": devices}, routes=ROUTES)
    site.set_up(OWN, accounts={"smtp": {"position": 0}})


def push() -> dict[str, Any]:
    """An event that is told on ann's devices."""
    return {"type": "by.push", "tenant": TENANT, "recipients": ["ann"], "data": {"n": 0}}


def arrived(receivers: Receivers) -> int:
    """How much arrived, on all channels that carry our ids."""
    return sum(len(receiver.received) for receiver in carried(receivers))


def ids(deliveries: list[Row], provider: str) -> set[str]:
    """What a provider carried."""
    return {one["id"] for one in deliveries if one["provider"] == provider}


def twice(receiver: Ledger) -> set[str]:
    """What was accepted twice."""
    return {key for key, times in receiver.times_accepted().items() if times == 2}
