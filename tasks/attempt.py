"""One attempt: say it, send it, and turn whatever happens into a result."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Row

from channels.base import Address, Message, NotSentError, OutcomeUnknownError, Provider, RefusedError
from config.settings import SettingsError
from domain import verdict
from domain.states import DeliveryStatus
from pipeline.deliver import Result, address, message
from pipeline.render import RenderError

log = structlog.get_logger(__name__)


async def attempt(row: Row[Any], provider: Provider, schedule: tuple[int, ...]) -> tuple[Result, bool | None]:
    """Send one claimed delivery. Never raises.

    Returns:
        What it came to, and whether the provider did its part; None when that was not put to the test.
    """
    result = Result(row.id, verdict.sent(row.failures), provider.name, datetime.now(UTC))
    began = monotonic()
    said = _words(row, provider, result)
    worked = None if said is None else await _send(row, provider, said, result, schedule)
    result.duration_ms = round((monotonic() - began) * 1000)
    if result.verdict.status is not DeliveryStatus.SENT:
        _tell(row, provider, result)
    return result, worked


def _words(row: Row[Any], provider: Provider, result: Result) -> tuple[Message, Address] | None:
    try:
        return message(row, provider.channel), address(row, datetime.now(UTC))
    except (RenderError, SettingsError) as error:
        result.detail = str(error)[:500]
    except Exception as error:  # a bug; the others of the batch must not pay for it
        log.exception("not_rendered", delivery_id=row.id, channel=provider.channel)
        result.detail = f"unexpected {type(error).__name__}"
    result.verdict = verdict.not_rendered(row.failures)
    return None


async def _send(
    row: Row[Any], provider: Provider, said: tuple[Message, Address], result: Result, schedule: tuple[int, ...]
) -> bool:
    """Write the verdict into `result`. Whether the provider did its part, if only by refusing one recipient."""
    try:
        # The provider keeps its own deadline; this one is for bugs.
        async with asyncio.timeout(provider.capabilities.deadline + 1.0):
            receipt = await provider.send(*said)
    except NotSentError as error:
        result.verdict = verdict.failed(row.failures, schedule, random.random(), error.retry_after)
        result.detail = error.detail
        return not error.provider_failed
    except RefusedError as error:
        result.verdict, result.detail = verdict.refused(row.failures), error.detail
        return not error.provider_failed
    except Exception as error:
        if isinstance(error, OutcomeUnknownError):
            result.detail = error.detail
        else:  # a bug in a provider: nobody knows what left
            log.exception("provider_bug", delivery_id=row.id, channel=provider.channel)
            result.detail = f"unexpected {type(error).__name__}"
        result.verdict = verdict.unknown(row.failures, schedule, random.random(), provider.capabilities.on_unknown)
        return False
    preview = provider.name == "preview"
    result.verdict = verdict.sent(row.failures, preview=preview)
    result.detail, result.message_id, result.moved_to = receipt.detail, receipt.message_id, receipt.moved_to
    if preview:
        result.preview = _preview(row, provider.channel, *said)
    return True


def _preview(row: Row[Any], channel: str, said: Message, where: Address) -> dict[str, Any]:
    """What would have been sent, as the preview mailbox keeps it."""
    return {
        "delivery_id": row.id,
        "tenant": row.tenant,
        "channel": channel,
        "address": where.value,
        "title": said.title,
        "text": said.text,
        "html": said.html,
    }


def _tell(row: Row[Any], provider: Provider, result: Result) -> None:
    log.warning(
        "not_sent",
        delivery_id=row.id,
        event_id=row.event_id,
        notification_id=row.notification_id,
        channel=provider.channel,
        outcome=result.verdict.outcome,
        status=result.verdict.status,
        reason=result.verdict.reason,
        detail=result.detail,
    )
