"""What the Bot API's answers mean (https://core.telegram.org/bots/api#making-requests), whoever asked."""

from __future__ import annotations

import json
import re
from typing import Final

from channels.base import Fate, NotSentError, OutcomeUnknownError, RefusedError

TOKEN_REFUSED: Final = "the bot's token is not accepted"  # noqa: S105 - says that one is wrong

# What may be shown of an error; the rest of Telegram's texts may repeat the message.
_KNOWN_PROBLEMS: Final = re.compile(
    r"chat not found|user not found|bot was blocked by the user|bot was kicked|user is deactivated|not enough rights"
    r"|have no rights|need administrator rights|message is too long|message text is empty|can't parse entities"
    r"|bot can't initiate conversation|bot is not a member|chat_write_forbidden|topic_closed|peer_id_invalid"
    r"|message is not modified|message to edit not found|message can't be edited|query is too old|query_id_invalid"
    r"|https url must be provided|failed to resolve host|secret token contains unallowed characters"
    r"|webhook can be set up only on ports",
    re.IGNORECASE,
)
# Somebody does not want us; who writes /start to the bot wants us again.
_GONE: Final = frozenset({"bot was blocked by the user", "bot was kicked", "user is deactivated"})


def check(status: int, body: bytes) -> None:
    """End where the answer says no more than its status.

    A gateway's 502 and 504 mean that it lost Telegram's answer, not that the message was not sent.

    Raises:
        NotSentError, OutcomeUnknownError: by the status.
    """
    if status == 429:
        raise NotSentError("HTTP 429", retry_after=_wait(body), provider_failed=False, throttled=True)
    if status in {502, 504}:
        raise OutcomeUnknownError(f"HTTP {status}: a gateway lost the answer")
    if status >= 500 or status in {408, 409, 425}:
        raise NotSentError(f"HTTP {status}")


def refusal(description: str) -> RefusedError:
    """The error for an answer of 400 or 403, in as many of Telegram's words as tell nothing of the message."""
    known = _KNOWN_PROBLEMS.search(description)
    if known is None:
        return RefusedError("refused by the Bot API")
    words = known[0].lower()
    return RefusedError(words, fate=Fate.SUPPRESS if words in _GONE else Fate.NONE)


def _wait(body: bytes) -> float | None:
    """Seconds that Telegram asks for: ``{"parameters": {"retry_after": 7}}``."""
    try:
        seconds = float(json.loads(body)["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError):
        return None
    return seconds if 0 < seconds < 1e9 else None
