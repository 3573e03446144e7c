"""Explain: the stored reasons of an event, as sentences for the person who asks why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.states import EventStatus
from domain.vocabulary import Reason
from pipeline.reasons import outcome_in_words, reason_in_words, status_in_words


def explained(event: Mapping[str, Any]) -> dict[str, Any]:
    """What an event of the ledger came to and why; every entry has its sentence in ``words``."""
    deliveries = [
        *(delivery for one in event["notifications"] for delivery in one["deliveries"]),
        *event["deliveries"],
    ]
    return {
        "id": event["id"],
        "tenant": event["tenant"],
        "type": event["type"],
        "severity": event["severity"],
        "status": event["status"],
        "words": _in_short(event, deliveries),
        "routes": [{**route, "words": _of_route(route)} for route in event["routes"]],
        "skipped": [{**one, "words": _of_skipped(one)} for one in event["skipped"]],
        "deliveries": [{**delivery, "words": _of_delivery(delivery)} for delivery in deliveries],
        "acknowledged": [
            {name: one[name] for name in ("id", "recipient", "ack_by_user_id", "ack_at", "ack_note")}
            for one in event["notifications"]
            if one["ack_at"] is not None
        ],
    }


def _in_short(event: Mapping[str, Any], deliveries: list[Any]) -> str:
    match event["status"]:
        case EventStatus.ACCEPTED:
            return "It is stored and waits to be routed."
        case EventStatus.DUPLICATE:
            return f"It is folded into event {event['duplicate_of']}: {reason_in_words('duplicate')}."
        case EventStatus.UNROUTED:
            return f"Nobody was told: {reason_in_words(event['reason'])}."
        case EventStatus.CANCELLED:
            return "It was cancelled: what had not been sent was withdrawn."
    matched = sum(route["matched"] for route in event["routes"])
    told = len(event["notifications"])
    repeats = f" The same was reported {_counted(event['repeats'], 'more time')}." if event["repeats"] else ""
    closing = " It closed its issue." if event["status"] == EventStatus.RESOLVED else ""
    return (
        f"{_counted(matched, 'route')} of {len(event['routes'])} matched, {_counted(told, 'recipient')} told "
        f"in {_counted(len(deliveries), 'delivery', 'deliveries')}.{closing}{repeats}"
    )


def _of_route(route: Mapping[str, Any]) -> str:
    return "matched" if route["matched"] else reason_in_words(route["reason"]) or "did not match"


def _of_delivery(delivery: Mapping[str, Any]) -> str:
    if delivery["channel"] == "in_app" and delivery["status"] == "sent":
        return "It is in the inbox."
    if delivery["reason"] == Reason.PREVIEW:
        return f"It is {reason_in_words(delivery['reason'])}; `bellwire previews ID` shows it."
    if delivery["folded_into"] is not None:
        return f"It is told in one message together with delivery {delivery['folded_into']}."
    said = _in_state(delivery)
    last = delivery["attempts"][-1] if delivery["attempts"] else None
    if last is None or last["outcome"] == "sent":
        return said
    return f"{said} Attempt {last['number']} ({outcome_in_words(last['outcome'])}): {last['detail']}."


def _in_state(delivery: Mapping[str, Any]) -> str:
    """Where it stands and why, in one sentence."""
    if delivery["reason"] == Reason.RETRY and delivery["due_at"]:
        return f"The last attempt failed; the next is due at {delivery['due_at']}."
    sentence = status_in_words(delivery["status"])
    reason = reason_in_words(delivery["reason"])
    return f"{sentence[:-1]}: {reason}." if reason else sentence


def _of_skipped(one: Mapping[str, Any]) -> str | None:
    # Those of the tenant are told of every event that they want, whoever else is.
    if one["reason"] == Reason.NO_WEBHOOKS_CONFIGURED:
        return "the user has no personal webhook that wants this event"
    return reason_in_words(one["reason"])


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
