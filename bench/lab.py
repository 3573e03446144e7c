"""The other end of the channels: the product's own provider lab in a process of its own, with accounts at every desk.

Run as ``python -m bench.lab``; it prints its addresses and keys, then answers one JSON question a line.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from bench.people import PEOPLE, name_of
from workers.receivers.script import Ledger, Reply
from workers.receivers.together import Receivers

PAUSE = 0.005  # seconds between looks at what came


class Lab:
    """Counts over all receivers since the last reset."""

    def __init__(self, receivers: Receivers) -> None:
        self._receivers = receivers
        self._ledgers: tuple[Ledger, ...] = (receivers.mail, receivers.lab, receivers.apns)
        self.reset(0.0)

    def hello(self) -> dict[str, Any]:
        """The settings that lead here, and a browser for each of the people."""
        browsers = [self._receivers.subscribe(name_of(number)) for number in range(PEOPLE)]
        return {"environment": self._receivers.whole_environment(), "browsers": browsers}

    def reset(self, delay: float) -> None:
        """Forget what came; from now on each message is answered after `delay` seconds."""
        for ledger in self._ledgers:
            ledger.received.clear()
        # A mail takes several answers. The last one waits, so that every message takes as long, whatever carries it.
        self._receivers.mail.script("end", Reply(wait=delay))
        self._receivers.lab.script("*", Reply(wait=delay))
        self._receivers.apns.script("*", Reply(wait=delay))
        self._connections = sum(ledger.connections for ledger in self._ledgers)

    def wait(self, count: int, seconds: float) -> dict[str, Any]:
        """The counts as soon as `count` messages were accepted, or after `seconds`.

        `connections`: those that were opened since the reset.
        """
        deadline = time.monotonic() + seconds
        while sum(len(ledger.received) for ledger in self._ledgers) < count and time.monotonic() < deadline:
            time.sleep(PAUSE)
        accepted = [times for ledger in self._ledgers for times in ledger.times_accepted().values()]
        return {
            "requests": sum(len(ledger.received) for ledger in self._ledgers),
            "accepted": sum(accepted),
            "distinct": len(accepted),
            "connections": sum(ledger.connections for ledger in self._ledgers) - self._connections,
        }

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """One question: ``{"wait": count, "seconds": s}`` or ``{"delay": s}``."""
        if "wait" in question:
            return self.wait(question["wait"], question["seconds"])
        self.reset(question["delay"])
        return {}


def main() -> None:
    """Answer questions until standard input ends."""
    with Receivers() as receivers:
        lab = Lab(receivers)
        print(json.dumps(lab.hello()), flush=True)
        for line in sys.stdin:
            print(json.dumps(lab.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
