"""How many bells wait in the broker, by queue."""

from __future__ import annotations

from config.queue import events_exchange, queues
from tasks.bells import fast_connection


def queue_depths() -> dict[str, int]:
    """Messages by queue, in the order of ``config/queue.yaml``; a queue that nobody has declared yet is left out.

    Raises:
        Exception: whatever the broker's client raises when it does not answer within two seconds.
    """
    depths = {}
    with fast_connection() as connection:
        for name in (*(queue.name for queue in queues()), events_exchange().queue):
            # A question about a queue that does not exist ends an AMQP channel.
            with connection.channel() as channel:
                try:
                    depths[name] = channel.queue_declare(name, passive=True).message_count
                except connection.channel_errors:
                    continue
    return depths
