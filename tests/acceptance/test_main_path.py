"""The path of an event through real workers: accepted, routed, delivered on every channel, retried, given up."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any
from uuid import UUID, uuid4

import kombu
import pytest
import redis
from standardwebhooks import Webhook

from tests.support.installation import Installation, Row, numbered
from tests.support.waiting import wait_until
from workers.receivers.script import Received, Reply
from workers.receivers.telegram import fields
from workers.receivers.together import Receivers

NOT_NOW = Reply(429, headers={"Retry-After": "1"})
ANN = {"email": "ann@example.org", "telegram_chat_id": "1001", "name": "Ann", "roles": ["operations"]}


@pytest.mark.mission("A-1", "A-11", "B-2", "B-3", "B-8", "C-2", "E-41")
def test_one_event_reaches_every_channel_and_the_ledger_tells_of_each(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    path = f"/{tenant}"
    site.set_up(tenant, users={"ann": ANN}, webhooks={"all": {"url": receivers.webhook.url + path}})
    host = f"{tenant}.example.org"
    site.publish({"type": "ssl_failure", "tenant": tenant, "data": {"host": host, "error": "expired"}})
    site.wait_until_settled(1, tenant=tenant)

    (event,) = site.rows("SELECT id::text AS id FROM events WHERE tenant = %(tenant)s", tenant=tenant)
    ledger = site.operate("read_event", tenant=tenant, event_id=event["id"])
    assert (ledger["status"], ledger["severity"]) == ("routed", "critical")
    (notification,) = ledger["notifications"]
    assert notification["recipient"] == "ann"
    told = {delivery["channel"]: delivery for delivery in notification["deliveries"]}
    (told["webhook"],) = ledger["deliveries"]
    assert {channel: delivery["status"] for channel, delivery in told.items()} == dict.fromkeys(
        ("email", "telegram", "in_app", "webhook"), "sent"
    )
    for channel in ("email", "telegram", "webhook"):
        assert [attempt["outcome"] for attempt in told[channel]["attempts"]] == ["sent"]

    mail = email.message_from_bytes(
        arrived(receivers.mail.received, told["email"]["id"]).body, policy=email.policy.SMTP
    )
    assert host in mail["Subject"]
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    chats = [fields(received.body)["text"] for received in receivers.telegram.received if received.target == "1001"]
    assert any(tenant in chat for chat in chats)
    assert json.loads(arrived(receivers.webhook.received, told["webhook"]["id"]).body)["data"]["host"] == host


@pytest.mark.mission("B-5", "E-38")
def test_a_webhook_is_signed_as_standard_webhooks_say_and_by_the_plain_header(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    hook = {"url": f"{receivers.webhook.url}/{tenant}", "headers": {"X-Team": "ops"}}
    secret = site.set_up(tenant, webhooks={"all": hook})["webhooks"]["all"]["secret"]
    site.publish(numbered("signed", [1], tenant))
    site.wait_until_settled(1, tenant=tenant)
    (delivery,) = site.deliveries(tenant=tenant)
    received = arrived(receivers.webhook.received, delivery["id"])
    Webhook(secret).verify(received.body, dict(received.headers))
    key = b64decode(secret.removeprefix("whsec_"))
    assert (
        received.headers["x-webhook-signature"] == "sha256=" + hmac.new(key, received.body, hashlib.sha256).hexdigest()
    )
    assert received.headers["user-agent"] == "NotificationSystem/1.0"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-team"] == "ops"
    assert json.loads(received.body).keys() == {"id", "type", "userId", "data", "timestamp"}


@pytest.mark.mission("B-2")
def test_an_attachment_travels_with_the_mail(site: Installation, receivers: Receivers, tenant: str) -> None:
    site.set_up(tenant)
    report = {"filename": "report.csv", "content_type": "text/csv", "content": b64encode(b"a,b\r\n1,2\r\n").decode()}
    to = [{"email": f"{tenant}@example.org", "name": "Ann"}]
    site.publish({"type": "digest", "tenant": tenant, "data": {}, "recipients": to, "attachments": [report]})
    site.wait_until_settled(1, tenant=tenant)
    (delivery,) = site.deliveries(tenant=tenant, channel="email")
    mail = email.message_from_bytes(arrived(receivers.mail.received, delivery["id"]).body, policy=email.policy.SMTP)
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("report.csv", "text/csv")
    assert "1,2" in attached.get_content()


@pytest.mark.mission("A-4")
def test_an_in_app_notification_is_stored_and_shown_to_live_clients(site: Installation, tenant: str) -> None:
    site.set_up(tenant, users={"ann": ANN})
    with redis.Redis.from_url(site.redis_url) as client, client.pubsub() as listening:
        listening.subscribe("ws:notification")
        site.publish(
            {"type": "provisioning.started", "tenant": tenant, "data": {"service": "Mail", "provisioning_id": "1"}}
        )
        frame = wait_until(lambda: next_frame(listening, tenant), "the frame")
    assert frame["userId"] == "ann"
    (stored,) = site.rows("SELECT id::text AS id, title FROM notifications WHERE tenant = %(tenant)s", tenant=tenant)
    assert frame["notification"]["id"] == stored["id"]
    assert frame["notification"]["title"] == stored["title"] == "Mail is being set up"


@pytest.mark.mission("A-26", "B-9", "B-10", "E-37")
def test_a_delivery_that_fails_twice_is_sent_at_the_third_attempt(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}", Reply(500), Reply(503), Reply())
    site.set_up(
        tenant,
        webhooks={
            "flaky": {"url": f"{receivers.webhook.url}/{tenant}"},
            "sound": {"url": f"{receivers.webhook.url}/{tenant}/sound"},
        },
    )
    site.publish(numbered("flaky", [1], tenant))
    site.wait_until_settled(1, tenant=tenant)
    flaky, sound = sorted(site.deliveries(tenant=tenant), key=lambda delivery: str(delivery["name"]))
    assert flaky["outcomes"] == ["failed", "failed", "sent"]
    assert sound["outcomes"] == ["sent"]
    first, second, third = (received.at for received in receivers.webhook.received if received.target == f"/{tenant}")
    assert second - first >= 1.0
    assert third - second >= 1.0
    assert len({received.body for received in receivers.webhook.received if received.target == f"/{tenant}"}) == 1


@pytest.mark.mission("B-10", "B-11", "B-12")
def test_after_six_attempts_a_delivery_is_a_dead_letter_that_others_are_told_of_and_a_person_replays(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}", *[NOT_NOW] * 6, Reply())
    site.set_up(tenant, webhooks={"dead": {"url": f"{receivers.webhook.url}/{tenant}"}})
    with watching_dead_letters(site) as watched:
        site.publish(numbered("dying", [1], tenant))
        site.wait_until_settled(1, tenant=tenant)
        (delivery,) = site.deliveries(tenant=tenant)
        assert delivery["outcomes"] == ["failed"] * 6
        assert (delivery["status"], delivery["reason"]) == ("dead_letter", "retries_exhausted")
        letter = wait_until(lambda: next_letter(watched, tenant), "the dead letter to be published")
    assert (letter["delivery_id"], letter["channel"], letter["reason"]) == (
        delivery["id"],
        "webhook",
        "retries_exhausted",
    )
    assert receivers.webhook.url not in json.dumps(letter)

    replay = {"tenant": tenant, "ids": [delivery["id"]], "actor": "cli"}
    assert site.operate("replay", **replay)["replayed"] == [delivery["id"]]
    assert site.operate("replay", **replay)["replayed"] == []
    site.wait_until_settled(1, tenant=tenant)
    (delivery,) = site.deliveries(tenant=tenant)
    assert (delivery["status"], delivery["outcomes"][6:]) == ("sent", ["sent"])


@pytest.mark.mission("B-9", "B-12")
def test_what_is_refused_is_a_dead_letter_at_once(site: Installation, receivers: Receivers, tenant: str) -> None:
    receivers.webhook.script(f"/{tenant}", Reply(410))
    site.set_up(tenant, webhooks={"gone": {"url": f"{receivers.webhook.url}/{tenant}"}})
    site.publish(numbered("refused", [1], tenant))
    site.wait_until_settled(1, tenant=tenant)
    (delivery,) = site.deliveries(tenant=tenant)
    assert (delivery["status"], delivery["reason"]) == ("dead_letter", "refused")
    assert delivery["outcomes"] == ["refused"]


@pytest.mark.mission("E-45")
def test_a_provider_that_says_when_to_come_back_is_obeyed(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}", Reply(503, headers={"Retry-After": "3"}), Reply())
    site.set_up(tenant, webhooks={"busy": {"url": f"{receivers.webhook.url}/{tenant}"}})
    site.publish(numbered("busy", [1], tenant))
    site.wait_until_settled(1, tenant=tenant)
    first, second = (received.at for received in receivers.webhook.received if received.target == f"/{tenant}")
    assert second - first >= 3.0


@pytest.mark.mission("B-8")
def test_a_repeat_is_folded_into_the_first_and_a_worse_one_is_told(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    site.set_up(tenant, webhooks={"all": {"url": f"{receivers.webhook.url}/{tenant}"}})
    site.publish(numbered("repeated", [1] * 20, tenant, severity="low"))
    for _ in range(20):
        site.publish(numbered("repeated", [1], tenant, severity="low"))
    site.publish(numbered("repeated", [1], tenant, severity="high"))
    site.wait_until_settled(41, tenant=tenant)
    told = site.rows(
        "SELECT severity, repeats FROM events WHERE tenant = %(tenant)s AND status = 'routed' ORDER BY id",
        tenant=tenant,
    )
    assert [row["severity"] for row in told] == ["low", "high"]
    assert sum(row["repeats"] for row in told) == 39
    assert len([received for received in receivers.webhook.received if received.target == f"/{tenant}"]) == 2


@pytest.mark.mission("B-14", "B-15")
def test_acknowledging_cancels_what_is_due_and_keeps_the_issue_silent(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}", Reply(503, headers={"Retry-After": "600"}))
    site.set_up(tenant, users={"ann": ANN}, webhooks={"all": {"url": f"{receivers.webhook.url}/{tenant}"}})
    event = {"type": "obligation_due", "tenant": tenant, "data": {"obligation_id": "1"}}
    site.publish(event)
    wait_until(lambda: site.deliveries(tenant=tenant, status="failed"), "the webhook to fail")
    (notification,) = site.rows("SELECT id::text AS id FROM notifications WHERE tenant = %(tenant)s", tenant=tenant)
    site.operate(
        "acknowledge",
        tenant=tenant,
        notification_id=notification["id"],
        by_user_id="ann",
        everyone=None,
        note="on it",
        actor="user:ann",
    )
    site.wait_until_settled(1, tenant=tenant)
    (webhook,) = site.deliveries(tenant=tenant, channel="webhook")
    assert (webhook["status"], webhook["reason"], webhook["outcomes"]) == ("cancelled", "acknowledged", ["failed"])
    before = len(site.deliveries(tenant=tenant))
    site.publish({**event, "severity": "critical"})
    site.wait_until_settled(2, tenant=tenant)
    assert len(site.deliveries(tenant=tenant)) == before
    (silenced,) = site.rows(
        "SELECT reason FROM events WHERE tenant = %(tenant)s AND status = 'unrouted'", tenant=tenant
    )
    assert silenced["reason"] == "acknowledged"


def test_a_resolved_issue_withdraws_what_was_not_sent_of_it(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}", Reply(503, headers={"Retry-After": "600"}), Reply())
    site.set_up(tenant, webhooks={"all": {"url": f"{receivers.webhook.url}/{tenant}"}})
    site.publish(numbered("mended", [1], tenant))
    wait_until(lambda: site.deliveries(tenant=tenant, status="failed"), "the webhook to fail")
    site.publish(numbered("mended", [1], tenant, status="resolved"))
    site.wait_until_settled(2, tenant=tenant)
    firing, resolved = site.deliveries(tenant=tenant)
    assert (firing["status"], firing["reason"]) == ("cancelled", "resolved")
    assert resolved["status"] == "sent"


def test_what_expires_before_it_could_be_sent_is_not_sent(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}", Reply(503, headers={"Retry-After": "3"}))
    site.set_up(tenant, webhooks={"all": {"url": f"{receivers.webhook.url}/{tenant}"}})
    soon = site.value("SELECT to_char((now() + interval '2 s') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    site.publish(numbered("expiring", [1], tenant, expires_at=soon))
    site.wait_until_settled(1, tenant=tenant)
    (delivery,) = site.deliveries(tenant=tenant)
    assert (delivery["status"], delivery["outcomes"]) == ("expired", ["failed"])


@pytest.mark.mission("A-23", "A-24")
def test_five_failures_open_a_breaker_that_postpones_without_using_attempts_while_others_go_on(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    receivers.webhook.script(f"/{tenant}/down", Reply(500))
    site.set_up(
        tenant,
        webhooks={
            "down": {"url": f"{receivers.webhook.url}/{tenant}/down"},
            "up": {"url": f"{receivers.webhook.url}/{tenant}/up"},
        },
    )
    for number in range(5):
        site.publish(numbered("breaking", [number], tenant))
    wait_until(lambda: len(postponed(site, tenant)) == 5, lambda: f"the breaker to open: {site.standing()}")
    tried = {delivery["id"]: delivery["attempts"] for delivery in postponed(site, tenant)}
    assert sum(tried.values()) <= 10, "the breaker let more through than the first five and their first retries"
    site.publish(numbered("breaking", [5], tenant))
    wait_until(lambda: len(postponed(site, tenant)) == 6, lambda: f"the sixth to wait: {site.standing()}")
    for delivery in postponed(site, tenant):
        assert delivery["attempts"] == tried.get(delivery["id"], 0)
        assert len(delivery["outcomes"]) == delivery["attempts"]
    wait_until(
        lambda: len(site.deliveries(tenant=tenant, name="up", status="sent")) == 6, "the other endpoint to get all six"
    )


@pytest.mark.mission("A-25")
def test_no_more_than_five_mails_are_sent_at_a_time_over_all_processes(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    takes = 0.3
    receivers.mail.script("end", Reply(wait=takes))
    site.set_up(tenant)
    to = [{"email": f"user{number}@{tenant}.example.org"} for number in range(30)]
    site.publish({"type": "digest", "tenant": tenant, "data": {}, "recipients": to})
    site.wait_until_settled(1, tenant=tenant, seconds=40)
    receivers.mail.script("end", Reply())
    sent = site.deliveries(tenant=tenant, channel="email")
    assert {delivery["status"] for delivery in sent} == {"sent"}
    times = sorted(received.at for received in receivers.mail.received if received.key in {d["id"] for d in sent})
    assert len(times) == 30
    assert max(sum(begun <= other < begun + takes * 0.9 for other in times) for begun in times) <= 5


@pytest.mark.mission("D-4")
def test_a_message_that_comes_twice_happens_once_and_one_that_is_no_event_is_kept(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    site.set_up(tenant, webhooks={"all": {"url": f"{receivers.webhook.url}/{tenant}"}})
    # Never folded by what it says, so that only the message's id can tell.
    chat = {"type": "message_received", "tenant": tenant, "data": {"sender": "Ann"}}
    id_ = str(uuid4())
    for _ in range(3):
        site.publish(chat, task_id=id_)
    site.publish({"type": "wrong", "tenant": tenant, "severity": "terrible"})
    site.publish(numbered("good", [1], tenant))
    site.wait_until_settled(2, tenant=tenant)
    assert len([received for received in receivers.webhook.received if received.target == f"/{tenant}"]) == 2
    kept = site.rows("SELECT source, error, payload FROM rejections WHERE error LIKE 'severity%%'")
    assert any(tenant.encode() in bytes(row["payload"]) for row in kept)


@pytest.mark.mission("B-16")
def test_what_a_tenant_wants_once_a_day_arrives_as_one_mail(
    site: Installation, receivers: Receivers, tenant: str
) -> None:
    """No beat runs here: the workers find by themselves what is due."""
    ann = {"email": f"{tenant}@example.org", "roles": ["operations"], "time_zone": "Europe/Berlin"}
    site.set_up(tenant, users={"ann": ann}, digest={"cadences": [{"group": "obligations", "cadence": "daily"}]})
    site.publish(
        [{"type": "ssl_expiry", "tenant": tenant, "severity": "low", "data": {"host": f"h{n}"}} for n in range(3)]
    )
    wait_until(lambda: len(site.deliveries(tenant=tenant, status="held")) == 3, site.standing)
    # The morning comes.
    assert site.rows("UPDATE holds SET release_at = now() WHERE tenant = %(tenant)s RETURNING user_id", tenant=tenant)
    wait_until(lambda: site.deliveries(tenant=tenant, template="digest", status="sent"), site.standing)
    (digest,) = site.deliveries(tenant=tenant, template="digest")
    told = site.deliveries(tenant=tenant, channel="email", reason="folded")
    assert [one["folded_into"] for one in told] == [UUID(digest["id"])] * 3
    mail = email.message_from_bytes(arrived(receivers.mail.received, digest["id"]).body, policy=email.policy.SMTP)
    plain = mail.get_body(("plain",))
    assert plain is not None
    words = plain.get_content()
    assert all(f"h{number}" in words for number in range(3))
    assert [one for one in receivers.mail.received if one.target == ann["email"]] == [
        arrived(receivers.mail.received, digest["id"])
    ]


def arrived(received: list[Received], key: str) -> Received:
    """The one thing that arrived with this key."""
    (found,) = (one for one in list(received) if one.key == key)
    return found


def postponed(site: Installation, tenant: str) -> list[Row]:
    """Deliveries that wait for a breaker."""
    return [delivery for delivery in site.deliveries(tenant=tenant) if delivery["reason"] == "breaker_open"]


def next_frame(listening: Any, tenant: str) -> dict[str, Any] | None:
    """The next frame for a tenant's live clients, if there is one."""
    message = listening.get_message(ignore_subscribe_messages=True, timeout=0.1)
    frame = json.loads(message["data"]) if message else None
    return frame if frame and frame["tenant"] == tenant else None


@contextmanager
def watching_dead_letters(site: Installation) -> Iterator[Any]:
    """A queue of somebody else's on the exchange `bellwire.dead_letter`."""
    exchange = kombu.Exchange("bellwire.dead_letter", type="topic", durable=True)
    queue = kombu.Queue(f"watcher-{uuid4()}", exchange, routing_key="webhook", auto_delete=True)
    with kombu.Connection(site.broker_url) as connection, connection.channel() as channel:
        bound = queue(channel)
        bound.declare()
        yield bound
        bound.delete()


def next_letter(watched: Any, tenant: str) -> dict[str, Any] | None:
    """The next dead letter of a tenant, if there is one."""
    try:
        message = watched.get(no_ack=True)
    except Empty:
        return None
    letter: dict[str, Any] | None = message.payload if message else None
    return letter if letter and letter["tenant"] == tenant else None
