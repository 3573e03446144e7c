"""Publish an event as plain JSON on the exchange `bellwire.events`, as a service without Celery does.

eval "$(.venv/bin/bellwire env)" && .venv/bin/python examples/publish_bus.py
"""

from __future__ import annotations

import os
from uuid import uuid4

from kombu import Connection, Exchange

EVENT = {
    "tenant": "demo",  # no API key says whose event this is, so the event itself does
    "type": "ssl_expiry",
    "data": {"host": "bus.example.org", "days_left": 7},
}

events = Exchange("bellwire.events", type="topic", durable=True)

if __name__ == "__main__":
    with Connection(os.environ["BELLWIRE_BROKER_URL"]) as connection:
        producer = connection.Producer(exchange=events, serializer="json")
        # The same message_id within six hours is stored once, so whoever is unsure may publish again.
        producer.publish(EVENT, routing_key=EVENT["type"], message_id=str(uuid4()))
    print("published")
