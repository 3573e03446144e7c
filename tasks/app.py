"""The Celery application: queues, safety and speed of the doorbell. Tasks are in the other files of this room."""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Queue

from config.queue import beat_schedule, queues, task_queues
from config.settings import Settings, SettingsError, settings
from tasks import redis_transport

# A message that nobody confirms is rung again after a minute. Doubled bells do no harm, and a doubled publication is
# recognised by its task id, so it need not be longer; Celery's own hour would let events of a killed worker wait.
# Left alone, a worker on Redis looks for such messages every hundred seconds; looking costs one command.
UNCONFIRMED = {"visibility_timeout": 60, "unacked_restore_interval": 5, "unacked_restore_throttle": 1}


def configure(application: Celery, chosen: Settings) -> None:
    """Set an application up for a broker. Raises SettingsError when there is none."""
    if chosen.broker_url is None:
        raise SettingsError("BELLWIRE_BROKER_URL: is not set; `bellwire up` starts a broker of its own")
    url = chosen.broker_url.get_secret_value()
    amqp = url.startswith(("amqp", "pyamqp"))
    arguments: dict[str, Any] = {"x-queue-type": "quorum"} if amqp else {}
    application.conf.update(
        broker_url=url,
        broker_connection_retry_on_startup=True,
        # Celery gives up after a hundred tries, which is three quarters of an hour; the pool delivers without a broker.
        broker_connection_max_retries=None,
        broker_transport_options={} if amqp else UNCONFIRMED,
        task_queues=[Queue(queue.name, routing_key=queue.name, queue_arguments=arguments) for queue in queues()],
        task_default_queue="sweep",
        task_default_queue_type="quorum" if amqp else "classic",
        task_create_missing_queues=False,
        task_routes={task: {"queue": queue} for task, queue in task_queues().items()},
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        worker_send_task_events=True,
        worker_prefetch_multiplier=64,
        worker_detect_quorum_queues=amqp,
        worker_hijack_root_logger=False,
        worker_proc_alive_timeout=60.0,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        beat_schedule={
            ring.name: {
                "task": ring.task,
                "schedule": ring.every,
                # A ring that waited longer than its interval says nothing new.
                "options": {"queue": ring.queue, "expires": max(ring.every, 1.0) * 2},
            }
            for ring in beat_schedule(chosen)
        },
        beat_max_loop_interval=5,
        imports=("tasks.logs", "tasks.publish", "tasks.deliver", "tasks.sweep", "tasks.digest", "tasks.child"),
        timezone="UTC",
    )


redis_transport.use()
app = Celery("bellwire", set_as_current=True)
configure(app, settings())
