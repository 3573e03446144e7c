"""`bellwire demo`: the sample events through a real stack to receivers on this machine, on every channel."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import typer
from rich.console import Console

from pipeline.ledger import list_deliveries, list_events
from pipeline.overview import overview
from workers.cli.app import app
from workers.cli.output import JsonOption, counted, print_json, say, show_table
from workers.cli.stack import database, let_bells_leave, ring_events
from workers.demo import feed
from workers.receivers.apns import problem as gone
from workers.receivers.script import Reply
from workers.receivers.together import Receivers
from workers.stack.temporary import temporary_stack

TENANT: Final = "demo"
PATIENCE: Final = 180.0  # seconds until every delivery has come to an end
PAUSE: Final = 0.3

# The shipped schedule takes two hours; this one has as many retries.
SHORT: Final = {
    "BELLWIRE_RETRY_SCHEDULE": "1,1,2,2,3",
    "BELLWIRE_SWEEP_INTERVAL": "0.5",
    "BELLWIRE_BREAKER_SECONDS": "3",
    "BELLWIRE_SEEN_GRACE": "5",
    "BELLWIRE_WORKER_PROCESSES": "2",
    "BELLWIRE_LOG_LEVEL": "WARNING",
}
ATTEMPTS: Final = {"flaky": 3, "broken": 6}  # of webhooks that do not take it at once
TRACED: Final = ("email", "push", "webhook", "whatsapp")  # what carries the delivery's id
GIVEN_AWAY: Final = "dead0000" * 8
COLUMNS: Final = ("event", "channel", "provider", "to", "status", "attempts", "outcomes")
ALIKE: Final = ("event", "channel", "status")


@app.command()
def demo(*, json: JsonOption = False) -> None:
    """Run the sample events through a stack of its own to local receivers on every channel; show what became of them.

    Needs no account and no network. Fails unless every delivery ended as expected.
    """
    console = Console(stderr=True, highlight=False)
    with Receivers() as receivers, console.status("Starting a stack of its own") as shown:
        receivers.webhook.script("/flaky", Reply(503), Reply(503), Reply(200), each=True)
        receivers.webhook.script("/broken", Reply(500))
        receivers.mail.script("mail", Reply(451), Reply(200))  # the first mail goes by the second provider
        receivers.apns.script(GIVEN_AWAY, gone(410, "Unregistered"))
        with temporary_stack(
            {**receivers.whole_environment(), **SHORT}, lambda line: shown.update(f"Starting: {line}")
        ):
            published = _publish(receivers)
            _wait(lambda words: shown.update(words))
            deliveries, events = _everything()
        wrong = [*_unexpected(deliveries), *_not_arrived(deliveries, receivers)]
    if json:
        print_json({"events": events, "deliveries": deliveries, "unexpected": wrong})
    else:
        _show(deliveries, events, published, wrong)
    if wrong:
        raise typer.Exit(1)


def _publish(receivers: Receivers) -> int:
    with database() as connection:
        events = feed(connection, receivers.webhook.url, receivers.subscribe)
    ring_events(events)
    let_bells_leave()
    return len(events)


def _wait(say_so: Any) -> None:
    """Until nothing waits any more, or the time is over; what waits then is shown as it is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with database() as connection:
            seen = overview(connection, tenant=TENANT)
        waiting = sum(row["count"] for row in seen["live"])
        if not waiting and not seen["events"]["accepted"]:
            return
        ended = sum(row["count"] for row in seen["finals"] if row["status"] in ("sent", "dead_letter"))
        say_so(f"{counted(ended, 'delivery', 'deliveries')} ended, {waiting} on the way or waiting for a retry")
        time.sleep(PAUSE)


def _everything() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All deliveries and all events, the oldest first."""
    found: list[list[dict[str, Any]]] = []
    for listing in (list_deliveries, list_events):
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while cursor is not None or not rows:
            with database() as connection:
                page, cursor = listing(connection, tenant=TENANT, cursor=cursor, limit=200)
            rows += page
            if cursor is None:
                break
        found.append(rows[::-1])
    return found[0], found[1]


def _unexpected(deliveries: Iterable[Mapping[str, Any]]) -> list[str]:
    """What did not end as it should, in words."""
    return [
        f"{one['event']} by {one['channel']} to {one['webhook'] or one['recipient']} ended as {one['status']} "
        f"after {counted(len(one['attempts']), 'attempt')}"
        for one in deliveries
        if (one["status"], _outcomes(one)) != _expected(one)
    ]


def _expected(delivery: Mapping[str, Any]) -> tuple[str, list[str]]:
    if delivery["channel"] == "in_app":
        return "sent", []  # it is in the inbox the moment that it is stored
    if delivery["webhook"] == "broken":
        return "dead_letter", ["failed"] * ATTEMPTS["broken"]
    if delivery["reason"] == "told_otherwise":
        return "suppressed", []  # a device was told, so no email was needed
    if delivery["provider"] == "resend":
        return "sent", ["failed", "sent"]  # SMTP was tried first
    if delivery["reason"] == "no_tokens":
        return "suppressed", ["refused"] if delivery["attempts"] else []  # the device that was given away
    return "sent", ["failed"] * (ATTEMPTS.get(delivery["webhook"], 1) - 1) + ["sent"]


def _outcomes(delivery: Mapping[str, Any]) -> list[str]:
    return [attempt["outcome"] for attempt in delivery["attempts"]]


def _not_arrived(deliveries: Iterable[Mapping[str, Any]], receivers: Receivers) -> list[str]:
    """Deliveries that were sent and did not arrive exactly once; where no id travels along, they are counted."""
    sent = [one for one in deliveries if one["status"] == "sent"]
    servers = (receivers.mail, receivers.webhook, receivers.lab, receivers.apns)
    arrived = sum((server.times_accepted() for server in servers), Counter[str]())
    wrong = [
        f"{one['event']} by {one['channel']} arrived {arrived[one['id']]} times"
        for one in sent
        if one["channel"] in TRACED and arrived[one["id"]] != 1
    ]
    texts = sum(one.accepted and one.target.startswith("+") for one in receivers.lab.received)
    counted_by = {"telegram": receivers.telegram.times_accepted().total(), "sms": texts - _by(sent, "whatsapp")}
    for channel, count in counted_by.items():
        if _by(sent, channel) != count:
            wrong.append(f"{_by(sent, channel)} deliveries by {channel} were sent and {count} arrived")
    return wrong


def _by(deliveries: Iterable[Mapping[str, Any]], channel: str) -> int:
    return sum(one["channel"] == channel for one in deliveries)


def _show(deliveries: list[dict[str, Any]], events: list[dict[str, Any]], published: int, wrong: Iterable[str]) -> None:
    show_table(_rows(deliveries), COLUMNS, title="What became of the sample events", spare=("outcomes",))
    again = [one for one in deliveries if len(one["attempts"]) > 1]
    show_table(_rows(again), COLUMNS, title="Those that were tried more than once")
    told = Counter(event["status"] for event in events)
    say(f"{counted(published, 'event')}: " + ", ".join(f"{count} {status}" for status, count in sorted(told.items())))
    ends = Counter(one["status"] for one in deliveries)
    words = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in sorted(ends.items()))
    say(f"{counted(len(deliveries), 'delivery', 'deliveries')}: {words}")
    for problem in wrong:
        say(problem, "bold red")
    if not wrong:
        say("Every delivery ended as expected.", "bold green")


def _rows(deliveries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for all that are alike."""
    alike = Counter((one["webhook"], *(one[name] for name in ALIKE), *_tries(one)) for one in deliveries)
    return [
        {
            **dict(zip(ALIKE, rest, strict=True)),
            "provider": provider or "inbox",
            "to": (webhook if count == 1 else f"{webhook} ({count})")
            if webhook
            else counted(count, "person", "people"),
            "attempts": attempts,
            "outcomes": outcomes,
        }
        for (webhook, *rest, provider, attempts, outcomes), count in alike.items()
    ]


def _tries(delivery: Mapping[str, Any]) -> tuple[str | None, int, str | None]:
    outcomes = Counter(_outcomes(delivery))
    words = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return delivery["provider"], len(delivery["attempts"]), words or None
