"""What the stored reasons and states mean, in words for the person who asks why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from domain.states import SENTENCES, DeliveryStatus
from domain.vocabulary import Reason, ReceiptKind, Suppression

R = Reason

REASONS: Final[dict[Reason, str]] = {
    R.NO_RECIPIENTS: "no matching route found anybody to tell",
    R.NO_ENABLED_CHANNELS: "none of the channels that the routes name could be used",
    R.NO_ADDRESS: "no address is known on this channel",
    R.EMAIL_DISABLED: "the user's email is switched off",
    R.SMS_DISABLED: "the user's text messages are switched off",
    R.PUSH_DISABLED: "the user's push messages are switched off",
    R.USER_SUPPRESSED: "the address is on the suppression list",
    R.NO_TOKENS: "no device of the user is registered",
    R.NO_WEBHOOKS_CONFIGURED: "no webhook is registered that wants this event",
    R.NO_PROVIDER: "the channel has no provider; it waits until one is configured",
    R.PREVIEW: "kept in the preview mailbox, because the channel has no provider",
    R.PREFERENCE: "the user does not want this on this channel",
    R.QUIET_HOURS: "the user's quiet hours are not over",
    R.DIGEST: "it goes out with the user's next digest",
    R.BATCH: "it is gathered for some minutes and told together with what follows",
    R.RELEASED: "it was held, and is so no longer",
    R.CONDITION: "it is sent on a condition of its route, which is looked at when it is due",
    R.SEEN: "the user has seen it",
    R.TOLD_OTHERWISE: "it has arrived on another channel",
    R.DUPLICATE: "the same issue was reported before",
    R.ACKNOWLEDGED: "somebody has acknowledged the issue",
    R.RESOLVED: "the issue was resolved before this was sent",
    R.CANCELLED: "it was withdrawn before it was sent",
    R.EXPIRED: "its time passed before it could be sent",
    R.SCHEDULED: "the event asked to be sent later",
    R.RATE_LIMITED: "the provider's rate limit is used up for now",
    R.BREAKER_OPEN: "the provider failed too often in a row and is left alone for a while",
    R.BULKHEAD_FULL: "as many sends as the channel allows are under way",
    R.RENDERER_BUSY: "the tenant's own template could not be filled in just now",
    R.ACCOUNT_REJECTED: "the provider does not accept our account; it waits until that is mended",
    R.TOO_MANY: "the recipient was told enough for now; what comes next is folded into one message",
    R.FOLDED: "it was told in one message together with others",
    R.BOUNCED: "the provider took it and could not deliver it",
    R.SMS_CRITICAL_ONLY: "text messages are for critical events, unless a route says otherwise",
    R.WORKER_LOST: "the worker that was sending it died, too many times",
    R.OUTCOME_UNKNOWN: "nobody can say whether it was sent, and the channel does not send twice",
    R.RETRIES_EXHAUSTED: "every attempt of the retry schedule failed",
    R.REFUSED: "the provider refused it for good",
    R.RETRY: "the last attempt failed; it is tried again when it is due",
    R.REPLAYED: "a person sent it again",
    R.UNKNOWN_USER: "there is no such user",
    R.IS_ACTOR: "the one who caused an event is not told of it",
    R.NOT_RENDERED: "the template could not be filled in",
    R.NOT_ROUTED: "something went wrong while it was routed; the log has the details",
    R.PATH_NOT_FOUND: "the event has nobody at this place",
    R.TOO_MANY_RECIPIENTS: "the list is longer than an event may tell; its beginning was told",
    R.SAME_ADDRESS: "this address is told already, as somebody else's or as one that the event names",
    R.NO_CUSTOMER: "the event names no customer",
    R.CHANNEL_NOT_BUILT: "this installation does not have the channel",
    R.EVENT_MISMATCH: "the route is for other events",
    R.SEVERITY_MISMATCH: "the route is for other severities",
    R.BRANCH_MISMATCH: "the route is for other branches",
}

RECEIPTS: Final[dict[ReceiptKind, str]] = {
    ReceiptKind.DELIVERED: "a receipt confirmed that it arrived",
    ReceiptKind.BOUNCED: "it bounced",
    ReceiptKind.COMPLAINED: "its recipient called it spam",
    ReceiptKind.OPENED: "it was opened",
    ReceiptKind.CLICKED: "a link in it was followed",
    ReceiptKind.UNSUBSCRIBED: "its recipient unsubscribed",
}

SUPPRESSIONS: Final[dict[Suppression, str]] = {
    Suppression.SPAM_COMPLAINT: "somebody called a message spam",
    Suppression.UNSUBSCRIBED: "its owner unsubscribed",
    Suppression.MANUAL: "an operator put it on the list",
    Suppression.PERMANENT_BOUNCE: "nothing arrives there, ever",
    Suppression.REPEATED_SOFT_BOUNCES: "too many messages bounced in a short time",
}


def reason_in_words(reason: str | None) -> str | None:
    """The sentence of a stored reason; the word itself where a newer version stored one that we do not know."""
    if reason is None:
        return None
    return REASONS[Reason(reason)] if reason in set(Reason) else reason.replace("_", " ")


def suppression_in_words(suppression: Mapping[str, Any]) -> str:
    """Why an address is told no more and who said so, with the stored word; see `suppressions_of`."""
    reason, event = suppression["reason"], suppression["event"]
    of_type = f", for {event} only" if event else ""
    return f"{SUPPRESSIONS[Suppression(reason)]} ({reason}{of_type}), {_source(suppression)}"


def _source(suppression: Mapping[str, Any]) -> str:
    who = suppression["provider"] or "a provider"
    match suppression["source"]:
        case "webhook":
            return f"by a receipt of {who}"
        case "refusal":
            return f"by what {who} answered"
        case "unsubscribe":
            return "by the link in a message"
        case "auto_suppression":
            return f"counted from receipts of {who}"
        case by_hand:
            return f"by {by_hand}"


def status_in_words(status: str) -> str:
    """The sentence of a delivery's state."""
    return SENTENCES[DeliveryStatus(status)]
