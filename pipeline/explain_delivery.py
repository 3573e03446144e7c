"""Explain a delivery: each attempt with its provider, what receipts said, where it stands and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from domain.states import DeliveryStatus
from domain.vocabulary import Outcome, Reason, ReceiptKind
from pipeline.reasons import RECEIPTS, reason_in_words, status_in_words, suppression_in_words

S = DeliveryStatus
R = Reason

MOST_TOLD: Final = 8  # different attempts; an account that is not accepted is tried every minute, for days
ARRIVED: Final = frozenset({ReceiptKind.DELIVERED, ReceiptKind.OPENED, ReceiptKind.CLICKED})

WAITS: Final = frozenset({S.QUEUED, S.FAILED, S.HELD})
SAY_ALL: Final = frozenset({R.CANCELLED, R.RESOLVED, R.EXPIRED, R.NO_PROVIDER})
"""Reasons whose words are a whole sentence about the delivery: nothing is put in front of them."""

_CODE: Final = re.compile(r"\b\d{5}\b")


def delivery_in_words(delivery: Mapping[str, Any], suppression: Mapping[str, Any] | None) -> str:
    """What became of a delivery of the ledger.

    Args:
        suppression: what the suppression list says of its address now; see `suppressions_of`.
    """
    if delivery["channel"] == "in_app" and delivery["status"] == S.SENT:
        return "It is in the inbox."
    if delivery["reason"] == R.PREVIEW:
        return f"It is {reason_in_words(delivery['reason'])}; `bellwire previews ID` shows it."
    if delivery["folded_into"] is not None:
        return f"It is told in one message together with delivery {delivery['folded_into']}."
    said = [
        _tries(delivery),
        _receipts(delivery["receipts"], delivery["channel"]),
        _standing(delivery, suppression),
    ]
    if suppression is not None and suppression["followed"] and delivery["status"] != S.SUPPRESSED:
        said.append(_told_no_more(suppression))
    return " ".join(_sentence(one) for one in said if one)


def _sentence(words: str) -> str:
    """With one full stop. What a provider is called is not written large."""
    return words.rstrip(".") + "."


def _large(words: str) -> str:
    return words[:1].upper() + words[1:]


def _tries(delivery: Mapping[str, Any]) -> str:
    """Every attempt in its order; what was said again and again is said once, and how often."""
    attempts, channel = delivery["attempts"], delivery["channel"]
    # Such an attempt never reached the provider in whose turn it was, so nobody has refused anything.
    unsaid = attempts[-1]["detail"] if attempts and delivery["reason"] == R.NOT_RENDERED else None
    told = Counter(_unsaid(unsaid) if one["detail"] == unsaid else _try(one, channel) for one in attempts)
    listed = [words if count == 1 else f"{words} ({count} times)" for words, count in told.items()]
    if len(listed) > MOST_TOLD:
        listed = [f"{len(listed) - MOST_TOLD} other answers", *listed[-MOST_TOLD:]]
    return "; then ".join(listed)


def _unsaid(detail: str) -> str:
    return f"It could not be put into words: {detail}"


def _try(attempt: Mapping[str, Any], channel: str) -> str:
    who = "the endpoint" if channel == "webhook" else attempt["provider"]
    detail = attempt["detail"].rstrip(".")
    match attempt["outcome"]:
        case Outcome.SENT:
            return f"{who} accepted it"
        case Outcome.REFUSED:
            return f"{who} refused it for good" + (f": {detail}" if detail else "")
        case Outcome.FAILED:
            # Whoever runs an endpoint has seen the request, whatever its answer was.
            end = "not accepted" if channel == "webhook" else "certainly not sent"
        case Outcome.UNKNOWN:
            end = "nobody can say whether it was sent"
        case _:
            end = "it may have been sent"
    return f"{who}: " + (f"{detail}, {end}" if detail else end)


def _receipts(receipts: Iterable[Mapping[str, Any]], channel: str) -> str:
    """What was reported later, in the order in which it happened; a link that is followed often is told once."""
    told = [RECEIPTS[ReceiptKind(one["kind"])] + _told(one["detail"], channel) for one in receipts]
    return _large("; then ".join(dict.fromkeys(told)))


def _told(detail: str, channel: str) -> str:
    """The receipt's own words, and what a code of Twilio's means."""
    if not detail:
        return ""
    codes = [meant for code in _CODE.findall(detail) if (meant := _meaning(int(code)))] if channel == "sms" else []
    return f" ({'; '.join([detail.rstrip('.'), *codes])})"


def _meaning(code: int) -> str | None:
    # Here, so that who never explains a text message loads no provider.
    from channels.sms_twilio import PROBLEMS

    return PROBLEMS[code].words if code in PROBLEMS else None


def _standing(delivery: Mapping[str, Any], suppression: Mapping[str, Any] | None) -> str:
    """Where it stands and why, in one sentence; empty where the attempts and receipts have said it."""
    status, reason = S(delivery["status"]), delivery["reason"]
    if status in WAITS:
        return _waiting(delivery)
    if status is S.SUPPRESSED:
        return _suppressed(delivery, suppression)
    if status is S.DEAD_LETTER:
        return _dead(delivery)
    if (status is S.SENT and delivery["attempts"]) or (status is S.DELIVERED and _has_arrived(delivery)):
        return ""
    words = reason_in_words(reason)
    if words is None:
        return status_in_words(status)
    return _large(words) if status is not S.CANCELLED or reason in SAY_ALL else f"Withdrawn before it was sent: {words}"


def _waiting(delivery: Mapping[str, Any]) -> str:
    due, reason = delivery["due_at"], delivery["reason"]
    words = reason_in_words(reason)
    when = f"due at {due}" if due else "without a due time"
    if reason in SAY_ALL:
        return _large(words or "")
    if reason == R.ACCOUNT_REJECTED:
        return f"No account that could carry it is accepted; it waits until that is mended, and is tried again at {due}"
    if reason == R.RETRY or (words is None and delivery["status"] == S.FAILED):
        return f"The last attempt failed; the next is {when}"
    return f"It waits for its turn, {when}" if words is None else f"It waits, {when}: {words}"


def _dead(delivery: Mapping[str, Any]) -> str:
    """A dead letter; its cause is not told twice."""
    outcomes = [one["outcome"] for one in delivery["attempts"]]
    is_told = {
        R.REFUSED: outcomes[-1:] == [Outcome.REFUSED],
        R.NOT_RENDERED: bool(outcomes),
        R.BOUNCED: any(one["kind"] == ReceiptKind.BOUNCED for one in delivery["receipts"]),
    }
    words = None if is_told.get(delivery["reason"]) else reason_in_words(delivery["reason"])
    return f"{_large(words)}; it waits for a person" if words else "It waits for a person"


def _suppressed(delivery: Mapping[str, Any], suppression: Mapping[str, Any] | None) -> str:
    match delivery["reason"]:
        case R.NO_TOKENS if delivery["attempts"]:
            return "This device is gone"
        case R.NO_TOKENS:
            return "This device has been signed off, is gone or is another user's now"
        case R.USER_SUPPRESSED if suppression is not None:
            return _told_no_more(suppression)
        case R.USER_SUPPRESSED:
            return "The address was on the suppression list; it has been lifted since"
    words = reason_in_words(delivery["reason"])
    return f"Not sent: {words}" if words else status_in_words(S.SUPPRESSED)


def _told_no_more(suppression: Mapping[str, Any]) -> str:
    return f"The address is told no more since {suppression['since']}: {suppression_in_words(suppression)}"


def _has_arrived(delivery: Mapping[str, Any]) -> bool:
    return any(one["kind"] in ARRIVED for one in delivery["receipts"])
