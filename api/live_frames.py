"""What a connection is shown, in the three framings: Server-Sent Events, JSON over WebSocket, Socket.IO (D-17, E-9)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Literal

from pipeline.inbox import Frame

Kind = Literal["notification", "acknowledged", "unread_count", "broadcast", "error", "pong"]

HEARTBEAT: Final = b": heartbeat\n\n"
INVALID: Final = "Invalid message format"


class Shown:
    """One thing to show, encoded at most once a framing however many connections it goes to.

    Attributes:
        sequence: a notification's number in the inbox; None for what has none and cannot be asked for again.
        customer: the customer it is about; those who may not see that customer do not get it.
    """

    def __init__(
        self, kind: Kind, data: Mapping[str, Any], sequence: int | None = None, customer: str | None = None
    ) -> None:
        self.kind = kind
        self.data = data
        self.sequence = sequence
        if kind == "notification":
            customer = data.get("customer_id")
        self.customer: str | None = str(customer).lower() if customer else None

    @classmethod
    def of(cls, frame: Frame) -> Shown:
        """A notification as the inbox has it."""
        return cls("notification", frame.notification, frame.sequence)

    @cached_property
    def event(self) -> bytes:
        """For Server-Sent Events. Notifications have no ``event:`` line: ``onmessage`` gets them and nothing else."""
        number = "" if self.sequence is None else f"id: {self.sequence}\n"
        name = "" if self.kind == "notification" else f"event: {self.kind}\n"
        return f"{number}{name}data: {_json(self.data)}\n\n".encode()

    @cached_property
    def message(self) -> str:
        """For WebSocket."""
        document: dict[str, Any] = {"type": self.kind, "data": self.data}
        if self.kind == "notification":
            document["sequence"] = self.sequence
        return _json(document)

    @cached_property
    def packet(self) -> str:
        """For Socket.IO. With one argument, as handlers everywhere take it: the number is among the data."""
        numbered = {**self.data, "sequence": self.sequence} if self.kind == "notification" else self.data
        return _event_packet(self.kind, numbered)


def unread_count(unread: int) -> Shown:
    """How many a user has not read (A-32)."""
    return Shown("unread_count", {"unread": unread})


def opening(sequence: int, retry_ms: int) -> bytes:
    """What a stream begins with. The number alone reaches no listener but comes back as Last-Event-ID, so that a client
    which was cut off before its first notification misses none."""
    return f"retry: {retry_ms}\nid: {sequence}\n\n".encode()


def acknowledged(connection_id: str, sequence: int) -> str:
    """What a WebSocket begins with (E-5)."""
    data = {"connectionId": connection_id, "timestamp": moment()}
    return _json({"type": "connection_ack", "data": data, "sequence": sequence})


def greeting(connection_id: str, sequence: int) -> str:
    """What a Socket.IO connection begins with (E-5)."""
    data = {"connectionId": connection_id, "timestamp": moment(), "sequence": sequence}
    return _event_packet("connection_ack", data)


def moment() -> str:
    """Now, as the API writes moments."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event_packet(name: str, data: Mapping[str, Any]) -> str:
    """An event of the main namespace, as revision 5 of the Socket.IO protocol has it."""
    return f"2{_json([name, data])}"


def _json(content: Any) -> str:
    # In ASCII: what a direct frame says was never stored, and half a surrogate pair has no UTF-8.
    return json.dumps(content, separators=(",", ":"))
