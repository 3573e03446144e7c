"""What providers say later: each file here proves who speaks, over the raw bytes, and reads what was said.

Nothing here knows tables or deliveries; what follows from a receipt is decided in pipeline/receipts.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from domain.vocabulary import ReceiptKind


class ForgedError(Exception):
    """Credentials that are missing, forged, aged or malformed. The text says which, and never repeats them."""


class MalformedError(Exception):
    """It comes from the provider, and is not of the provider's format."""


class NotNowError(Exception):
    """Nobody can say at this moment whether it is genuine: what proves it could not be fetched. It must come again."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it arrived.

    Attributes:
        headers: by their names in lower case.
        url: the address as the provider knows it: built on the public URL, with its query as it was sent.
        now: when it arrived, with a time zone.
    """

    headers: Mapping[str, str]
    body: bytes
    url: str
    now: datetime


@dataclass(frozen=True, slots=True)
class LaterReceipt:
    """What a provider says of one message that it took.

    Attributes:
        key: the provider's id of this very event, or one made of what identifies it, so that it counts once.
        permanent: of a bounce: the address itself is bad, and will be.
        message_id: the provider's id of the message.
        delivery_id, tenant: what we sent along, as the provider gives it back; a claim, checked when it is applied.
        address: whom it speaks of, as the provider says. Empty: it says nothing of the address, for it was the message
            or the account that failed.
        detail: why, short, without addresses.
    """

    key: str
    kind: ReceiptKind
    occurred_at: datetime
    permanent: bool = False
    message_id: str | None = None
    delivery_id: str | None = None
    tenant: str | None = None
    address: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Inbound:
    """Somebody wrote to us: for a day WhatsApp takes messages to them without a template. `phone` is E.164."""

    phone: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """What one call said.

    Attributes:
        events: how many of the provider's events had a meaning for us; one may give several receipts.
        update: what a Telegram user did, as the Bot API has it.
    """

    events: int = 0
    receipts: tuple[LaterReceipt, ...] = ()
    inbound: tuple[Inbound, ...] = ()
    update: Mapping[str, Any] | None = None


class Receiver(ABC):
    """One provider's receipts. One object a process; called from several threads at once.

    Attributes:
        channel: what this provider carries; a receipt about another channel's delivery is none.
        secrets: what its calls are proved and answered with, by its name among a tenant's credentials, and the setting
            that it stands for. The first must be set, else the provider is not configured.
    """

    provider: ClassVar[str]
    channel: ClassVar[str]
    secrets: ClassVar[Mapping[str, str]]

    def hear(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """What was said, once it is proved who said it.

        Raises:
            ForgedError, MalformedError, NotNowError: and nothing else, whatever was sent.
        """
        self.authenticate(call, secrets)
        return self.read(call, secrets)

    def problem(self, secret: str) -> str | None:
        """What the first of `secrets` must look like, None when it does; without its value."""
        return None

    @abstractmethod
    def authenticate(self, call: Call, secrets: Mapping[str, str]) -> None:
        """Raises ForgedError unless the call is the provider's. `secrets` has the first of `secrets` at least."""

    @abstractmethod
    def read(self, call: Call, secrets: Mapping[str, str]) -> Heard:
        """Raises MalformedError when the body is not of the provider's format. Unknown events are left out."""
