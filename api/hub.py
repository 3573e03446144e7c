"""Who is connected to this process, and what each is yet to be shown. One a process, whatever the framing.

Everything here happens on the event loop and nothing waits, so one connection can hold up no other (E-11).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from time import time
from typing import Any, Final, Literal
from uuid import uuid4

from api.live_frames import Shown, moment
from api.tokens import FAR_AWAY
from tasks.live import BROADCASTS

Person = tuple[str, str]
"""Tenant and user."""

Framing = Literal["sse", "websocket", "socketio"]

KINDS: Final = ("notification", "acknowledged", "unread_count", "broadcast")

# Of a connection: what waits beyond this many is not kept but read from the database when the connection gets to it.
MOST_WAITING: Final = 100


@dataclass(frozen=True, slots=True)
class End:
    """Why a connection ends; code and reason as WebSocket has them (RFC 6455, section 7.4)."""

    code: int
    reason: str


CLOSED: Final = End(1000, "Closed by the client")
EXPIRED: Final = End(1008, "Token expired")
RESTART: Final = End(1012, "Service restart")
SLOW: Final = End(1008, "Too slow")
TROUBLE: Final = End(1011, "Internal server error")
SEND_FAILED: Final = End(1011, "Send failed")


class TooManyConnectionsError(Exception):
    """The user has as many as one may have here."""


class DrainingError(Exception):
    """This process is about to stop."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens, proved.

    Attributes:
        customers: those whose notifications may be shown, beside what is about no customer.
        expires_at: when the proof ends, in seconds since 1970.
    """

    tenant: str
    user_id: str
    customers: tuple[str, ...] = ()
    expires_at: float = float(FAR_AWAY)

    @property
    def person(self) -> Person:
        """Whose inbox it is."""
        return self.tenant, self.user_id


@dataclass(eq=False, slots=True)
class Connection:
    """One tab or device (E-1).

    Attributes:
        last: the number of the newest notification that it was shown or that passed it by.
        behind: the database is to be asked for what came after `last`.
        ended: why it is over; nothing more is shown then.
        last_ping: when something was last heard from it, in seconds since 1970.
        subscriptions: what it wants to be shown.
    """

    listener: Listener
    framing: Framing
    device_id: str | None = None
    user_agent: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid4()))
    connected_at: str = field(default_factory=moment)
    last_ping: float = field(default_factory=time)
    subscriptions: set[str] = field(default_factory=lambda: set(KINDS))
    last: int = 0
    behind: bool = False
    ended: End | None = None
    _waiting: deque[Shown] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _expiry: asyncio.TimerHandle | None = None

    def show(self, shown: Shown) -> None:
        """Let it be shown. When too much waits, what the database has is forgotten here; if that is not enough, the
        reader is too slow."""
        if self.ended is not None or not self._sees(shown):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting = deque(one for one in self._waiting if one.sequence is None and one.kind != "acknowledged")
            self.behind = True
            if len(self._waiting) >= MOST_WAITING:
                self.end(SLOW)
                return
        self._waiting.append(shown)
        self._wake.set()

    def passes(self, shown: Shown) -> bool:
        """Whether this listener may see a notification: it is about no customer, or about one of theirs."""
        return shown.customer is None or shown.customer in self.listener.customers

    def fall_behind(self) -> None:
        """Have the database asked for what was missed."""
        self.behind = True
        self._wake.set()

    def end(self, why: End) -> None:
        """Have it closed. The first reason counts."""
        if self.ended is None:
            self.ended = why
            self._waiting.clear()
            self._wake.set()

    async def take(self, patience: float) -> list[Shown]:
        """What waits; nothing when the connection has ended, is behind, or `patience` seconds are over."""
        if not (self._waiting or self.behind or self.ended):
            self._wake.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._wake.wait()
            except TimeoutError:
                return []
        taken, self._waiting = list(self._waiting), deque()
        return taken

    def expire_in_time(self) -> None:
        """Let it end when its token does."""
        rest = self.listener.expires_at - time()
        self._expiry = asyncio.get_running_loop().call_later(max(0.0, rest), self.end, EXPIRED)

    def forget(self) -> None:
        """It is closed: no timer is to keep it."""
        self.end(CLOSED)
        if self._expiry is not None:
            self._expiry.cancel()

    def _sees(self, shown: Shown) -> bool:
        # A notification that may not be seen still has a number, without which there would seem to be a gap.
        return shown.kind not in KINDS or shown.kind in self.subscriptions


class Hub:
    """The connections of this process, by id and by user (E-2).

    Attributes:
        subscribed: what other processes publish arrives here at the moment.
    """

    def __init__(self, server_id: str, most_per_user: int) -> None:
        self.server_id = server_id
        self._most = most_per_user
        self._connections: dict[str, Connection] = {}
        self._people: dict[Person, set[Connection]] = {}
        self._draining = False
        self._watchers: list[Callable[[Connection, bool], None]] = []
        self._on_count: Callable[[Person], None] = lambda _: None
        self.subscribed = False

    def watch(self, watcher: Callable[[Connection, bool], None]) -> None:
        """Have `watcher` called with each connection that comes (True) or goes."""
        self._watchers.append(watcher)

    def on_count(self, changed: Callable[[Person], None]) -> None:
        """Have `changed` called with those whose unread count is another now."""
        self._on_count = changed

    def add(self, connection: Connection) -> None:
        """Take a connection; from now on it is shown what arrives.

        Raises:
            TooManyConnectionsError: the user has too many.
            DrainingError: this process is about to stop.
        """
        if self._draining:
            raise DrainingError
        of_user = self._people.setdefault(connection.listener.person, set())
        if len(of_user) >= self._most:
            raise TooManyConnectionsError
        of_user.add(connection)
        self._connections[connection.id] = connection
        connection.expire_in_time()
        self._tell(connection, True)

    def remove(self, connection: Connection) -> None:
        """Forget a connection; nothing happens when it is not there any more (A-33)."""
        connection.forget()
        if self._connections.pop(connection.id, None) is None:
            return
        of_user = self._people[connection.listener.person]
        of_user.discard(connection)
        if not of_user:
            del self._people[connection.listener.person]
        self._tell(connection, False)

    def receive(self, channel: str, message: Mapping[str, Any]) -> None:
        """Pass on what another process published, unless it is meant for another server (E-10)."""
        if message.get("targetServerId") not in (None, self.server_id):
            return
        tenant: str = message["tenant"]
        if "acknowledged" in message:
            self._show_acknowledged(tenant, message)
            return
        user_id: str | None = message.get("userId")
        shown = _content(channel, message)
        if shown is not None:
            for connection in self._of(tenant, user_id):
                connection.show(shown)
        if "unread" in message and user_id is not None and (tenant, user_id) in self._people:
            self._on_count((tenant, user_id))

    def of(self, person: Person) -> tuple[Connection, ...]:
        """A user's connections."""
        return tuple(self._people.get(person, ()))

    def fall_behind(self, latest: Mapping[Person, int]) -> None:
        """Have those read from the database who have not seen the latest number of their inbox."""
        for person, number in latest.items():
            for connection in self._people.get(person, ()):
                if connection.last < number:
                    connection.fall_behind()

    def drain(self) -> None:
        """Have all connections closed and take no more: clients come back to whoever serves then."""
        self._draining = True
        for connection in tuple(self._connections.values()):
            connection.end(RESTART)

    @property
    def draining(self) -> bool:
        """Whether this process is about to stop."""
        return self._draining

    def people(self) -> Collection[Person]:
        """Who is connected."""
        return self._people.keys()

    def connections(self) -> tuple[Connection, ...]:
        """All connections."""
        return tuple(self._connections.values())

    def by_framing(self) -> Counter[str]:
        """How many connections there are of each kind."""
        return Counter(connection.framing for connection in self._connections.values())

    def _show_acknowledged(self, tenant: str, message: Mapping[str, Any]) -> None:
        for user_id, notification_id, customer_id in message["notifications"]:
            if connections := self._people.get((tenant, user_id)):
                data = {"id": notification_id, **message["acknowledged"]}
                shown = Shown("acknowledged", data, customer=customer_id)
                for connection in connections:
                    connection.show(shown)

    def _of(self, tenant: str, user_id: str | None) -> Iterable[Connection]:
        """A user's connections, or the whole tenant's for None."""
        if user_id is not None:
            return self._people.get((tenant, user_id), ())
        return [one for one in self._connections.values() if one.listener.tenant == tenant]

    def _tell(self, connection: Connection, came: bool) -> None:
        for watcher in self._watchers:
            watcher(connection, came)


def _content(channel: str, message: Mapping[str, Any]) -> Shown | None:
    """What a message of ours has to show: a broadcast or a notification."""
    if channel == BROADCASTS:
        return Shown("broadcast", {name: message[name] for name in ("message", "senderId", "timestamp")})
    if "notification" in message:
        return Shown("notification", message["notification"], message.get("sequence"))
    return None
