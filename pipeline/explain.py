"""Explain: the stored reasons of an event, as sentences for the person who asks why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.states import EventStatus
from domain.vocabulary import Reason
from pipeline.explain_delivery import delivery_in_words
from pipeline.reasons import reason_in_words


def explained(event: Mapping[str, Any], suppressions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What an event of the ledger came to and why; every entry has its sentence in ``words``.

    Args:
        suppressions: what the suppression list says now of the deliveries' addresses; see `suppressions_of`.
    """
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
        "deliveries": [
            {**delivery, "words": delivery_in_words(delivery, suppressions.get(delivery["id"]))}
            for delivery in deliveries
        ],
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


def _of_skipped(one: Mapping[str, Any]) -> str | None:
    # Those of the tenant are told of every event that they want, whoever else is.
    if one["reason"] == Reason.NO_WEBHOOKS_CONFIGURED:
        return "the user has no personal webhook that wants this event"
    return reason_in_words(one["reason"])


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
