"""Publish an event as a service with Celery does. It needs Celery and the broker's address, nothing of Bellwire.

eval "$(.venv/bin/bellwire env)" && .venv/bin/python examples/publish_celery.py
"""

from __future__ import annotations

import os

from celery import Celery

EVENT = {
    "tenant": "demo",  # no API key says whose event this is, so the event itself does
    "type": "ssl_expiry",
    "data": {"host": "celery.example.org", "days_left": 7},
}

# Nobody waits for a result, so no place for results is needed.
app = Celery(broker=os.environ["BELLWIRE_BROKER_URL"], set_as_current=False)
app.conf.task_ignore_result = True
app.conf.task_create_missing_queue_type = "quorum"  # as Bellwire declares it on RabbitMQ; Redis does not mind

if __name__ == "__main__":
    sent = app.send_task("bellwire.publish", args=[EVENT], queue="ingest")
    print("published", sent.id)
