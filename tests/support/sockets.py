"""Tabs with a real Socket.IO client, in the same thread as the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import httpx

from tests.support.streams import Browser, Tab
from tests.support.waiting import wait_until

Transport = Literal["polling", "websocket"]
BOTH: tuple[Transport, ...] = ("polling", "websocket")
PATH = "/socket.io/"


class SocketTab(Tab):
    """One client. With `reconnects` it comes back by itself and goes on after the last number that it has.

    Attributes:
        client: python-socketio's.
        refused: what `connect_error` said, in order.
        connected: how often it was let in.
    """

    def __init__(self, reconnects: bool) -> None:
        super().__init__()
        self.client: Any = import_module("socketio").AsyncClient(
            reconnection=reconnects,
            reconnection_delay=0.1,
            reconnection_delay_max=0.3,
            handle_sigint=False,
        )
        self.refused: list[Any] = []
        self.connected = 0
        self.client.on("connect", self._connected)
        self.client.on("connect_error", self._refused)
        self.client.on("disconnect", self._disconnected)
        self.client.on("notification", self._notified)
        self.client.on("*", self._told)

    def why_refused(self) -> Any:
        """What `connect_error` said."""
        return wait_until(lambda: self.refused, "a refusal", 10)[0]

    def let_in(self) -> bool:
        """Whether it was let in, once that is known."""
        wait_until(lambda: self.is_open or self.refused, "an answer", 10)
        return self.is_open

    async def _connected(self) -> None:
        self.connected += 1

    async def _refused(self, why: Any) -> None:
        self.refused.append(why)

    async def _disconnected(self, reason: str) -> None:
        self.reason = reason
        self.is_open, self.ended = False, True

    async def _notified(self, notification: dict[str, Any]) -> None:
        self.numbers.append(notification.pop("sequence"))
        self.notifications.append(notification)

    async def _told(self, event: str, data: Any) -> None:
        self.others.append((event, data))
        if event == "connection_ack":
            self.is_open, self.ended = True, False


def open_socket(
    browser: Browser,
    url: str | Callable[[], str],
    transport: Transport | None,
    auth: Any = None,
    *,
    opened: bool = True,
    reconnects: bool = False,
    query: str = "",
    **headers: str,
) -> SocketTab:
    """Open one; `opened`: wait until it is. Without `transport` it polls first and then goes over to a WebSocket."""
    tab = SocketTab(reconnects)
    browser.clients.append(tab.client)

    def since() -> Any:
        return {**auth, "since": tab.numbers[-1]} if reconnects and tab.numbers else auth

    where = f"{url}{query}" if isinstance(url, str) else url
    transports = None if transport is None else [transport]
    browser.wait(tab.client.connect(where, headers, since, transports, wait=False))
    if opened:
        assert tab.settled().is_open, (tab.refused, tab.reason)
    return tab


def close_socket(browser: Browser, tab: SocketTab) -> None:
    """Close it, as its user does."""
    browser.wait(tab.client.disconnect())


def begin_polling(client: httpx.Client) -> dict[str, str]:
    """Open a session that polls; what each of its requests has in its address."""
    opened = client.get(PATH, params={"EIO": "4", "transport": "polling"})
    return {"EIO": "4", "transport": "polling", "sid": json.loads(opened.text[1:])["sid"]}
