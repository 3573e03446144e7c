"""What a provider's answers come to, so that each provider's error codes are a table of words and meanings."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, NamedTuple

from channels.base import AccountError, Fate, NotSentError, OutcomeUnknownError, RefusedError, SendError


class Meaning(Enum):
    """What follows from a refusal."""

    RETRY = auto()  # its fault, later it may work
    LATER = auto()  # nobody's fault: this one address has to wait
    THROTTLED = auto()  # the whole account has to wait
    ACCOUNT = auto()  # our account, our sender, our set-up: nothing is wrong with the message
    REFUSED = auto()  # this message to this address, never
    SUPPRESS = auto()  # this address, never
    UNKNOWN = auto()  # sent or not, nobody can say


class Problem(NamedTuple):
    """One documented error: what it means, and how we word it; the provider's own words may repeat a number."""

    meaning: Meaning
    words: str
    wait: float | None = None


def error(problem: Problem, source: str, wait: float | None = None) -> SendError:
    """The error to raise.

    Args:
        source: who said it, with its code: ``Twilio 21610``.
        wait: seconds that the provider asks for; by default what the table says.
    """
    detail = f"{source}: {problem.words}"
    wait = wait if wait is not None else problem.wait
    match problem.meaning:
        case Meaning.RETRY:
            return NotSentError(detail, retry_after=wait)
        case Meaning.LATER:
            return NotSentError(detail, retry_after=wait, provider_failed=False)
        case Meaning.THROTTLED:
            return NotSentError(detail, retry_after=wait, provider_failed=False, throttled=True)
        case Meaning.ACCOUNT:
            return AccountError(detail)
        case Meaning.REFUSED:
            return RefusedError(detail)
        case Meaning.SUPPRESS:
            return RefusedError(detail, fate=Fate.SUPPRESS)
        case Meaning.UNKNOWN:
            return OutcomeUnknownError(detail)


def by_status(status: int) -> Problem:
    """What an HTTP status means where no code of the provider's says more.

    A gateway's 502 and 504 mean that it lost the answer, not that the message was not sent.
    """
    match status:
        case 401 | 403:
            return Problem(Meaning.ACCOUNT, "the account is not accepted")
        case 404:
            return Problem(Meaning.ACCOUNT, "there is no such account or sender")
        case 429:
            return Problem(Meaning.THROTTLED, "too many requests")
        case 502 | 504:
            return Problem(Meaning.UNKNOWN, "a gateway lost the answer")
        case 408 | 409 | 425:
            return Problem(Meaning.RETRY, "not taken")
    if 400 <= status < 500:
        return Problem(Meaning.REFUSED, "refused")
    return Problem(Meaning.RETRY, "an answer that was not expected" if status < 400 else "failed")


def member(value: Any, *path: str | int) -> Any:
    """What lies at `path` inside an answer; None where it is not of that shape."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
