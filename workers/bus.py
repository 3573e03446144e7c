"""The bus intake: plain JSON messages on the exchange `bellwire.events` become stored events. `python -m workers.bus`.

It accepts and rings; workers route. A message is confirmed when its events are committed, and not before.
"""

from __future__ import annotations

import signal
import sys
import threading
from hashlib import sha256
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import structlog
from kombu import Connection, Consumer, Exchange, Queue
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from config.logging import configure
from config.queue import events_exchange
from config.settings import SettingsError, settings
from models.engine import engine
from tasks.app import app
from tasks.batching import Letter
from tasks.bells import ringer
from tasks.letters import accept_letters, reject_letter
from workers.pulse import beat
from workers.stack.readiness import announce

log = structlog.get_logger(__name__)

SOURCE: Final = "bus"
PREFETCH: Final = 500
MOST_MESSAGES: Final = 200  # in one transaction
MOST_BYTES: Final = 4 * 1024 * 1024
IDLE: Final = 1.0  # seconds until it is looked whether the process is to end
MORE: Final = 0.002  # seconds that a batch waits for one more message
DECLARE_EVERY: Final = 5.0  # seconds; a Redis that was emptied has forgotten who gets what is published
FIRST_WAIT: Final = 0.5  # seconds after a failure, doubled with each further one
LONGEST_WAIT: Final = 5.0
HEARTBEAT: Final = 30  # seconds, where the broker has it
PATIENCE: Final = {
    "socket_timeout": 10.0,
    "socket_connect_timeout": 3.0,
    "retry_on_timeout": False,
}  # of Redis, seconds


class Backoff:
    """How long to wait after failures in a row."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._wait = FIRST_WAIT

    def reset(self) -> None:
        """It worked."""
        self._wait = FIRST_WAIT

    def wait(self) -> None:
        """Wait, longer each time, but not when the process is to end."""
        self._stop.wait(self._wait)
        self._wait = min(self._wait * 2, LONGEST_WAIT)


class Bus:
    """One consumer for one process."""

    def __init__(self, broker_url: str, stop: threading.Event) -> None:
        self._url = broker_url
        self._stop = stop
        self._amqp = broker_url.startswith(("amqp", "pyamqp"))
        self._waiting: list[Any] = []
        self._broker = Backoff(stop)
        self._database = Backoff(stop)

    def run(self) -> None:
        """Take messages until the process is asked to end, whatever breaks meanwhile."""
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._take_messages(connection)
            # Brokers' clients raise many kinds. What was not confirmed comes again.
            except Exception as error:
                log.warning("broker_away", problem=type(error).__name__)
                self._broker.wait()
            finally:
                self._waiting.clear()

    def _connect(self) -> Connection:
        options = dict(app.conf.broker_transport_options) | ({} if self._amqp else PATIENCE)
        connection = Connection(
            self._url, transport_options=options, connect_timeout=3.0, heartbeat=HEARTBEAT if self._amqp else 0
        )
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        return connection

    def _take_messages(self, connection: Connection) -> None:
        with connection.channel() as channel:
            channel.basic_qos(0, PREFETCH, False)
            queue = self._queue()(channel)
            queue.declare()
            # What cannot even be unpacked is taken too, and refused with the others.
            take = self._take
            with Consumer(channel, [queue], on_message=take, on_decode_error=take, auto_declare=False):
                log.info("listening", queue=queue.name)
                announce()
                beat("bus")
                declared = monotonic()
                while not self._stop.is_set():
                    self._gather(connection)
                    self._broker.reset()
                    while self._waiting and not self._stop.is_set():
                        self._store(connection)
                    if monotonic() - declared > DECLARE_EVERY:
                        self._declare_again(queue)
                        beat("bus")
                        declared = monotonic()

    def _take(self, message: Any, *_: Any) -> None:
        self._waiting.append(message)

    def _declare_again(self, queue: Any) -> None:
        if not self._amqp:
            queue.channel.state.clear()  # or it would believe that the binding is still there
        queue.declare()

    def _queue(self) -> Queue:
        where = events_exchange()
        return Queue(
            where.queue,
            Exchange(where.name, type=where.type, durable=True),
            routing_key=where.binding,
            durable=True,
            queue_arguments={"x-queue-type": "quorum"} if self._amqp else {},
        )

    def _gather(self, connection: Connection) -> None:
        """Wait for a message, then take what is there."""
        patience = IDLE
        while len(self._waiting) < MOST_MESSAGES:
            try:
                connection.drain_events(timeout=patience)
            except TimeoutError:
                break
            patience = MORE
        if self._amqp:
            connection.heartbeat_check()

    def _store(self, connection: Connection) -> None:
        """Store the first of what is waiting, then confirm it. With the database away all of it goes on waiting."""
        batch = self._waiting[: _fitting(self._waiting)]
        letters = [_letter(message) for message in batch]
        try:
            _accept(letters)
        except (DBAPIError, NoConnectionError) as error:
            log.warning("database_away", problem=type(getattr(error, "orig", error)).__name__, messages=len(batch))
            self._database.wait()
            if self._amqp:
                connection.heartbeat_check()
            return
        self._database.reset()
        del self._waiting[: len(batch)]
        if self._amqp:
            batch[-1].ack(multiple=True)  # everything up to it
            return
        for message in batch:
            message.ack()


def _accept(letters: list[Letter]) -> None:
    """All in one transaction; should the database refuse a value of one of them, each alone."""
    try:
        accept_letters(letters, SOURCE)
    except DataError:
        if len(letters) == 1:
            reject_letter(letters[0], SOURCE, "has a value that cannot be stored")
            return
        for letter in letters:
            _accept([letter])


def _fitting(messages: list[Any]) -> int:
    """How many messages go into one transaction; one at least."""
    size = 0
    for index, message in enumerate(messages[:MOST_MESSAGES]):
        size += len(message.body or b"")
        if index and size > MOST_BYTES:
            return index
    return min(len(messages), MOST_MESSAGES)


def _letter(message: Any) -> Letter:
    """A message with an id by which a second delivery of it is recognised.

    Publishers count from 1 as they like, so their id alone is not enough: the body is part of it. Where there is no id,
    Redis' delivery tag stays the same over deliveries; RabbitMQ's does not, so that a message may be taken twice there.
    """
    body = message.body or b""
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    given = message.properties.get("message_id")
    if given is None:
        tag = message.delivery_tag
        return Letter(tag if isinstance(tag, str) else str(uuid4()), body, wrapped=False)
    digest = sha256(str(given).encode("utf-8", "surrogatepass") + b"\0" + body)
    return Letter(digest.hexdigest(), body, wrapped=False)


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    configure(settings().log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    url = str(app.conf.broker_url)
    if url.startswith("sqs"):
        log.warning("bus_not_available", reason="The bus intake needs RabbitMQ or Redis: SQS cannot keep bindings.")
        announce()
        stop.wait()
        return 0
    Bus(url, stop).run()
    ringer().flush(2)
    engine().dispose()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SettingsError as error:
        sys.exit(str(error))
