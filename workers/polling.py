"""Asks Telegram for updates, for those whom it cannot call: `python -m workers.polling`.

Runs where BELLWIRE_TELEGRAM_UPDATES is `polling`. One for each bot: Telegram answers a second one with a conflict.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final

import structlog
from sqlalchemy.exc import TimeoutError as NoConnectionError

from channels.base import AccountError, NotSentError, SendError
from channels.telegram_calls import UPDATES, BotApi, Call
from config.logging import configure
from config.settings import SettingsError, settings
from models.engine import DATABASE_AWAY, engine
from tasks.telegram import reply, store
from workers.pulse import beat
from workers.stack.readiness import announce

log = structlog.get_logger(__name__)

ASK: Final = 20  # seconds that Telegram may wait for something to happen; below the 30 s of `workers.pulse`
GRACE: Final = 5.0  # seconds that the answer may take on top
FIRST_WAIT: Final = 1.0  # seconds after a failure, doubled with each further one
LONGEST_WAIT: Final = 20.0
DATABASE_WAIT: Final = 2.0  # seconds until the same updates are asked for again


class Poller:
    """One bot. What was stored is confirmed with the next question, so a killed process loses and doubles nothing."""

    def __init__(self, bot: BotApi, ask: int = ASK) -> None:
        self._bot = bot
        self._ask = ask
        self._offset = 0
        self._wait = FIRST_WAIT

    async def run(self, stop: asyncio.Event) -> None:
        """Take updates until the process is asked to end, whatever breaks meanwhile."""
        while not stop.is_set():
            updates = await self._until(stop, self._updates())
            if updates is None:
                break
            beat("polling")
            if not await self._take(updates):
                await self._until(stop, asyncio.sleep(DATABASE_WAIT))

    async def _updates(self) -> list[Any]:
        """What has happened since the last question; it is asked again until there is an answer."""
        while True:
            fields = {"offset": self._offset, "timeout": self._ask, "allowed_updates": list(UPDATES)}
            try:
                found = await self._bot.call(Call("getUpdates", fields), self._ask + GRACE)
                self._wait = FIRST_WAIT
                return found if isinstance(found, list) else []
            except SendError as error:
                log.warning("telegram_not_heard", problem=_advice(error))
                beat("polling")
                asked = getattr(error, "retry_after", None) or 0.0
                await asyncio.sleep(max(self._wait, min(asked, LONGEST_WAIT)))
                self._wait = min(self._wait * 2, LONGEST_WAIT)

    async def _take(self, updates: Sequence[Any]) -> bool:
        """Store them in their order, and answer. False when the database is away: they will be asked for again."""
        for update in updates:
            number = update.get("update_id") if isinstance(update, dict) else None
            try:
                answered = await asyncio.to_thread(store, update)
            except (*DATABASE_AWAY, NoConnectionError) as error:
                log.warning("database_away", problem=type(getattr(error, "orig", error)).__name__)
                return False
            except Exception:  # a bug; the others must not pay for it
                log.exception("update_not_taken", update_id=number)
                answered = None
            if isinstance(number, int):
                self._offset = max(self._offset, number + 1)
            if answered is not None:
                await reply(self._bot, answered)
        return True

    async def _until(self, stop: asyncio.Event, what: Any) -> Any:
        """Its result, or None when the process is to end before there is one."""
        working, stopping = asyncio.ensure_future(what), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            for one in (working, stopping):
                one.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)


def _advice(error: SendError) -> str:
    """What is wrong, and what a person can do about it."""
    if isinstance(error, AccountError):
        return f"{error.detail}; see BELLWIRE_TELEGRAM_BOT_TOKEN"
    if isinstance(error, NotSentError) and "HTTP 409" in error.detail:
        return "another process asks for this bot's updates, or it has a webhook: `bellwire telegram webhook --remove`"
    return error.detail


async def _run(bot: BotApi) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    announce()
    beat("polling")
    log.info("asking")
    try:
        await Poller(bot).run(stop)
    finally:
        await bot.close()


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    configure(settings().log_level)
    bot = BotApi.from_settings(settings())
    if bot is None:
        raise SettingsError("BELLWIRE_TELEGRAM_BOT_TOKEN: is not set, so there is no bot to ask for updates")
    asyncio.run(_run(bot))
    engine().dispose()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SettingsError as error:
        sys.exit(str(error))
