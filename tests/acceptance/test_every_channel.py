"""Every channel through real workers and the real API: out to the provider, and back by receipts, links and buttons."""

from __future__ import annotations

import email
import email.policy
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count
from typing import Any

import pytest
import requests

from tests.support.api import token
from tests.support.installation import Api, Installation, Row
from tests.support.receipts import PUBLIC, SECRETS, SETTINGS, credentials, form
from tests.support.servers import Servers
from tests.support.waiting import wait_until
from workers.receivers.desks import fcm, postmark, twilio
from workers.receivers.desks.resend import KEY as RESEND_KEY
from workers.receivers.script import Received, Reply
from workers.receivers.telegram import fields
from workers.receivers.together import Receivers

CAP, WINDOW = 3, 2  # emails to one address in so many seconds
IOS = "1f0c7a3e5b9d2846a1c3e5f7092b4d6e8fa0c2d4e6f8091a2b3c4d5e6f708192"
NOT_NOW = Reply(503, headers={"Retry-After": "600"})
ONE_CLICK = "List-Unsubscribe=One-Click"
OWN_SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVuYW50J3Mgb3duIGhvb2s="
PROVEN = {**SECRETS, "twilio": {"auth_token": twilio.AUTH_TOKEN}}

_numbers = count(10)


@pytest.fixture(scope="module")
def site(own_servers: Servers, receivers: Receivers) -> Iterator[Installation]:
    """A worker with an account at every provider; SMTP is asked first, and caps are over in two seconds."""
    led = {
        **SETTINGS,
        **receivers.whole_environment(),
        "BELLWIRE_EMAIL_PROVIDERS": "smtp,resend,postmark",
        "BELLWIRE_POSTMARK_URL": receivers.lab.url_of("postmark"),
        "BELLWIRE_POSTMARK_TOKEN": postmark.TOKEN,
        "BELLWIRE_TELEGRAM_UPDATES": "webhook",
        "BELLWIRE_RECIPIENT_CAPS": f"email={CAP}/{WINDOW}",
        "BELLWIRE_LEASE_SECONDS": "25",
    }
    with own_servers.install(**{name.removeprefix("BELLWIRE_"): value for name, value in led.items()}) as running:
        running.start_worker()
        yield running


@pytest.fixture(scope="module")
def api(site: Installation) -> Api:
    """The API beside the worker."""
    return site.start_api()


@dataclass(frozen=True)
class Tenant:
    """A tenant of one test with one user, `ann`, as its administrators, its users and its providers call the API."""

    name: str
    key: str
    site: Installation
    api: Api
    phone: str
    chat: str
    _issues: Iterator[int]

    @property
    def mailbox(self) -> str:
        """Where ann reads her mail."""
        return f"ann@{self.name}.example.org"

    def call(self, method: str, path: str, body: Any = None, *, user: str | None = None) -> Any:
        """What the API answers to the tenant's admin key, or to a user; an error fails the test."""
        proof = {"X-API-Key": self.key} if user is None else {"Authorization": f"Bearer {self._token(user)}"}
        answer = requests.request(method, self.api.url + path, json=body, headers=proof, timeout=10)
        assert answer.ok, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def _token(self, user: str) -> str:
        return token(user, self.name, secret=self.site.environment["BELLWIRE_JWT_SECRET"])

    def tell(self, type_: str = "order.created", *, settled: bool = True, **more: Any) -> str:
        """Tell ann of a new issue; the event's id. Waits until nothing more is to be done."""
        issue = f"{self.name}-{next(self._issues)}"
        data = {"host": f"{issue}.example.org", "order_id": issue, "order_number": issue}
        answer = self.call("POST", "/v1/events", {"type": type_, "recipients": ["ann"], "data": data, **more})
        if settled:
            self.settled()
        return str(answer["id"])

    def settled(self) -> None:
        """Wait until nothing more is to be done for this tenant."""
        self.site.wait_until_settled(1, tenant=self.name)

    def deliveries(self, channel: str, **wanted: str) -> list[Row]:
        """Those of a channel, the oldest first."""
        return self.site.deliveries(tenant=self.name, channel=channel, **wanted)

    def last(self, channel: str) -> Row:
        """The newest of a channel."""
        return self.deliveries(channel)[-1]

    def receipt(self, provider: str, body: bytes, query: str = "", secrets: Any = None) -> None:
        """A provider calls with what it signs; it must be taken."""
        given = credentials(provider, body, query=query, secrets=secrets or PROVEN[provider])
        address = f"{self.api.url}/v1/receipts/{provider}{'?' if query else ''}{query}"
        answer = requests.post(address, data=body, headers=given, timeout=10)
        assert (answer.status_code, answer.json()) == (200, {"success": True, "eventsProcessed": 1}), answer.text

    def click(self, link: str, body: str = "") -> str:
        """A person or a mailbox provider posts to a link out of a message; the page that comes of it."""
        assert link.startswith(PUBLIC)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = requests.post(self.api.url + link.removeprefix(PUBLIC), data=body, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
def acme(site: Installation, api: Api, tenant: str) -> Tenant:
    """The test's own tenant, with ann, who can be reached by email, telephone, Telegram and WhatsApp."""
    key = site.set_up(tenant, keys=["admin"])["keys"]["admin"]
    number = next(_numbers)
    made = Tenant(tenant, key, site, api, f"+49151234567{number}", f"7100{number}", count(1))
    ann = {"email": made.mailbox, "phone": made.phone, "whatsapp": made.phone, "telegram_chat_id": made.chat}
    made.call("PUT", "/v1/users/ann", ann)
    return made


@pytest.mark.mission("A-3", "B-1", "B-2", "B-3", "B-4", "B-5", "C-7", "E-12", "E-19", "E-31")
def test_one_critical_event_reaches_a_user_on_every_channel_and_every_device(
    acme: Tenant, receivers: Receivers
) -> None:
    acme.call("PUT", "/v1/webhooks/all", {"url": f"{receivers.webhook.url}/{acme.name}"})
    tokens = {"ios": IOS, "android": fcm.TOKEN, "web": receivers.subscribe(acme.name)}
    for platform, device in tokens.items():
        acme.call("POST", "/v1/users/me/push-tokens", {"platform": platform, "token": device}, user="ann")
    event = acme.tell("ssl_failure", severity="critical")
    ledger = acme.call("GET", f"/v1/events/{event}")
    (notification,) = ledger["notifications"]
    told = [*notification["deliveries"], *ledger["deliveries"]]
    assert Counter((one["channel"], one["provider"]) for one in told) == {
        ("email", "smtp"): 1,
        ("sms", "twilio"): 1,
        ("push", "apns"): 1,
        ("push", "fcm"): 1,
        ("push", "web_push"): 1,
        ("telegram", "telegram"): 1,
        ("whatsapp", "whatsapp"): 1,
        ("webhook", "webhook"): 1,
        ("in_app", None): 1,
    }
    assert {one["status"] for one in told} == {"sent"}
    arrived = [*receivers.mail.received, *receivers.lab.received, *receivers.apns.received, *receivers.webhook.received]
    traced = {one["id"] for one in told if one["channel"] not in ("in_app", "telegram")}
    assert Counter(one.key for one in arrived if one.key in traced) == dict.fromkeys(traced, 1)
    (chat,) = (fields(one.body)["text"] for one in receivers.telegram.received if one.target == acme.chat)
    assert acme.name in chat


# What providers say afterwards


@pytest.mark.mission("A-27", "E-26")
@pytest.mark.parametrize("provider", ["resend", "postmark", "twilio", "whatsapp"])
def test_a_genuine_receipt_makes_a_delivery_delivered(acme: Tenant, provider: str) -> None:
    channel = {"twilio": "sms", "whatsapp": "whatsapp"}.get(provider, "email")
    prefer(acme, provider)
    acme.tell("ssl_failure", severity="critical")
    delivery = acme.last(channel)
    assert (delivery["status"], delivery["provider"]) == ("sent", provider)
    acme.receipt(provider, *arrived_receipt(provider, delivery["id"], message_id(acme, delivery)))
    shown = acme.call("GET", f"/v1/deliveries/{delivery['id']}")
    assert shown["status"] == "delivered"
    assert shown["delivered_at"] is not None


@pytest.mark.mission("A-27", "E-28", "E-46")
def test_after_a_permanent_bounce_the_address_is_written_to_no_more(acme: Tenant, receivers: Receivers) -> None:
    prefer(acme, "postmark")
    acme.tell()
    delivery = acme.last("email")
    told = {"RecordType": "Bounce", "Type": "HardBounce", "ID": 7, "MessageID": message_id(acme, delivery)}
    acme.receipt("postmark", json.dumps({**told, "Email": acme.mailbox}).encode())
    (dead,) = acme.call("GET", "/v1/dead-letters")["dead_letters"]
    assert (dead["id"], dead["status"], dead["reason"]) == (delivery["id"], "dead_letter", "bounced")
    (listed,) = acme.call("GET", "/v1/suppressions")["suppressions"]
    assert (listed["address"], listed["reason"], listed["source"]) == (acme.mailbox, "permanent_bounce", "webhook")
    acme.tell()
    assert (acme.last("email")["status"], acme.last("email")["reason"]) == ("suppressed", "user_suppressed")
    assert len(at(receivers.lab.received, acme.mailbox)) == 1


@pytest.mark.mission("A-27", "E-30", "E-46")
def test_after_a_complaint_the_users_emails_are_switched_off(acme: Tenant, receivers: Receivers) -> None:
    prefer(acme, "resend")
    acme.tell()
    told = {"email_id": message_id(acme, acme.last("email")), "to": [acme.mailbox]}
    acme.receipt("resend", json.dumps({"type": "email.complained", "data": told}).encode())
    (listed,) = acme.call("GET", "/v1/suppressions")["suppressions"]
    assert (listed["address"], listed["reason"]) == (acme.mailbox, "spam_complaint")
    assert acme.call("GET", "/v1/users/ann")["disabled_channels"] == ["email"]
    acme.tell()
    assert [one["status"] for one in acme.deliveries("in_app")] == ["sent", "sent"], "only email is switched off"
    assert [one["status"] for one in acme.deliveries("email") if one["status"] != "suppressed"] == ["sent"]
    assert len(at(receivers.lab.received, acme.mailbox)) == 1


@pytest.mark.mission("A-27")
def test_a_receipt_that_is_faster_than_our_own_record_is_applied_afterwards(acme: Tenant, receivers: Receivers) -> None:
    prefer(acme, "resend")
    receivers.lab.script(acme.mailbox, Reply(wait=1.5))
    acme.tell(settled=False)
    wait_until(lambda: at(receivers.lab.received, acme.mailbox), "the mail to arrive")
    (received,) = at(receivers.lab.received, acme.mailbox)
    ours = {"delivery_id": received.key, "tenant": acme.name}
    told = {"email_id": "of which we have not heard", "to": [acme.mailbox], "tags": ours}
    acme.receipt("resend", json.dumps({"type": "email.delivered", "data": told}).encode())
    assert acme.last("email")["status"] == "processing"
    wait_until(lambda: acme.deliveries("email", status="delivered"), "the receipt to be applied")
    assert acme.last("email")["outcomes"] == ["sent"]


# What recipients do


@pytest.mark.mission("E-22", "E-46")
def test_the_one_click_address_of_a_mail_stops_that_type_of_mail_and_no_other(
    acme: Tenant, receivers: Receivers
) -> None:
    acme.tell("order.created")
    (mail,) = mails(receivers, acme)
    assert mail["List-Unsubscribe-Post"] == ONE_CLICK
    acme.click(mail["List-Unsubscribe"].strip("<>"), ONE_CLICK)
    acme.tell("order.created")
    acme.tell("order.failed", severity="high")
    acme.tell("identity.password-changed")
    subjects = [one["Subject"] for one in mails(receivers, acme)]
    assert len(subjects) == 3, subjects
    assert "could not be completed" in subjects[1]
    assert [one["status"] for one in acme.deliveries("in_app")] == ["sent"] * 4


@pytest.mark.mission("B-14", "B-15")
def test_the_link_in_a_mail_acknowledges_and_withdraws_what_waits(acme: Tenant, receivers: Receivers) -> None:
    event = alarm_with_a_webhook_that_waits(acme, receivers)
    wait_until(lambda: mails(receivers, acme), "the mail to arrive")
    plain = mails(receivers, acme)[0].get_body(("plain",))
    assert plain is not None
    found = re.search(r"Acknowledge: (\S+)", plain.get_content())
    assert found
    acme.click(found[1], "note=on+it")
    is_acknowledged(acme, event, by="ann", note="on it")


@pytest.mark.mission("B-3", "B-14")
def test_the_button_in_a_chat_acknowledges_and_withdraws_what_waits(acme: Tenant, receivers: Receivers) -> None:
    event = alarm_with_a_webhook_that_waits(acme, receivers)
    wait_until(lambda: acme.deliveries("telegram", status="sent"), "the chat to be written to")
    update = receivers.telegram.press(acme.chat, {"id": int(acme.chat), "first_name": "Ann"})
    acme.receipt("telegram", json.dumps(update).encode())
    is_acknowledged(acme, event, by="ann", note=None)
    edited = wait_until(lambda: receivers.telegram.messages, "the message")
    (after,) = (one for (chat, _), one in edited.items() if chat == acme.chat)
    wait_until(lambda: "Acknowledged by" in after["text"], "the message to be edited")
    assert "reply_markup" not in after


# Tenants' own


@pytest.mark.mission("A-3", "E-20", "F-11")
def test_an_account_that_a_tenant_puts_carries_its_next_mail_and_its_receipts(
    acme: Tenant, receivers: Receivers
) -> None:
    acme.tell()
    account = {"api_key": RESEND_KEY, "webhook_secret": OWN_SECRET}
    senders = {"*": "Acme <hello@acme.example.org>"}
    made = acme.call("PUT", "/v1/providers/resend", {"credentials": account, "senders": senders})
    acme.tell()
    assert [one["provider"] for one in acme.deliveries("email")] == ["smtp", "resend"]
    (received,) = at(receivers.lab.received, acme.mailbox)
    assert json.loads(received.body)["from"] == senders["*"]
    body, _ = arrived_receipt("resend", "", message_id(acme, acme.last("email")))
    query = made["receipts_url"].partition("?")[2]
    acme.receipt("resend", body, query, {"webhook_secret": OWN_SECRET})
    assert [one["status"] for one in acme.deliveries("email")] == ["sent", "delivered"]


@pytest.mark.mission("E-45")
def test_a_storm_becomes_as_many_mails_as_somebody_can_read_and_one_that_tells_of_the_rest(
    acme: Tenant, receivers: Receivers
) -> None:
    storm = 50
    issues = [{"type": "order.created", "recipients": ["ann"], "data": {"order_id": str(n)}} for n in range(storm)]
    acme.call("POST", "/v1/events", {"events": issues})
    acme.site.wait_until_settled(storm, tenant=acme.name)
    deliveries = acme.deliveries("email")
    sent = {one["id"] for one in deliveries if one["status"] == "sent"}
    folded = [one for one in deliveries if one["status"] == "cancelled"]
    assert (len(sent), len(folded)) == (CAP + 1, storm - CAP - 1)
    (carrier,) = {str(one["folded_into"]) for one in folded}
    assert {one["reason"] for one in folded} == {"folded"}
    assert carrier in sent
    *_, last = mails(receivers, acme)
    assert len(mails(receivers, acme)) == CAP + 1
    assert f"And {len(folded)} more" in last.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert [one["status"] for one in acme.deliveries("in_app")] == ["sent"] * storm


def prefer(acme: Tenant, provider: str) -> None:
    """Let the installation's account at a provider carry the tenant's mails."""
    if provider in ("resend", "postmark"):
        acme.call("PUT", f"/v1/providers/{provider}", {"position": 0})


def message_id(acme: Tenant, delivery: Row) -> str:
    """What the provider calls a delivery."""
    asked = "SELECT message_id FROM attempts WHERE delivery_id = cast(%(id)s AS uuid)"
    return str(acme.site.value(asked, id=delivery["id"]))


def arrived_receipt(provider: str, delivery: str, name: str) -> tuple[bytes, str]:
    """The body with which a provider says so, and the query of the address."""
    statuses: list[dict[str, Any]] = [{"id": name, "status": "delivered"}]
    bodies: dict[str, Callable[[], Any]] = {
        "resend": lambda: {"type": "email.delivered", "data": {"email_id": name}},
        "postmark": lambda: {"RecordType": "Delivery", "MessageID": name},
        "whatsapp": lambda: {"entry": [{"changes": [{"value": {"statuses": statuses}}]}]},
    }
    if provider == "twilio":
        return form(MessageSid=name, MessageStatus="delivered"), f"delivery={delivery}"
    return json.dumps(bodies[provider]()).encode(), ""


def at(received: list[Received], target: str) -> list[Received]:
    """What arrived for somebody."""
    return [one for one in list(received) if one.target == target]


def mails(receivers: Receivers, acme: Tenant) -> list[EmailMessage]:
    """What ann finds in her mailbox, the oldest first."""
    raw = at(receivers.mail.received, acme.mailbox)
    return [email.message_from_bytes(one.body, policy=email.policy.default) for one in raw]  # type: ignore[misc]


def alarm_with_a_webhook_that_waits(acme: Tenant, receivers: Receivers) -> str:
    """Tell ann, who is on duty, of a critical issue whose webhook is not taken now; the event's id."""
    receivers.webhook.script(f"/{acme.name}", NOT_NOW)
    acme.call("PUT", "/v1/users/ann", {"roles": ["operations"]})
    acme.call("PUT", "/v1/webhooks/all", {"url": f"{receivers.webhook.url}/{acme.name}"})
    event = acme.tell("ssl_failure", severity="critical", settled=False)
    wait_until(lambda: acme.deliveries("webhook", status="failed"), "the webhook to fail")
    return event


def is_acknowledged(acme: Tenant, event: str, *, by: str, note: str | None) -> None:
    """Ann has taken it, and nothing waits any more."""
    acme.settled()
    (webhook,) = acme.deliveries("webhook")
    assert (webhook["status"], webhook["reason"], webhook["outcomes"]) == ("cancelled", "acknowledged", ["failed"])
    (shown,) = acme.call("GET", f"/v1/events/{event}")["notifications"]
    assert (shown["ack_by_user_id"], shown["ack_note"]) == (by, note)
