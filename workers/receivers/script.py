"""What a receiver does, request by request, and what it remembers of each."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Fault(StrEnum):
    """How a receiver misbehaves instead of answering."""

    HANG = "hang"  # takes everything, then never answers
    RESET_EARLY = "reset_early"  # resets without having taken anything
    RESET = "reset"  # takes everything, then resets
    HANG_UP = "hang_up"  # takes everything, then closes politely without an answer
    TRICKLE = "trickle"  # answers one byte a second
    TRICKLE_BODY = "trickle_body"  # the head at once, the body one byte a second
    ENDLESS_BODY = "endless_body"  # the head at once, then bytes without end
    NONSENSE = "nonsense"  # answers something that is not the protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `wait`: seconds before it; `status` is an HTTP status or an SMTP code."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One thing that arrived whole.

    Attributes:
        key: by which duplicates are counted: the delivery's id, or what stands for it.
        target: the path, the chat, the recipient.
        accepted: whether the receiver said yes to it.
        connection: the number of the connection it came over, from 1.
    """

    key: str
    target: str
    body: bytes
    accepted: bool
    connection: int
    headers: Mapping[str, str] = field(default_factory=dict)
    at: float = field(default_factory=time.monotonic)


class Script:
    """Answers in order, for one target; the last one repeats. With `each`, every key starts at the first."""

    def __init__(self, *replies: Reply, each: bool = False) -> None:
        self._replies = replies or (Reply(),)
        self._each = each
        self._turns: Counter[str] = Counter()

    def next(self, key: str) -> Reply:
        """The answer to the next request with this key."""
        turn = key if self._each else ""
        reply = self._replies[min(self._turns[turn], len(self._replies) - 1)]
        self._turns[turn] += 1
        return reply


class Ledger:
    """What arrived and who is connected, for threads that wait for it."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0  # ever opened
        self.open_connections = 0
        self._scripts: dict[str, Script] = {}
        self._changed = threading.Condition()

    def script(self, target: str, *replies: Reply, each: bool = False) -> None:
        """Decide the answers for a target; ``*`` stands for all that have none of their own."""
        self._scripts[target] = Script(*replies, each=each)

    def reply(self, target: str, key: str) -> Reply:
        """The next answer for a target."""
        script = self._scripts.get(target) or self._scripts.get("*")
        return script.next(key) if script else Reply()

    def record(self, received: Received) -> None:
        """Remember, and wake who waits."""
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()

    def connected(self) -> int:
        """Count a new connection and return its number."""
        with self._changed:
            self.connections += 1
            self.open_connections += 1
            self._changed.notify_all()
            return self.connections

    def disconnected(self) -> None:
        """Count one that is gone."""
        with self._changed:
            self.open_connections -= 1
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[Self], bool], seconds: float = 10.0) -> bool:
        """Wait until the condition holds; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), seconds)

    def times_accepted(self) -> Counter[str]:
        """How often each key was accepted; more than once is a duplicate."""
        return Counter(received.key for received in list(self.received) if received.accepted)


def reset(transport: Any) -> None:
    """Close with a reset instead of a farewell."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
