"""Celery's worker, beat and Flower as the local stack runs them: `python -m workers.stack.celery_main worker`.

The same as `celery -A workers worker`; but Celery's command line loads a shell, Flower and all tasks into each process,
which takes 60 MiB and a second of CPU three times over.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable

from celery.signals import worker_ready

from config.settings import settings
from tasks.app import app
from workers.stack.readiness import announce

# Seconds between the signs of life that Flower sees; Celery's own two would keep an idle machine awake.
HEARTBEAT = 20
TASKS_IN_MEMORY = 2000


def worker() -> int:
    """Work on every queue. Gossip and mingle, which only chat with other workers, are left out."""
    worker_ready.connect(_say_ready)
    made = app.Worker(
        concurrency=settings().worker_processes,
        loglevel=settings().log_level,
        without_gossip=True,
        without_mingle=True,
        heartbeat_interval=HEARTBEAT,
    )
    # The pool's processes share what is here when they are forked, as long as the collector does not touch it.
    gc.collect()
    gc.freeze()
    made.start()
    return int(made.exitcode or 0)


def beat() -> int:
    """Ring on schedule. It knows tasks by name, so it imports none; what it remembers below the home may be lost."""
    app.conf.imports = ()
    app.Beat(schedule=str(settings().home / "run" / "beat"), loglevel=settings().log_level).run()
    return 0


def flower() -> int:
    """The operators' view of tasks, on the loopback only; password and port are in the environment."""
    import flower.options  # noqa: F401 - defines the options below
    from flower.app import Flower
    from flower.urls import settings as web
    from tornado.options import options

    app.conf.imports = ()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("tornado.access").disabled = True
    options.address, options.port = "127.0.0.1", int(os.environ["FLOWER_PORT"])
    # Arguments are the ids of events and deliveries, which lead on to the ledger.
    options.tasks_columns = "name,args,state,received,runtime,worker"
    options.basic_auth, options.max_tasks = [os.environ["FLOWER_BASIC_AUTH"]], TASKS_IN_MEMORY
    made = Flower(capp=app, options=options, **web)
    made.start_http_server()
    made.start()
    return 0


def _say_ready(**_: object) -> None:
    announce()


MAINS: dict[str, Callable[[], int]] = {"worker": worker, "beat": beat, "flower": flower}

if __name__ == "__main__":
    sys.exit(MAINS[sys.argv[1]]())
