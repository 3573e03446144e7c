"""What every way out has in common: a message and an address go in, a receipt or one of three errors comes out.

A provider knows no table, no task and no retry; it says what happened and the pipeline decides what follows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from config.settings import Settings
from domain.vocabulary import UnknownPolicy


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with an email. `content` is the decoded bytes."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What is said to one recipient on one channel, already rendered.

    Attributes:
        delivery_id: constant over attempts; providers that take an idempotency key get this one.
        title: the subject of an email, the title of a push; None where a channel has none.
        text: the plain text (email), the whole message (Telegram: MarkdownV2, SMS: plain).
        html: the HTML part of an email.
        body: the exact bytes of a webhook's request.
    """

    delivery_id: str
    tenant: str
    event_id: str
    event_type: str
    notification_id: str | None = None
    title: str | None = None
    text: str = ""
    html: str | None = None
    body: bytes = b""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes.

    Attributes:
        value: an email address, a chat id, a URL.
        name: the person's name, if known (email).
        endpoint: the id of a registered webhook; breakers are counted by it.
        secrets: signing keys of a webhook (raw bytes), newest first; two while one rotates.
        headers: extra headers of a webhook.
    """

    value: str
    name: str | None = None
    endpoint: str | None = None
    secrets: tuple[bytes, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider accepted the message.

    Attributes:
        message_id: the provider's own id, by which its later receipts find this delivery.
        detail: what it answered, short, without bodies, addresses or secrets: ``HTTP 204``.
        moved_to: the address has changed for good (a Telegram group that became a supergroup).
    """

    message_id: str | None = None
    detail: str = ""
    moved_to: str | None = None


class SendError(Exception):
    """Base of the three errors. `detail` is stored and shown: no bodies, no addresses, no secrets.

    Attributes:
        provider_failed: counts against the provider's breaker (a refusal of one recipient does not).
    """

    provider_failed: bool

    def __init__(self, detail: str, *, provider_failed: bool) -> None:
        super().__init__(detail)
        self.detail = detail[:500]
        self.provider_failed = provider_failed


class NotSentError(SendError):
    """Certainly not sent: it may be tried again freely.

    `retry_after`: seconds that the provider asks us to wait, None if it does not say.
    """

    def __init__(self, detail: str, *, retry_after: float | None = None, provider_failed: bool = True) -> None:
        super().__init__(detail, provider_failed=provider_failed)
        self.retry_after = retry_after


class RefusedError(SendError):
    """Permanent: the same message to the same address will be refused again."""

    def __init__(self, detail: str, *, provider_failed: bool = False) -> None:
        super().__init__(detail, provider_failed=provider_failed)


class OutcomeUnknownError(SendError):
    """The bytes left and no answer came: it was sent or it was not, nobody can say."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, provider_failed=True)


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """How many sends may be under way.

    `shared`: counted over all workers (house: a delivery holds a slot in the database), else per process.
    `waiting`: how many more may be claimed and wait for a free send (A-25).
    """

    concurrent: int
    waiting: int = 0
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider declares about itself.

    Attributes:
        parts: which of ``title text html body attachments`` it carries.
        deadline: seconds after which one attempt has ended, whatever the other side does.
        idempotent: a repeated delivery id is sent once only by the provider.
        receipts: it reports later what became of a message.
    """

    parts: frozenset[str]
    bulkhead: Bulkhead
    deadline: float = 10.0
    idempotent: bool = False
    receipts: bool = False
    on_unknown: UnknownPolicy = UnknownPolicy.RESEND


class Provider(ABC):
    """One way out. One object per process, used on one event loop, with its connections kept open."""

    channel: ClassVar[str]
    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The provider as configured, or None when its account or address is not set. Opens no connection."""

    @abstractmethod
    async def send(self, message: Message, address: Address) -> Receipt:
        """Send once.

        Raises:
            NotSentError, RefusedError, OutcomeUnknownError: nothing else; anything else is a bug and counts as unknown.
        """

    def breaker_key(self, address: Address) -> str:
        """What the breaker counts by, within a tenant."""
        return self.name

    async def close(self) -> None:
        """Close the connections."""
        return
