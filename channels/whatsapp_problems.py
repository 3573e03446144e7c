"""What the Cloud API's error codes mean for us.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from channels.answers import Meaning, Problem, by_status, error, member
from channels.base import OutcomeUnknownError, RefusedError, SendError
from channels.http import Answer, retry_after

SESSION_OVER: Final = 131047
GONE_SUBCODE: Final = 33  # of code 100: the number that sends does not exist, or the token may not see it

_PERMISSION: Final = Problem(Meaning.ACCOUNT, "a permission is missing")
_TEMPLATE_WORDS: Final = "the template's places and what fills them do not match"

# 131026 is no reason to suppress: beside "not on WhatsApp" it covers terms that were not accepted yet and an app that
# is too old, which pass, and Meta does not say which of them it is. Trying again next time costs nothing.
PROBLEMS: Final[Mapping[int, Problem]] = {
    0: Problem(Meaning.ACCOUNT, "the token is not accepted"),
    1: Problem(Meaning.RETRY, "unknown error"),
    2: Problem(Meaning.RETRY, "service unavailable"),
    3: _PERMISSION,
    4: Problem(Meaning.THROTTLED, "too many calls of the app"),
    10: _PERMISSION,
    33: Problem(Meaning.ACCOUNT, "the number that sends is gone"),
    100: Problem(Meaning.REFUSED, "a parameter is not accepted"),
    190: Problem(Meaning.ACCOUNT, "the token is not accepted or has expired"),
    368: Problem(Meaning.ACCOUNT, "the account is blocked for a violation of policies"),
    80007: Problem(Meaning.THROTTLED, "too many calls of the account"),
    130429: Problem(Meaning.THROTTLED, "too many messages a second"),
    130472: Problem(Meaning.REFUSED, "the recipient is part of an experiment of Meta's"),
    130497: Problem(Meaning.REFUSED, "the account may not send to this country"),
    131000: Problem(Meaning.RETRY, "unknown error"),
    131005: Problem(Meaning.ACCOUNT, "access denied"),
    131008: Problem(Meaning.REFUSED, "a parameter is missing"),
    131009: Problem(Meaning.REFUSED, "a parameter is not accepted"),
    131016: Problem(Meaning.RETRY, "service unavailable"),
    131021: Problem(Meaning.REFUSED, "sender and recipient are the same number"),
    131026: Problem(Meaning.REFUSED, "the recipient cannot get it: not on WhatsApp, terms not accepted or an old app"),
    131030: Problem(Meaning.REFUSED, "a test number sends to listed recipients only"),
    131031: Problem(Meaning.ACCOUNT, "the account is locked"),
    131037: Problem(Meaning.ACCOUNT, "the sender's display name is not approved"),
    131042: Problem(Meaning.ACCOUNT, "payment"),
    131044: Problem(Meaning.ACCOUNT, "payment"),
    131045: Problem(Meaning.ACCOUNT, "the number that sends is not registered"),
    SESSION_OVER: Problem(Meaning.REFUSED, "more than 24 hours since the recipient wrote"),
    131048: Problem(Meaning.THROTTLED, "held back because messages were reported as spam", 3600.0),
    131049: Problem(Meaning.REFUSED, "Meta chose not to deliver it"),
    131050: Problem(Meaning.SUPPRESS, "the recipient wants no more of these messages"),
    131051: Problem(Meaning.REFUSED, "a kind of message that is not supported"),
    131052: Problem(Meaning.REFUSED, "the picture could not be fetched"),
    131053: Problem(Meaning.REFUSED, "the picture could not be taken"),
    131056: Problem(Meaning.LATER, "too many messages to this recipient", 6.0),
    131057: Problem(Meaning.RETRY, "the account is in maintenance", 60.0),
    131064: Problem(Meaning.THROTTLED, "the account's number of recipients is used up", 3600.0),
    132000: Problem(Meaning.REFUSED, _TEMPLATE_WORDS),
    132001: Problem(Meaning.REFUSED, "there is no such template in this language, or it is not approved"),
    132005: Problem(Meaning.REFUSED, "the template is too long when it is filled"),
    132007: Problem(Meaning.REFUSED, "the template violates a policy"),
    132008: Problem(Meaning.REFUSED, _TEMPLATE_WORDS),
    132012: Problem(Meaning.REFUSED, _TEMPLATE_WORDS),
    132015: Problem(Meaning.REFUSED, "the template is paused for its quality"),
    132016: Problem(Meaning.REFUSED, "the template is disabled for its quality"),
    132018: Problem(Meaning.REFUSED, "what fills the template is not accepted"),
    132068: Problem(Meaning.REFUSED, "the flow is blocked"),
    132069: Problem(Meaning.REFUSED, "the flow is throttled"),
    133004: Problem(Meaning.RETRY, "service unavailable"),
    133010: Problem(Meaning.ACCOUNT, "the number that sends is not registered"),
    135000: Problem(Meaning.REFUSED, "a parameter is not accepted"),
}


class SessionOverError(RefusedError):
    """Certainly not sent, because it was no template; the template may follow at once."""


def problem(answer: Answer, said: Any) -> SendError:
    """The error to raise for an answer without a message's id."""
    if 200 <= answer.status < 300:
        return OutcomeUnknownError("the answer is not what WhatsApp answers")
    wait = retry_after(answer.headers.get("Retry-After"))
    code = member(said, "error", "code")
    if not isinstance(code, int) or isinstance(code, bool):
        return error(by_status(answer.status), f"HTTP {answer.status}", wait)
    if code == SESSION_OVER:
        return SessionOverError(f"WhatsApp {code}: {PROBLEMS[code].words}")
    if code == 100 and member(said, "error", "error_subcode") == GONE_SUBCODE:
        return error(PROBLEMS[33], f"WhatsApp {code}")
    known = PROBLEMS.get(code) or (_PERMISSION if 200 <= code < 300 else None)
    return error(known or by_status(answer.status), f"WhatsApp {code}", wait)
