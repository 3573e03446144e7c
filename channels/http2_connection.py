"""One HTTP/2 connection: many requests at once, each of which ends with an answer or one of the errors.

On the protocol library `h2`: a general client hides whether a request was processed, and costs several times the CPU.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final, NamedTuple, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes

from channels.base import NotSentError, OutcomeUnknownError, SendError
from channels.http import ANSWER_LIMIT

QUIET: Final = 30.0  # seconds without a byte, after which a connection is asked whether it still lives
PING_TIMEOUT: Final = 1.0
MOST_STREAMS: Final = 1000  # at once on the connection, whatever the other side would take
LAST_STREAM: Final = 2**31 - 1  # numbers are not used twice (RFC 9113, 5.1.1)

Headers = Sequence[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What came back. `body` holds at most `ANSWER_LIMIT` bytes; of a 200 it is empty."""

    status: int
    body: bytes


class NotProcessedError(NotSentError):
    """The other side said that it did nothing with the request, so it may go out again at once."""

    def __init__(self) -> None:
        super().__init__("the server closed the connection before it took the request")


class _Protocol(H2Connection):
    """Goes on reading after a goodbye: requests under way may still be answered (RFC 9113, 6.8)."""

    def _receive_goaway_frame(self, frame: Any) -> Any:
        state = self.state_machine.state
        result = super()._receive_goaway_frame(frame)
        self.state_machine.state = state
        return result


class _Stream:
    """One request under way. `unsent`: the rest of its body, for which the window had no room."""

    __slots__ = ("answer", "body", "ended", "status", "unsent")

    def __init__(self, unsent: bytes, answer: asyncio.Future[Answer]) -> None:
        self.unsent = unsent
        self.answer = answer
        self.status = 0
        self.body = b""
        self.ended = False

    def answered(self) -> None:
        if not self.answer.done():
            self.answer.set_result(Answer(self.status, self.body))

    def failed(self, error: SendError) -> None:
        """Ends it, unless its status is known: that stands, however the body ends."""
        if self.status:
            self.answered()
        elif not self.answer.done():
            self.answer.set_exception(error)


class Connection(asyncio.Protocol):
    """One connection. Is thrown away when it `is_closing`; what is under way on it may still end well."""

    def __init__(self) -> None:
        # Headers are built by us from checked values, so checking them again would only cost.
        self._h2 = _Protocol(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._streams: dict[int, _Stream] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._most = 0  # until the other side says how many it takes; waiting for it costs one round trip
        self._pong: asyncio.Future[None] | None = None
        self.is_closing = False
        self.heard = monotonic()

    @property
    def is_silent(self) -> bool:
        """Whether it should be asked if it still lives: routers forget connections that are quiet for long."""
        return not self._streams and monotonic() - self.heard > QUIET

    @property
    def is_closed(self) -> bool:
        return self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        wrapped = transport.get_extra_info("ssl_object")
        if wrapped is not None and wrapped.selected_alpn_protocol() != "h2":
            self.is_closing = True  # before a byte of ours was sent
            return
        self._h2.local_settings.enable_push = 0
        self._h2.initiate_connection()
        self._flush()

    async def turn(self) -> bool:
        """Wait until one more request may begin. False: not on this connection."""
        while not self.is_closing and len(self._streams) >= self._most:
            turn = self._loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # it was our turn; somebody else's now
                raise
        return not self.is_closing

    async def exchange(self, headers: Headers, body: bytes) -> Answer:
        """Send a request whose turn it is, and wait for its answer."""
        number = self._h2.get_next_available_stream_id()
        self.is_closing = self.is_closing or number >= LAST_STREAM
        stream = self._streams[number] = _Stream(body, self._loop.create_future())
        self._h2.send_headers(number, headers)
        self._send_rest(number, stream)
        self._flush()
        try:
            return await stream.answer
        finally:
            self._forget(number)

    async def is_alive(self) -> bool:
        """Whether the other side still answers; asked only after a long silence."""
        if not self.is_silent:
            return True
        self._pong = self._loop.create_future()
        self._h2.ping(b"bellwire")
        self._flush()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pong, PING_TIMEOUT)
            return not self.is_closing
        return False

    def retire(self) -> None:
        """Begin nothing more here, and close as soon as nothing is under way."""
        self.is_closing = True
        while self._waiting:
            self._wake()
        if not self._streams:
            self.close()

    def close(self) -> None:
        """Say goodbye and close."""
        if not self._transport.is_closing():
            with contextlib.suppress(H2Error):
                self._h2.close_connection()
                self._flush()
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self.heard = monotonic()
        try:
            events = self._h2.receive_data(data)
        except (H2Error, ValueError, IndexError):
            self._fail_all(lambda _: OutcomeUnknownError("the answer is not HTTP/2"))
            self.retire()
            self._transport.abort()
            return
        for event in events:
            self._take(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail_all(_lost)
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(None)
        self.retire()

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self._begin_answer(event)
            case DataReceived():
                self._take_body(event)
            case StreamEnded():
                if stream := self._streams.get(event.stream_id or 0):
                    stream.ended = True
                    stream.answered()
            case StreamReset():
                self._end_early(event)
            case ConnectionTerminated():
                self._hear_goodbye(event)
            case RemoteSettingsChanged():
                self._learn_limits(event)
            case WindowUpdated():
                for number, stream in list(self._streams.items()):
                    self._send_rest(number, stream)
            case PingAckReceived():
                if self._pong is not None and not self._pong.done():
                    self._pong.set_result(None)

    def _begin_answer(self, event: ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        status = next((value for name, value in event.headers or () if name == b":status"), b"")
        stream.status = int(status) if status.isdigit() else 500
        if stream.status == 200:
            stream.answered()

    def _take_body(self, event: DataReceived) -> None:
        number, data = event.stream_id or 0, event.data or b""
        with contextlib.suppress(H2Error):  # the stream is over for us
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
        if stream := self._streams.get(number):
            stream.body += data[: ANSWER_LIMIT - len(stream.body)]
            if len(stream.body) >= ANSWER_LIMIT:
                stream.answered()

    def _end_early(self, event: StreamReset) -> None:
        if stream := self._streams.get(event.stream_id or 0):
            stream.ended = True
            refused = event.error_code == ErrorCodes.REFUSED_STREAM
            stream.failed(NotProcessedError() if refused else OutcomeUnknownError("the server broke off the request"))

    def _hear_goodbye(self, event: ConnectionTerminated) -> None:
        """What lies beyond the last stream that it names was not processed; the rest may still be answered."""
        for number, stream in list(self._streams.items()):
            if number > (event.last_stream_id or 0):
                stream.failed(NotProcessedError())
        self.retire()

    def _learn_limits(self, event: RemoteSettingsChanged) -> None:
        most = self._h2.remote_settings.max_concurrent_streams
        self._most = max(1, min(most, MOST_STREAMS))
        if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
            for number, stream in list(self._streams.items()):
                self._send_rest(number, stream)
        for _ in range(self._most - len(self._streams)):
            self._wake()

    def _send_rest(self, number: int, stream: _Stream) -> None:
        """As much of the body as the windows allow; it ends with the last byte."""
        while stream.unsent:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            chunk, stream.unsent = stream.unsent[:room], stream.unsent[room:]
            self._h2.send_data(number, chunk, end_stream=not stream.unsent)

    def _forget(self, number: int) -> None:
        """Its place is free. What did not end on both sides is broken off."""
        stream = self._streams.pop(number)
        if not stream.ended and not self._transport.is_closing():
            with contextlib.suppress(H2Error):
                self._h2.reset_stream(number, ErrorCodes.CANCEL)
                self._flush()
        self._wake()
        if self.is_closing and not self._streams:
            self.close()

    def _wake(self) -> None:
        """The next that waits may look whether it is its turn."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _fail_all(self, error: Any) -> None:
        for stream in list(self._streams.values()):
            stream.failed(error(stream))

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._transport.write(data)


def _lost(stream: _Stream) -> SendError:
    if stream.unsent:  # a request without its end is none
        return NotSentError("the connection was lost before the request was complete")
    return OutcomeUnknownError("the connection was lost before the answer")
