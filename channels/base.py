"""What every way out has in common: a message and an address go in, a receipt or one of the errors comes out.

A provider knows no table, no task and no retry; it says what happened and the pipeline decides what follows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self

from config.settings import Settings, SettingsError
from domain.vocabulary import Priority, UnknownPolicy


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with an email. `content` is the decoded bytes."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Template:
    """A message that the provider keeps and has approved; only its places are filled (WhatsApp).

    `name`, `language`: empty for those that the account is configured with. `parameters`: the texts of its places, in
    their order.
    """

    name: str
    language: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """What is said to one recipient on one channel, already rendered.

    Attributes:
        delivery_id: constant over attempts; providers that take an idempotency key get this one.
        title: the subject of an email, the title of a push; None where a channel has none.
        text: the plain text (email), the whole message (Telegram: MarkdownV2, SMS: plain), the body of a push.
        html: the HTML part of an email.
        body: the exact bytes of a webhook's request.
        sender: ``Name <address>`` that an email comes from; None: the provider's own.
        sender_name: what the sender is called instead, where `sender` is None.
        reply_to: where answers to an email go; None: to the sender.
        unsubscribe: the one-click address of RFC 8058; None where nobody can unsubscribe.
        data: what an app is told beside the words (push): the event's data without secrets.
        link: where it leads when it is opened.
        image: a picture (push, WhatsApp), an https address.
        badge: how many notifications the user has not read (push); None: not known.
        expires_in: seconds after which nobody wants it any more; None: the channel's default.
        template: what WhatsApp sends outside the 24 hours after the user's last word.
        in_session: the user has written to us within these hours.
        acknowledge: what a button answers with, so that it can be acknowledged from the chat (Telegram, 64 bytes).
        button: what that button says.
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
    user_id: str | None = None
    priority: Priority = Priority.NORMAL
    sender: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None
    unsubscribe: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    link: str | None = None
    image: str | None = None
    badge: int | None = None
    expires_in: float | None = None
    template: Template | None = None
    in_session: bool = False
    acknowledge: str | None = None
    button: str = "Acknowledge"


Platform = Literal["ios", "android", "web"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes.

    Attributes:
        value: an email address, a phone number (E.164), a chat id, a URL, a push token.
        name: the person's name, if known (email).
        endpoint: the id of a registered webhook; breakers are counted by it.
        secrets: signing keys of a webhook (raw bytes), newest first; two while one rotates.
        headers: extra headers of a webhook.
        platform: of a push token; decides which provider carries it. A web token is the subscription as JSON.
    """

    value: str
    name: str | None = None
    endpoint: str | None = None
    secrets: tuple[bytes, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider accepted the message.

    Attributes:
        message_id: the provider's own id, by which its later receipts find this delivery.
        detail: what it answered, short, without bodies, addresses or secrets: ``HTTP 204``.
        moved_to: the address has changed for good (a Telegram group that became a supergroup).
        segments: in how many parts a text message travels; it is paid by the part.
    """

    message_id: str | None = None
    detail: str = ""
    moved_to: str | None = None
    segments: int | None = None


class SendError(Exception):
    """Base of the errors. `detail` is stored and shown: no bodies, no addresses, no secrets.

    Attributes:
        provider_failed: counts against the provider's breaker (a refusal of one recipient does not).
    """

    provider_failed: bool

    def __init__(self, detail: str, *, provider_failed: bool) -> None:
        super().__init__(detail)
        self.detail = detail[:500]
        self.provider_failed = provider_failed


class NotSentError(SendError):
    """Certainly not sent: it may be tried again freely, and by another provider at once.

    Attributes:
        retry_after: seconds that the provider asks us to wait, None if it does not say.
        throttled: we send too fast for the account: everything on it waits for `retry_after`, and nothing is used up.
    """

    def __init__(
        self,
        detail: str,
        *,
        retry_after: float | None = None,
        provider_failed: bool = True,
        throttled: bool = False,
    ) -> None:
        super().__init__(detail, provider_failed=provider_failed)
        self.retry_after = retry_after
        self.throttled = throttled


class AccountError(NotSentError):
    """The provider does not accept our account: credentials, a sender that is not verified, an empty balance.

    Nothing is wrong with the message, so it waits, uses up no retry, and a person is told once.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail, provider_failed=True)


class Fate(StrEnum):
    """What a refusal says of the address itself."""

    NONE = "none"  # nothing: it was the message
    SUPPRESS = "suppress"  # it does not exist or does not want us: it goes on the suppression list
    DEACTIVATE = "deactivate"  # a push token that is no more


class RefusedError(SendError):
    """Permanent: the same message to the same address will be refused again.

    `fate`: what follows for the address; whoever refused the message only says `Fate.NONE`.
    """

    def __init__(self, detail: str, *, provider_failed: bool = False, fate: Fate = Fate.NONE) -> None:
        super().__init__(detail, provider_failed=provider_failed)
        self.fate = fate


class OutcomeUnknownError(SendError):
    """The bytes left and no answer came: it was sent or it was not, nobody can say."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, provider_failed=True)


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """How many sends may be under way. The same for all providers of a channel.

    `shared`: counted over all workers (house: a delivery holds a slot in the database), else per process.
    `waiting`: how many more may be claimed and wait for a free send (A-25).
    """

    concurrent: int
    waiting: int = 0
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """A provider's published rate limit: `amount` messages in `seconds`, over all workers.

    `scope`: counted for the whole account, or for each address on it.
    """

    amount: int
    seconds: int = 1
    scope: Literal["account", "address"] = "account"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider declares about itself.

    Attributes:
        parts: which of ``title text html body attachments`` it carries.
        deadline: seconds after which one attempt has ended, whatever the other side does.
        idempotent: a repeated delivery id is sent once only by the provider.
        receipts: it reports later what became of a message.
        limits: its published rate limits, with the page that says so beside the declaration.
        platforms: the kinds of push token that it carries; empty for all other channels.
    """

    parts: frozenset[str]
    bulkhead: Bulkhead
    deadline: float = 10.0
    idempotent: bool = False
    receipts: bool = False
    on_unknown: UnknownPolicy = UnknownPolicy.RESEND
    limits: tuple[Limit, ...] = ()
    platforms: frozenset[Platform] = frozenset()


class Provider(ABC):
    """One way out. One object per account and process, used on one event loop, with its connections kept open.

    `credentials`: what a tenant sets to use an account of its own, by the name in the API, and the setting that it
    stands for (``{"api_key": "resend_api_key"}``). Empty: tenants have none of their own.
    `tenant`: whose own account it is; None: the installation's.
    """

    channel: ClassVar[str]
    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    credentials: ClassVar[Mapping[str, str]] = {}
    tenant: str | None = None

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """The provider as configured, or None when its account or address is not set. Opens no connection.

        Raises:
            SettingsError: a setting of its cannot be used; the text names the variable.
        """

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """The provider with a tenant's own account, None when something that it needs is missing.

        What the tenant did not set is unset: nothing of the installation's account is ever mixed in.

        Args:
            credentials: by the names of `credentials`.

        Raises:
            SettingsError: one cannot be used; the text names it as the API does and does not repeat it.
        """
        if unknown := sorted(credentials.keys() - cls.credentials.keys()):
            raise SettingsError(f"{unknown[0]}: {cls.name} has no such credential")
        fields = Settings.model_fields
        own = {
            setting: credentials.get(name, fields[setting].get_default(call_default_factory=True))
            for name, setting in cls.credentials.items()
        }
        try:
            return cls.from_settings(Settings(_env_file=None, **{**dict(settings), **own}))
        except SettingsError as error:
            said = str(error)
            # The longest first: one setting's name may be the beginning of another's.
            for name, setting in sorted(cls.credentials.items(), key=lambda one: len(one[1]), reverse=True):
                said = said.replace(f"BELLWIRE_{setting.upper()}", name)
            raise SettingsError(said) from None

    @abstractmethod
    async def send(self, message: Message, address: Address) -> Receipt:
        """Send once.

        Raises:
            NotSentError, AccountError, RefusedError, OutcomeUnknownError: nothing else; anything else is a bug and
                counts as unknown.
        """

    def carries(self, address: Address) -> bool:
        """Whether it is for this kind of address at all (a push token of its platform)."""
        platforms = self.capabilities.platforms
        return not platforms or address.platform in platforms

    def breaker_key(self, address: Address) -> str:
        """What the breaker counts by, within a tenant."""
        return self.name

    async def close(self) -> None:
        """Close the connections."""
        return
