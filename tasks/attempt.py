"""One attempt: say it, send it, and turn whatever happens into a result."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Row

from channels.base import (
    AccountError,
    Address,
    Fate,
    Message,
    NotSentError,
    Provider,
    Receipt,
    RefusedError,
    SendError,
)
from config.settings import Settings, SettingsError
from domain import verdict
from domain.routing import glob_matches
from domain.states import DeliveryStatus
from domain.verdict import Verdict
from domain.vocabulary import Outcome, Reason, Suppression, UnknownPolicy
from pipeline.custom import SandboxAwayError
from pipeline.deliver import message
from pipeline.fold import More
from pipeline.looks import Made
from pipeline.render import RenderError
from pipeline.settle import Earlier, Result
from pipeline.suppressions import Suppressed
from tasks.accounts import Account

log = structlog.get_logger(__name__)

RENDERER_WAIT = 5.0  # seconds until a tenant's own template is tried again
THROTTLED = 5.0  # seconds, where a provider sends too many requests away and does not say for how long


@dataclass(frozen=True, slots=True)
class Try:
    """One provider's turn: `receipt` when it took the message, else `error`."""

    account: Account
    started_at: datetime
    duration_ms: int
    receipt: Receipt | None = None
    error: Exception | None = None

    @property
    def worked(self) -> bool:
        """Whether the provider did its part, if only by refusing one recipient."""
        return self.error is None or (isinstance(self.error, SendError) and not self.error.provider_failed)

    @property
    def may_pass_on(self) -> bool:
        """Certainly not sent, for a reason that another provider need not have."""
        return isinstance(self.error, NotSentError) and (self.error.provider_failed or self.error.throttled)

    @property
    def detail(self) -> str:
        """What to store and show of it."""
        if self.receipt is not None:
            return self.receipt.detail
        return self.error.detail if isinstance(self.error, SendError) else f"unexpected {type(self.error).__name__}"


def words(row: Row[Any], channel: str, more: More, made: Made, provider: Provider) -> Message | Result:
    """The message of a delivery, or the result when it cannot be put into words."""
    try:
        # Previews are kept for whoever may look at them.
        return message(row, channel, more, made, reveal=provider.name != "preview")
    except SandboxAwayError:
        return Result(row.id, verdict.postponed(row.failures, Reason.RENDERER_BUSY, RENDERER_WAIT))
    except Exception as error:
        return not_rendered(row, channel, provider.name, error)


def not_rendered(row: Row[Any], channel: str, provider: str, error: Exception) -> Result:
    """The result of what cannot be put into words, or has no address that can be read; a person mends it."""
    detail = str(error)[:500]
    if not isinstance(error, RenderError | SettingsError):  # a bug; the others of the batch must not pay for it
        log.error("not_rendered", delivery_id=row.id, channel=channel, exc_info=error)
        detail = f"unexpected {type(error).__name__}"
    result = Result(row.id, verdict.not_rendered(row.failures), provider, datetime.now(UTC), detail=detail)
    _tell(row, channel, result)
    return result


async def try_once(row: Row[Any], account: Account, said: Message, where: Address) -> Try:
    """Send by one provider. Never raises."""
    began, at = monotonic(), datetime.now(UTC)
    receipt, error = None, None
    try:
        # The provider keeps its own deadline; this one is for bugs.
        async with asyncio.timeout(account.provider.capabilities.deadline + 1.0):
            receipt = await account.provider.send(said, where)
    except SendError as problem:
        error = problem
    except Exception as bug:  # nobody knows what left
        log.exception("provider_bug", delivery_id=row.id, channel=account.provider.channel)
        return Try(account, at, _since(began), error=bug)
    return Try(account, at, _since(began), receipt, error)


def on_account(said: Message, row: Row[Any], account: Account, settings: Settings) -> Message:
    """The same message as this account sends it: its sender, its session with the recipient."""
    match account.provider.channel:
        case "email":
            return replace(said, sender=account.sender(row.type) or _sender(row.type, settings))
        case "whatsapp":
            return replace(said, in_session=row.in_own_session if account.tenant else row.in_session)
        case _:
            return said


def concluded(
    row: Row[Any], channel: str, tries: Sequence[Try], said: Message, where: Address, settings: Settings
) -> Result:
    """What the turns of one or more providers come to. The last one decides; the others certainly did not send."""
    last = tries[-1]
    provider = last.account.provider
    result = Result(
        row.id,
        _verdict(row, tries, settings),
        provider.name,
        last.started_at,
        last.duration_ms,
        last.detail,
        earlier=[
            Earlier(one.account.provider.name, one.started_at, one.duration_ms, Outcome.FAILED, one.detail)
            for one in tries[:-1]
        ],
    )
    if last.receipt is not None:
        _take_down(result, last.receipt, row, said, where, provider, settings)
    elif isinstance(last.error, RefusedError):
        _heed(result, last.error.fate, row, provider)
    if result.verdict.status is not DeliveryStatus.SENT:
        _tell(row, channel, result)
    return result


def _verdict(row: Row[Any], tries: Sequence[Try], settings: Settings) -> Verdict:
    last = tries[-1]
    match last.error:
        case None:
            return verdict.sent(row.failures, preview=last.account.provider.name == "preview")
        case RefusedError(fate=Fate.DEACTIVATE):
            return verdict.device_gone(row.failures)
        case RefusedError():
            return verdict.refused(row.failures)
        case NotSentError():
            return _not_sent(row, [one.error for one in tries if isinstance(one.error, NotSentError)], settings)
        case _:
            policy = policy_of(last.account.provider, settings)
            return verdict.unknown(row.failures, settings.retry_schedule, random.random(), policy)


def policy_of(provider: Provider, settings: Settings) -> UnknownPolicy:
    """What follows when nobody can say whether it was sent."""
    return settings.on_unknown.get(provider.channel, provider.capabilities.on_unknown)


def _not_sent(row: Row[Any], errors: Sequence[NotSentError], settings: Settings) -> Verdict:
    """A retry is used up only where it was more than our account or our pace that was at fault."""
    ordinary = [error for error in errors if not error.throttled and not isinstance(error, AccountError)]
    if ordinary:
        asked = ordinary[-1].retry_after
        return verdict.failed(row.failures, settings.retry_schedule, random.random(), asked)
    throttled = [error.retry_after or THROTTLED for error in errors if error.throttled]
    if throttled:
        return verdict.blocked(row.failures, Reason.RATE_LIMITED, min(throttled))
    return verdict.blocked(row.failures, Reason.ACCOUNT_REJECTED, settings.breaker_seconds)


def _take_down(
    result: Result,
    receipt: Receipt,
    row: Row[Any],
    said: Message,
    where: Address,
    provider: Provider,
    settings: Settings,
) -> None:
    """What the provider answered when it took the message."""
    result.message_id, result.moved_to, result.segments = receipt.message_id, receipt.moved_to, receipt.segments
    if receipt.segments is not None:
        result.cost = receipt.segments * settings.sms_price
    if provider.name == "preview":
        result.preview = _preview(row, provider.channel, said, where)


def _heed(result: Result, fate: Fate, row: Row[Any], provider: Provider) -> None:
    """What a refusal says of the address."""
    if fate is Fate.SUPPRESS:
        result.suppress = Suppressed(
            tenant=row.tenant,
            channel=provider.channel,
            address=row.address,
            reason=Suppression.PERMANENT_BOUNCE,
            source="refusal",
            provider=provider.name,
            delivery_id=row.id,
        )
    elif fate is Fate.DEACTIVATE:
        result.deactivate = row.address


def _sender(event_type: str, settings: Settings) -> str | None:
    """Whom an email of this type comes from; None: from everybody's sender."""
    return next((sender for glob, sender in settings.email_senders if glob_matches(glob, event_type)), None)


def _preview(row: Row[Any], channel: str, said: Message, where: Address) -> dict[str, Any]:
    """What would have been sent, as the preview mailbox keeps it."""
    return {
        "delivery_id": row.id,
        "tenant": row.tenant,
        "channel": channel,
        "address": row.address if channel == "apprise" else where.value,  # an Apprise address is full of secrets
        "title": said.title,
        "text": said.text,
        "html": said.html,
    }


def _since(began: float) -> int:
    return round((monotonic() - began) * 1000)


def _tell(row: Row[Any], channel: str, result: Result) -> None:
    log.warning(
        "not_sent",
        delivery_id=row.id,
        event_id=row.event_id,
        notification_id=row.notification_id,
        channel=channel,
        provider=result.provider,
        outcome=result.verdict.outcome,
        status=result.verdict.status,
        reason=result.verdict.reason,
        detail=result.detail,
    )
