"""`bellwire.deliver.<channel>`: somebody rang; send what is due on the channel."""

from __future__ import annotations

from celery import Task

from config.queue import deliver_task
from domain.vocabulary import CHANNELS
from tasks.app import app
from tasks.child import child

# Seconds that a bell waits for the sends it caused: as long as a batch to a quick receiver takes, so that sending and
# routing do not fight over the interpreter. Slower sends go on in the background, and the process is free.
PATIENCE = 0.05


def _task(channel: str) -> Task:
    @app.task(name=deliver_task(channel))
    def deliver(ids: list[str]) -> None:
        # The ids tell people what was rung for; the database decides what is sent: these and whatever else is due.
        child().sender.ring(channel, PATIENCE)

    return deliver


TASKS = {channel: _task(channel) for channel in CHANNELS}
