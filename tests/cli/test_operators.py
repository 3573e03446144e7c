"""status, deliveries, dead-letters, replay, ack and explain."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import redis
from sqlalchemy import text

from channels.breaker import FAIL_MAX, Breakers
from config.connections import redis_client
from config.settings import settings
from models.engine import transaction
from pipeline.ledger import read_event
from tasks import live


def notification(event_id: str, recipient: str) -> dict[str, Any]:
    with transaction() as connection:
        event = read_event(connection, tenant=None, event_id=event_id)
    assert event is not None
    return next(one for one in event["notifications"] if one["recipient"] == recipient)


def email_of(event_id: str, recipient: str) -> dict[str, Any]:
    return next(one for one in notification(event_id, recipient)["deliveries"] if one["channel"] == "email")


@pytest.mark.mission("D-32")
def test_status_shows_what_waits_what_ended_and_what_is_broken(bellwire: Any, work: Any, redis_url: str) -> None:
    bellwire.send()
    assert "1 event not yet routed" in bellwire("status").out
    work.route()
    work.refuse("telegram")
    Breakers(redis_client(redis_url, "breakers")).record([("acme:smtp", False)] * FAIL_MAX)
    said = bellwire("status").out
    assert re.search(r"email +queued +2 ", said)
    assert re.search(r"telegram +dead_letter +refused +2", said)
    assert re.search(r"ingest +1", said)
    assert re.search(r"acme +smtp +open +5 +\d+s", said)
    seen = bellwire("status", "--json").json
    assert seen["live"] == [{"channel": "email", "status": "queued", "count": 2}]
    assert seen["breakers"][0]["provider"] == "smtp"


def test_the_status_of_an_idle_installation_is_calm(bellwire: Any) -> None:
    said = bellwire("status").out.split("\n")
    assert [line for line in said if line] == [
        "No delivery waits.",
        "The broker's queues are empty.",
        "Every breaker is closed.",
    ]


def test_status_counts_one_tenant_only_when_asked(bellwire: Any, work: Any) -> None:
    bellwire.send()
    work.route()
    assert bellwire("status", "--tenant", "other", "--json").json["live"] == []
    assert bellwire("status", "--tenant", "acme", "--json").json["live"] != []


def test_status_says_when_redis_does_not_answer(bellwire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWIRE_REDIS_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()
    said = bellwire("status")
    assert said.code == 0
    assert "Redis does not answer" in said.out
    assert bellwire("status", "--json").json["breakers"] is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), 6),
        (("--channel", "email"), 2),
        (("--status", "sent"), 2),
        (("--recipient", "ada"), 3),
        (("--event", "ssl_*"), 6),
        (("--since", "1h", "--tenant", "acme"), 6),
        (("--tenant", "other"), 0),
        (("--reason", "no_provider"), 0),
    ],
)
def test_deliveries_are_listed_and_filtered(bellwire: Any, work: Any, options: tuple[str, ...], expected: int) -> None:
    bellwire.send()
    work.route()
    assert len(bellwire("deliveries", *options, "--json").json["deliveries"]) == expected
    said = bellwire("deliveries", *options)
    assert said.out.count("ssl_failure") == expected
    assert expected or "No such delivery." in said.out


def test_deliveries_lead_on_to_the_next_page(bellwire: Any, work: Any) -> None:
    bellwire.send()
    work.route()
    first = bellwire("deliveries", "--limit", "4")
    (cursor,) = re.findall(r"--cursor (\S+)", first.out)
    second = bellwire("deliveries", "--limit", "4", "--cursor", cursor)
    assert second.out.count("ssl_failure") == 2
    assert "--cursor" not in second.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--status", "lost"), "status: must be one of queued, held"),
        (("--channel", "pigeon"), "channel: must be one of email"),
        (("--since", "yesterday"), "since: must be a time"),
        (("--cursor", "x"), "cursor: must be a UUID"),
    ],
)
def test_a_filter_that_cannot_be_used_is_named(bellwire: Any, options: tuple[str, ...], words: str) -> None:
    said = bellwire("deliveries", *options)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(words)


@pytest.mark.mission("B-12")
def test_dead_letters_are_reviewed_and_replayed_one_by_id_the_rest_by_filter(bellwire: Any, work: Any) -> None:
    assert "No dead letters." in bellwire("dead-letters").out
    bellwire.send()
    work.route()
    ids = [*work.refuse("email"), *work.refuse("telegram")]
    listed = bellwire("dead-letters")
    assert all(one in listed.out for one in ids)
    assert "550 no such mailbox" in listed.out
    assert "4 dead letters." in listed.out
    assert bellwire("dead-letters", "--channel", "email", "--json").json["causes"][0]["count"] == 2
    assert "1 dead letter will be sent again now." in bellwire("replay", ids[0]).out
    assert bellwire("replay", "--channel", "email", "--json").json == {"replayed": [ids[1]], "left_out": []}
    assert "2 dead letters will be sent again now." in bellwire("replay", "--all").out
    assert "No dead letter fits." in bellwire("replay", "--all").out
    queues = {one["queue"]: one["messages"] for one in bellwire("status", "--json").json["queues"]}
    assert (queues["deliver.email"], queues["deliver.telegram"]) == (2, 1)


def test_a_dead_letter_that_nobody_wants_any_more_is_left_out_with_the_reason(bellwire: Any, work: Any) -> None:
    event_id = bellwire.send()
    work.route()
    (first, _) = work.refuse("email")
    assert bellwire("ack", event_id).code == 0
    said = bellwire("replay", first)
    assert said.code == 1
    assert "somebody has acknowledged the issue" in said.out


def test_replaying_what_is_no_dead_letter_fails_and_says_so(bellwire: Any) -> None:
    said = bellwire("replay", "00000000-0000-7000-8000-000000000000")
    assert said.code == 1
    assert "not a dead letter" in said.out


def test_an_event_stands_for_its_dead_letters(bellwire: Any, work: Any) -> None:
    event_id, other = bellwire.send(), bellwire("send", "odd.one", "--tenant", "acme", "--json").json["id"]
    work.route()
    ids = work.refuse("email")
    assert sorted(bellwire("replay", event_id, ids[0], "--json").json["replayed"]) == ids
    for without in (event_id, other):
        said = bellwire("replay", without)
        assert said.code == 1
        assert f"{without} is an event, and it has no dead letters" in said.err


def test_what_is_no_id_is_said_as_it_was_typed(bellwire: Any) -> None:
    said = bellwire("replay", "xyz")
    assert (said.code, said.err.startswith("'xyz' is no id")) == (1, True)


def test_status_says_when_the_next_is_due(bellwire: Any, work: Any) -> None:
    bellwire.send()
    work.route()
    assert "Nothing is due" not in bellwire("status").out
    with transaction() as connection:
        connection.execute(text("UPDATE deliveries SET due_at = now() + interval '150 s' WHERE due_at IS NOT NULL"))
    assert "Nothing is due; the next will be in 2m." in bellwire("status").out


def test_explain_says_in_one_sentence_when_a_failed_delivery_is_tried_again(bellwire: Any, work: Any) -> None:
    event_id = bellwire.send()
    work.route()
    work.fail("email")
    (words, _) = [
        one["words"] for one in bellwire("explain", event_id, "--json").json["deliveries"] if one["channel"] == "email"
    ]
    due = email_of(event_id, "ada")["due_at"]
    assert re.fullmatch(
        r"\S+: 451 try again later, certainly not sent\. The last attempt failed; the next is due at \S+Z\.", words
    )
    assert due[:10] in words


def test_explain_names_channels_that_were_left_out_for_the_same_reason_in_one_row(bellwire: Any, work: Any) -> None:
    with transaction() as connection:
        connection.execute(text("UPDATE users SET email = NULL, telegram_chat_id = NULL WHERE id = 'bo'"))
    event_id = bellwire.send()
    work.route()
    assert re.search(r"bo +email, telegram +no address is known", bellwire("explain", event_id).out)


def test_explain_means_a_users_own_webhooks_where_it_says_that_there_is_none(bellwire: Any, work: Any) -> None:
    event_id = bellwire.send()
    work.route()
    skipped = bellwire("explain", event_id, "--json").json["skipped"]
    words = {one["words"] for one in skipped if one["reason"] == "no_webhooks_configured"}
    assert words == {"the user has no personal webhook that wants this event"}


@pytest.mark.parametrize("arguments", [(), ("--all", "--channel", "email"), ("some-id", "--all")])
def test_replay_wants_to_know_exactly_what(bellwire: Any, arguments: tuple[str, ...]) -> None:
    said = bellwire("replay", *arguments)
    assert said.code == 2
    assert "by ID, by options" in said.err


@pytest.mark.mission("B-15")
def test_an_issue_is_taken_by_its_event_for_everyone(bellwire: Any, work: Any) -> None:
    event_id = bellwire.send()
    work.route()
    said = bellwire("ack", event_id, "--by", "ada", "--note", "I renew it.")
    assert "taken by ada" in said.out
    assert "Note: I renew it." in said.out
    assert "4 deliveries of this event withdrawn." in said.out
    assert email_of(event_id, "bo")["reason"] == "acknowledged"
    assert notification(event_id, "bo")["ack_by_user_id"] == "ada"
    again = bellwire("ack", event_id, "--by", "bo", "--json").json
    assert (again["ack_by_user_id"], again["ack_note"]) == ("ada", "I renew it.")


def test_who_has_the_issue_open_sees_at_once_that_it_was_taken_here(bellwire: Any, work: Any, redis_url: str) -> None:
    event_id = bellwire.send()
    work.route()
    live._client.cache_clear()
    with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("ws:notification")
        listener.get_message(timeout=5)
        bellwire("ack", event_id, "--by", "ada")
        frame = json.loads(listener.get_message(timeout=5)["data"])
    assert frame["acknowledged"]["ack_by_user_id"] == "ada"
    assert sorted(one[0] for one in frame["notifications"]) == ["ada", "bo"]


def test_an_issue_is_taken_by_a_notification_for_its_recipient(bellwire: Any, work: Any) -> None:
    event_id = bellwire.send()
    work.route()
    assert bellwire("ack", notification(event_id, "ada")["id"], "--recipient-only").code == 0
    assert email_of(event_id, "ada")["status"] == "cancelled"
    assert email_of(event_id, "bo")["status"] == "queued"


@pytest.mark.parametrize("command", ["ack", "explain"])
@pytest.mark.parametrize("unknown", ["x", "00000000-0000-7000-8000-000000000000"])
def test_an_id_that_nothing_has_is_a_mistake(bellwire: Any, command: str, unknown: str) -> None:
    said = bellwire(command, unknown)
    assert said.code == 1
    assert unknown in said.err


def test_explain_tells_the_stored_reasons(bellwire: Any, work: Any) -> None:
    event_id = bellwire.send("--to", "ghost")
    work.route()
    work.refuse("email")
    bellwire("ack", event_id, "--by", "ada", "--note", "mine")
    said = bellwire("explain", event_id).out
    for words in (
        "ssl_failure (critical) of tenant acme: routed",
        "ssl-to-operations",
        "there is no such user",
        "refused it for good: ",
        "550 no such mailbox",
        "somebody has acknowledged the issue",
        "taken by ada",
        "mine",
    ):
        assert words in said.replace("\n", " "), words
    assert "orders-to-customers" not in said
    assert "the route is for other events" in bellwire("explain", event_id, "--every-route").out
    assert bellwire("explain", event_id, "--json").json["status"] == "routed"
