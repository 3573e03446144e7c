"""Updates from Telegram, whichever way they came in: do what was pressed, commit, then tell Telegram."""

from __future__ import annotations

import asyncio

import structlog

from channels.base import RefusedError, SendError
from channels.telegram_calls import DEADLINE, BotApi
from config.settings import Settings, settings
from models.engine import transaction
from pipeline.inbox_reading import unread
from pipeline.telegram import Answered, answer
from tasks.live import show_acknowledged, show_unread

log = structlog.get_logger(__name__)


def take_update(update: object, *, account: str = "", own: Settings | None = None) -> None:
    """Take one update and answer it; for a thread without an event loop.

    Twice the same update changes nothing. Takes `DEADLINE` seconds more at the most when Telegram is slow.

    Args:
        update: of any form; whoever calls has proved that Telegram sent it.
        account: the tenant whose own bot it came to; empty: the installation's.
        own: the settings with that tenant's bot; by default the installation's.

    Raises:
        DBAPIError: nothing was done; Telegram sends it again.
    """
    answered = store(update, account)
    if answered is None:
        return
    bot = BotApi.from_settings(own or settings())
    if bot is None:
        log.warning("telegram_not_answered", problem="no bot's token is set")
        return
    asyncio.run(_reply_and_close(bot, answered))


def store(update: object, account: str = "") -> Answered | None:
    """Do what an update asks for, in a transaction of its own, and show to open tabs who has taken what, and the new
    count of unread ones to his own; what Telegram is to be told of it."""
    with transaction() as connection:
        answered = answer(connection, update, account=account)
        reader = None if answered is None else answered.read_by
        count = 0 if reader is None else unread(connection, tenant=reader[0], user_id=reader[1])
    if answered is not None and answered.taken is not None:
        show_acknowledged(*answered.taken)
    if reader is not None:
        show_unread(*reader, count)
    return answered


async def reply(bot: BotApi, answered: Answered) -> None:
    """Tell Telegram, within `DEADLINE` seconds for all of it. A failure is logged: what was pressed is stored."""
    try:
        async with asyncio.timeout(DEADLINE):
            for call in answered.calls:
                try:
                    await bot.call(call)
                except RefusedError as error:  # too late for this one, as for a press that is an hour old
                    log.info("telegram_call_refused", method=call.method, problem=error.detail)
    except (SendError, TimeoutError) as error:
        log.warning("telegram_not_answered", problem=getattr(error, "detail", "no answer in time"))


async def _reply_and_close(bot: BotApi, answered: Answered) -> None:
    try:
        await reply(bot, answered)
    finally:
        await bot.close()
