"""Redis as kombu drives it, at half the cost a message, and without dying of an item that is no message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from celery.utils.log import get_logger
from kombu.transport import TRANSPORT_ALIASES, redis, virtual

logger = get_logger(__name__)


class QoS(redis.QoS):  # type: ignore[misc]  # kombu has no types
    """Remembers what was taken and not confirmed."""

    def ack_many(self, tags: Iterable[str]) -> None:
        """Confirm the messages of a batch in one round trip, where kombu makes one for each."""
        tags = list(tags)
        with self.pipe_or_acquire() as pipe:
            pipe.zrem(self.unacked_index_key, *tags).hdel(self.unacked_key, *tags).execute()
        for tag in tags:
            virtual.QoS.ack(self, tag)


class Channel(redis.Channel):  # type: ignore[misc]
    """Reads lists into which anybody with access to Redis may push anything."""

    QoS = QoS
    _steady: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """One client for as long as its pool lives; kombu makes a new one for every message it takes or confirms."""
        if client is None:
            if self._steady is None or self._steady.connection_pool is not self.pool:
                self._steady = self._create_client()
            client = self._steady
        yield client

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return bool(super()._brpop_read(**options))
        except (Empty, *self.connection_errors):
            raise
        except Exception as error:  # kombu lets it end the process, and the next item ends the next process
            logger.critical("an item of a queue that is no message was dropped: %s", type(error).__name__)
            raise Empty from None


class Transport(redis.Transport):  # type: ignore[misc]
    """What `use` puts in the place of kombu's own."""

    Channel = Channel


def use() -> None:
    """Have every ``redis://``, ``rediss://`` and ``redis+socket://`` of this process go over it."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))


def confirm(messages: Iterable[Any], connection_errors: tuple[type[BaseException], ...]) -> None:
    """Confirm the messages of a batch, whatever the broker is. One that is lost meanwhile only comes again."""
    messages = list(messages)
    ack_many = getattr(getattr(messages[0].channel, "qos", None), "ack_many", None)
    if ack_many is None:
        for message in messages:
            message.ack_log_error(logger, connection_errors)
        return
    try:
        ack_many([message.delivery_tag for message in messages])
    except connection_errors as error:
        logger.warning("%d messages were not confirmed: %s", len(messages), type(error).__name__)
