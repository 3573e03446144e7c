"""Rings the bell: puts "there is work" on a queue, without ever holding up who rings.

Messages go through one thread. When the broker is away or frozen they are dropped: the database knows what is to be
done, and the sweep rings again.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

import structlog
from kombu import Connection

from config.queue import deliver_task
from tasks.app import app

log = structlog.get_logger(__name__)

MOST_WAITING = 10_000  # bells in memory; more say nothing that the sweep does not find
SILENCE_AFTER_FAILURE = 1.0  # seconds in which a broker that failed is left alone
BATCH_OF_IDS = 200  # ids in one bell, so that several workers share a large batch

# Seconds after which a broker that does not answer counts as away, as the two clients call it.
FAST_FAILURE = {"socket_timeout": 2.0, "socket_connect_timeout": 1.0, "retry_on_timeout": False}
FAST_FAILURE_AMQP = {"read_timeout": 2.0, "write_timeout": 2.0}


class Ringer:
    """One thread with one connection for one process."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=MOST_WAITING)
        self._more = threading.Condition()
        self._connection: Connection | None = None
        self._silent_until = 0.0
        self._idle = True
        threading.Thread(target=self._work, name="ringer", daemon=True).start()

    def ring(self, task: str, *arguments: Any) -> None:
        """Queue one bell and return at once."""
        with self._more:
            self._waiting.append((task, arguments))
            self._idle = False
            self._more.notify_all()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until what was rung has left, or has been dropped. For processes that are about to end."""
        with self._more:
            return self._more.wait_for(lambda: self._idle, timeout)

    def _work(self) -> None:
        while True:
            with self._more:
                if not self._waiting:
                    self._idle = True
                    self._more.notify_all()
                self._more.wait_for(lambda: self._waiting)
                task, arguments = self._waiting.popleft()
            if monotonic() >= self._silent_until:
                self._send(task, arguments)

    def _send(self, task: str, arguments: tuple[Any, ...]) -> None:
        try:
            if self._connection is None:
                self._connection = fast_connection()
            app.send_task(task, args=arguments, connection=self._connection, retry=False, ignore_result=True)
        # Whatever a broker's client raises, and there are many, it must not end this thread: the sweep rings again.
        except Exception as error:
            self._silent_until = monotonic() + SILENCE_AFTER_FAILURE
            self._drop_connection()
            log.warning("bell_not_rung", task=task, problem=type(error).__name__)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.collapse()
        except Exception:
            log.debug("broken_connection_dropped")


def fast_connection() -> Connection:
    """A connection to the broker that gives up within two seconds instead of trying for minutes."""
    options = dict(app.conf.broker_transport_options)
    if app.conf.broker_url.startswith("redis"):
        options.update(FAST_FAILURE)
    elif app.conf.broker_url.startswith(("amqp", "pyamqp")):
        options.update(FAST_FAILURE_AMQP)
    return Connection(app.conf.broker_url, transport_options=options, connect_timeout=1.0, heartbeat=0)


_ringer: tuple[int, Ringer] | None = None
_making = threading.Lock()


def ringer() -> Ringer:
    """The ringer of this process; a forked child gets one of its own."""
    global _ringer
    with _making:
        if _ringer is None or _ringer[0] != os.getpid():
            _ringer = os.getpid(), Ringer()
        return _ringer[1]


def ring_deliveries(channel: str, ids: Sequence[str]) -> None:
    """Say that these deliveries are due."""
    for start in range(0, len(ids), BATCH_OF_IDS):
        ringer().ring(deliver_task(channel), list(ids[start : start + BATCH_OF_IDS]))


def ring_ingest(ids: Sequence[str]) -> None:
    """Say that these events wait for routing."""
    for start in range(0, len(ids), BATCH_OF_IDS):
        ringer().ring("bellwire.ingest", list(ids[start : start + BATCH_OF_IDS]))
