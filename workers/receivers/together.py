"""All receivers on one event loop in a thread of their own, for callers that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Protocol, Self

from workers.receivers.apns import ApnsReceiver
from workers.receivers.desks import DESKS
from workers.receivers.desks.fcm import GoogleDesk
from workers.receivers.http import HttpReceiver
from workers.receivers.lab import Lab
from workers.receivers.mail import MailReceiver
from workers.receivers.telegram import TOKEN, TelegramReceiver


class Receiver(Protocol):
    """What can be started and stopped on a loop."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Running:
    """Keeps receivers running while the block lasts."""

    def __init__(self, *receivers: Receiver) -> None:
        self._receivers = receivers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="receivers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for receiver in self._receivers:
            asyncio.run_coroutine_threadsafe(receiver.start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for receiver in self._receivers:
            asyncio.run_coroutine_threadsafe(receiver.stop(), self._loop).result(10)
        asyncio.run_coroutine_threadsafe(_finish(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _finish() -> None:
    """End what still hangs on purpose."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


class Receivers(Running):
    """One of each: `webhook`, `telegram`, `mail`, `apns`, and the `lab` of all others; with the settings to them.

    `google`: where FCM's account logs in, on a port of its own as it is on a host of its own.
    """

    def __init__(self) -> None:
        self.webhook = HttpReceiver()
        self.telegram = TelegramReceiver()
        self.mail = MailReceiver()
        self.lab = Lab(*(desk() for desk in DESKS))
        self.apns = ApnsReceiver()
        self.google = Lab(GoogleDesk())
        super().__init__(self.webhook, self.telegram, self.mail, self.lab, self.apns, self.google)

    def environment(self) -> dict[str, str]:
        """The variables with which every process of a stack sends to these receivers."""
        return {
            "BELLWIRE_SMTP_URL": self.mail.url,
            "BELLWIRE_TELEGRAM_URL": self.telegram.url,
            "BELLWIRE_TELEGRAM_BOT_TOKEN": TOKEN,
            "BELLWIRE_WEBHOOK_ALLOW_NETWORKS": "127.0.0.1/32",
        }
