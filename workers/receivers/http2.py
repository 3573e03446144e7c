"""The server's side of one HTTP/2 connection, plain enough to misbehave in the middle of a frame."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from workers.receivers.http import BYTE_EVERY

Taken = Callable[["Http2Connection", int, dict[str, str], bytes], None]


class Http2Connection(asyncio.Protocol):
    """Tells when it is opened and closed, and of every whole request: its stream, headers and body."""

    def __init__(
        self,
        opened: Callable[[Http2Connection], None],
        closed: Callable[[Http2Connection], None],
        taken: Taken,
        window: int,
    ) -> None:
        self._h2 = _Protocol(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._opened, self._closed, self._taken = opened, closed, taken
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._allowed = 1
        self._window = window
        self.transport: asyncio.Transport
        self.number = 0
        self.last_taken = 0
        self._last_to_take = 2**31 - 1  # until it says goodbye (RFC 9113, 6.8)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._opened(self)
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: self._allowed,
                SettingCodes.INITIAL_WINDOW_SIZE: self._window,
            },
        )
        self._h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except (H2Error, ValueError):
            self.flush()
            self.transport.close()
            return
        for event in events:
            self._take(event)
        self.flush()

    def _take(self, event: Any) -> None:
        match event:
            case RequestReceived():
                self._requests[event.stream_id or 0] = (dict(event.headers or ()), bytearray())  # type: ignore[arg-type]
            case DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                self._requests[event.stream_id or 0][1].extend(event.data or b"")
            case StreamEnded():
                stream = event.stream_id or 0
                headers, body = self._requests.pop(stream)
                if stream <= self._last_to_take:
                    self.last_taken = max(self.last_taken, stream)
                    self._taken(self, stream, headers, bytes(body))
            case StreamReset():
                self._requests.pop(event.stream_id or 0, None)
            case ConnectionTerminated():
                self.transport.close()

    def allow(self, streams: int) -> None:
        """Let the other side have so many requests under way."""
        if streams != self._allowed:
            self._allowed = streams
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})

    def respond(self, stream: int, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer; nothing, if the other side has gone."""
        with contextlib.suppress(H2Error):
            self._h2.send_headers(stream, [(":status", str(status)), *headers.items()], end_stream=not body)
            if body:
                self._h2.send_data(stream, body, end_stream=True)
        self.flush()

    def say_goodbye(self, last: int | None = None) -> None:
        """Nothing after the stream `last` is processed; None: nothing after what was taken by now."""
        last = self.last_taken if last is None else max(0, last)
        self._last_to_take = min(self._last_to_take, last)
        self._h2.close_connection(additional_data=b'{"reason":"Shutdown"}', last_stream_id=self._last_to_take)
        self.flush()

    def refuse(self, stream: int) -> None:
        """Nothing was done with this one."""
        self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
        self.flush()

    async def trickle(self, stream: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer, one byte at a time."""
        self._h2.send_headers(stream, list(headers.items()))
        self._h2.send_data(stream, body, end_stream=True)
        content = self._h2.data_to_send()
        for position in range(len(content)):
            self.transport.write(content[position : position + 1])
            await asyncio.sleep(BYTE_EVERY)

    async def never_end(self, stream: int, *, slowly: bool) -> None:
        """The head of a good answer at once, then a body without end, for as long as the other side takes it."""
        self._h2.send_headers(stream, [(":status", "200")])
        with contextlib.suppress(H2Error):
            while not self.transport.is_closing():
                room = self._h2.local_flow_control_window(stream)
                if room > 0:
                    self._h2.send_data(stream, b"." * (1 if slowly else min(room, 16384)))
                    self.flush()
                await asyncio.sleep(BYTE_EVERY if slowly else 0.001)

    def flush(self) -> None:
        """Send what the protocol has to say."""
        if (data := self._h2.data_to_send()) and not self.transport.is_closing():
            self.transport.write(data)


class _Protocol(H2Connection):
    """Goes on answering after its own goodbye (RFC 9113, 6.8)."""

    def close_connection(self, *arguments: Any, **named: Any) -> None:
        state = self.state_machine.state
        super().close_connection(*arguments, **named)
        self.state_machine.state = state
