"""What must hold after every fault, once all is settled: nothing lost, nothing invented, nothing left hanging."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from domain.routing import glob_matches
from domain.states import FINAL
from tests.support.installation import Installation, Row
from workers.receivers.script import Ledger

# Attempts of which nobody can say whether they arrived; each may be one duplicate at the receiver.
UNCERTAIN = ("unknown", "lost")
TRACED = ("email", "sms", "push", "whatsapp")


def check_invariants(
    site: Installation,
    receiver: Ledger,
    published: Sequence[dict[str, Any]],
    *,
    mail: Ledger | None = None,
    carried: Sequence[Ledger] = (),
    duplicates: bool = True,
) -> list[Row]:
    """Hold the whole ledger against what was published and what arrived; answers the deliveries.

    Args:
        receiver: where every webhook leads; `mail`: where every email does.
        carried: where everything by providers leads that send our ids along, on all of `TRACED` together.
        published: every event of the installation that anybody was told is accepted, once.
        duplicates: whether a fault may have doubled something; without one nothing may arrive twice.

    Raises:
        AssertionError: naming the delivery.
    """
    events = site.rows("SELECT id::text AS id, tenant, type, status, condition, data FROM events")
    deliveries = site.deliveries()
    _every_event_was_taken_once(events, published)
    _every_webhook_of_every_event_has_one_delivery(site, events, deliveries)
    histories = _histories(site)
    for delivery in deliveries:
        _has_one_final_state(delivery, histories[delivery["id"]])
        _tells_its_attempts(delivery)
    _dead_letters_are_kept(site, deliveries)
    _counted_once(site, deliveries)
    _arrived(receiver, _of(deliveries, "webhook"), duplicates=duplicates)
    _says_what_was_published(receiver, _of(deliveries, "webhook"))
    if mail is not None:
        _arrived(mail, _of(deliveries, "email"), duplicates=duplicates)
    if carried:
        told = {delivery["id"]: delivery for delivery in deliveries if delivery["channel"] in TRACED}
        _arrived(_united(carried), told, duplicates=duplicates)
    return deliveries


def _every_event_was_taken_once(events: Sequence[Row], published: Iterable[dict[str, Any]]) -> None:
    taken = Counter(_identity(event) for event in events if event["status"] != "duplicate")
    ends = Counter((event["type"], event["status"]) for event in events)
    assert {status for _, status in ends} <= {"routed", "duplicate", "resolved"}, f"an event was not routed: {ends}"
    assert taken == Counter({_identity(event) for event in published}), "events were lost, doubled or invented"


def _identity(event: dict[str, Any]) -> str:
    return json.dumps([event["tenant"], event["type"], event.get("condition", "firing"), event["data"]], sort_keys=True)


def _every_webhook_of_every_event_has_one_delivery(
    site: Installation, events: Sequence[Row], deliveries: Sequence[Row]
) -> None:
    webhooks = site.rows("SELECT id, tenant, events FROM webhooks WHERE user_id IS NULL")
    wanted = Counter(
        (event["id"], str(webhook["id"]))
        for event in events
        for webhook in webhooks
        if event["status"] == "routed" and webhook["tenant"] == event["tenant"]
        if not webhook["events"] or any(glob_matches(glob, event["type"]) for glob in webhook["events"])
    )
    found = Counter((str(d["event_id"]), str(d["webhook_id"])) for d in deliveries if d["channel"] == "webhook")
    assert found == wanted, "deliveries were lost, doubled or invented"


def _histories(site: Installation) -> dict[str, list[str]]:
    histories: dict[str, list[str]] = {}
    for row in site.rows("SELECT delivery_id::text AS id, before, after FROM history ORDER BY number"):
        if row["before"] != row["after"]:
            histories.setdefault(row["id"], []).append(row["after"])
    return histories


def _has_one_final_state(delivery: Row, history: Sequence[str]) -> None:
    finals = [status for status in history if status in FINAL]
    assert finals == [delivery["status"]], f"{delivery['id']} went through {history}"
    hanging = {name: delivery[name] for name in ("due_at", "lease_until", "lease_token") if delivery[name] is not None}
    assert not hanging, f"{delivery['id']} is {delivery['status']} and still has {hanging}"


def _tells_its_attempts(delivery: Row) -> None:
    outcomes, where = delivery["outcomes"], f"{delivery['id']}, {delivery['status']}: {delivery['outcomes']}"
    assert len(outcomes) == delivery["attempts"], where
    in_a_row = list(takewhile(lambda outcome: outcome == "lost", reversed(outcomes)))
    assert len(in_a_row) == delivery["crashes"], where
    if delivery["status"] == "sent" and delivery["channel"] != "in_app":
        assert outcomes.count("sent") == 1, where
        assert outcomes[-1] == "sent", where
    else:
        assert "sent" not in outcomes, where


def _dead_letters_are_kept(site: Installation, deliveries: Sequence[Row]) -> None:
    kept = {row["id"] for row in site.rows("SELECT delivery_id::text AS id FROM dead_letters")}
    assert kept == {delivery["id"] for delivery in deliveries if delivery["status"] == "dead_letter"}


def _counted_once(site: Installation, deliveries: Sequence[Row]) -> None:
    counted = {
        (row["channel"], row["status"]): row["count"]
        for row in site.rows(
            "SELECT channel, status, sum(count)::int AS count FROM statistics "
            "WHERE status IN ('sent', 'dead_letter') GROUP BY channel, status"
        )
    }
    ended = Counter((d["channel"], d["status"]) for d in deliveries if d["status"] in {"sent", "dead_letter"})
    assert counted == ended, "the statistics count something twice or not at all"


def _united(ledgers: Iterable[Ledger]) -> Ledger:
    united = Ledger()
    for ledger in ledgers:
        united.received += ledger.received
    return united


def _of(deliveries: Sequence[Row], channel: str) -> dict[str, Row]:
    return {delivery["id"]: delivery for delivery in deliveries if delivery["channel"] == channel}


def _arrived(receiver: Ledger, told: dict[str, Row], *, duplicates: bool) -> None:
    accepted = receiver.times_accepted()
    requests = Counter(received.key for received in list(receiver.received))
    assert requests.keys() <= told.keys(), "something arrived that nobody was to send"
    for id_, delivery in told.items():
        where = f"{id_}, {delivery['status']}, attempts {delivery['outcomes']}, arrived {accepted[id_]} times"
        assert requests[id_] <= len(delivery["outcomes"]), f"sent without a record: {where}"
        sent = int(delivery["status"] == "sent")
        assert requests[id_] >= sent, f"lost: {where}"
        uncertain = sum(outcome in UNCERTAIN for outcome in delivery["outcomes"])
        assert accepted[id_] <= sent + (uncertain if duplicates else 0), f"too often: {where}"


def _says_what_was_published(receiver: Ledger, told: dict[str, Row]) -> None:
    for received in list(receiver.received):
        said = json.loads(received.body)
        assert said["data"] == told[received.key]["data"], "it says something else than was published"
