"""Redis as kombu drives it, except that an item which is no message costs itself and not the worker."""

from __future__ import annotations

from queue import Empty
from typing import Any

from celery.utils.log import get_logger
from kombu.transport import TRANSPORT_ALIASES, redis

logger = get_logger(__name__)


class Channel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """Reads lists into which anybody with access to Redis may push anything."""

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
