"""`bellwire.digest`: release what was held until now, and ring. The sweep does the same, so nothing waits for beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from models.engine import transaction
from pipeline.digest import gather
from tasks.app import app
from tasks.bells import ring_deliveries

MOST_ROUNDS: Final = 1_000  # what is left after so many waits for the next sweep


@app.task(name="bellwire.digest")
def digest() -> None:
    """Gather whatever is due, by digests and at the end of quiet hours."""
    gather_due(ring_deliveries)


def gather_due(ring: Callable[[str, list[str]], object]) -> None:
    """Round after round, each in a transaction of its own; `ring` is told the channel and the deliveries."""
    for _ in range(MOST_ROUNDS):
        with transaction() as connection:
            found = gather(connection)
        for channel, ids in found.due.items():
            ring(channel, ids)
        if not found.more:
            return
