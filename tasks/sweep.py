"""`bellwire.sweep` and `bellwire.announce`: ring again for what is due, stalled or forgotten; tell of dead letters."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog
from kombu import Exchange, Producer, Queue

from config.queue import dead_letter_exchange
from config.settings import settings
from models.engine import transaction
from pipeline.dead_letter import mark_announced, unannounced
from pipeline.scheduled import show_due
from pipeline.secrets_of_events import wipe_secrets
from pipeline.sweep import forget_seen, look, take_round
from tasks.app import app
from tasks.bells import fast_connection, ring_deliveries, ringer
from tasks.child import Child, child
from tasks.digest import gather_due
from tasks.live import show
from tasks.outbox import work_off_outbox
from tasks.publish import route_waiting
from tasks.receipts import work_off
from tasks.retention import forget_finished
from tasks.rounds import ring_for

log = structlog.get_logger(__name__)

FORGOTTEN_AFTER = 2.0  # seconds that the bell of an accepted event is given to arrive
ROUTED_AT_ONCE = 200


@app.task(name="bellwire.sweep")
def sweep() -> None:
    """Make the round, if nobody made it in the last half interval, and ring."""
    with transaction() as connection:
        if not take_round(connection, "sweep", settings().sweep_interval / 2):
            return
        found = look(connection, child().sender.channels, FORGOTTEN_AFTER)
        frames = show_due(connection, datetime.now(UTC))
    show(frames)
    ring_for(found)
    gather_due(ring_deliveries)
    work_off()
    with transaction() as connection:  # of its own: the bells must not wait for it
        forget_seen(connection)
        wipe_secrets(connection)
    work_off_outbox(child())
    forget_finished()


def sweep_here(here: Child, age: float) -> None:
    """Make the round without the broker, and do what was found in this process."""
    with transaction() as connection:
        if not take_round(connection, "sweep", age):
            return
        found = look(connection, here.sender.channels, FORGOTTEN_AFTER)
        frames = show_due(connection, datetime.now(UTC))
    show(frames)
    for start in range(0, len(found.forgotten), ROUTED_AT_ONCE):
        for channel in route_waiting(here, found.forgotten[start : start + ROUTED_AT_ONCE]):
            here.sender.call_soon(channel)
    for channel in found.due:
        here.sender.call_soon(channel)
    gather_due(lambda channel, _: here.sender.call_soon(channel))
    if found.unannounced:
        ringer().ring("bellwire.announce")
    work_off()
    with transaction() as connection:
        forget_seen(connection)
        wipe_secrets(connection)
    for channel in work_off_outbox(here):
        here.sender.call_soon(channel)
    forget_finished()


@app.task(name="bellwire.announce")
def announce() -> None:
    """Publish new dead letters on the exchange, ids and reasons only."""
    with transaction() as connection:
        letters = unannounced(connection)
        if letters and _published(letters):
            mark_announced(connection, letters)


def _published(letters: list[dict[str, object]]) -> bool:
    """Whether the broker took them. The queue is bounded: the oldest go first, the table keeps all."""
    where, length = dead_letter_exchange(), settings().dead_letter_queue_length
    amqp = not app.conf.broker_url.startswith(("redis", "sqs"))
    exchange = Exchange(where.name, type=where.type, durable=True)
    queue = Queue(where.queue, exchange, routing_key=where.binding, durable=True, max_length=length if amqp else None)
    try:
        with fast_connection() as connection, connection.channel() as channel:
            queue(channel).declare()
            producer = Producer(channel, exchange=exchange, serializer="json")
            for letter in letters:
                producer.publish(letter, routing_key=str(letter["channel"]), retry=False, delivery_mode=2)
            if app.conf.broker_url.startswith("redis"):
                channel.client.ltrim(where.queue, 0, length - 1)  # kombu pushes to the left and takes from the right
    except Exception as error:
        log.warning("dead_letters_not_announced", count=len(letters), problem=type(error).__name__)
        return False
    return True
