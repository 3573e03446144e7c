"""Channels with a provider: Bellwire's whole path, and the provider's own library, both against the provider lab."""

from __future__ import annotations

import json
from typing import Any

from bench.bellwire import Bellwire
from bench.candidates import RUN_SECONDS, Bench, Candidate, Load
from bench.fill import WORK
from bench.process import BenchmarkError, Child, python
from channels.registry import PROVIDERS
from config.settings import Settings
from tasks.ways import PER_WAY

# The kinds of load, with the channel and the provider that carries each.
KINDS = {
    "email": ("email", "smtp"),
    "sms": ("sms", "twilio"),
    "web_push": ("push", "web_push"),
    "apns": ("push", "apns"),
    "fcm": ("push", "fcm"),
}


class LabClient:
    """The lab's process and how it is steered."""

    def __init__(self, bench: Bench) -> None:
        # Shown as the receiver: it is the other end.
        log = bench.servers.logs / "lab.log"
        self.child = bench.start(Child("receiver", python("-m", "bench.lab"), log=log, pipes=True))
        self._hello = self.child.hear(seconds=30)

    @property
    def browsers(self) -> list[str]:
        """A PushSubscription (JSON) for each of the people."""
        found: list[str] = self._hello["browsers"]
        return found

    def settings(self) -> dict[str, str]:
        """The environment with which a process sends to the lab, as fast as it can."""
        environment: dict[str, str] = self._hello["environment"]
        return {
            **environment,
            "BELLWIRE_PUBLIC_URL": "https://bellwire.example.org",  # Twilio calls back there with the delivery's id
            "BELLWIRE_RATE_LIMITS": "twilio=0/1,fcm=0/1",
            "BELLWIRE_RECIPIENT_CAPS": "",
        }

    def reset(self, load: Load) -> None:
        """Forget what came; take `load.delay` seconds over each message."""
        self.child.ask({"delay": load.delay})

    def wait(self, count: int) -> dict[str, Any]:
        """The counts as soon as `count` messages have come.

        Raises:
            BenchmarkError: they did not come in time.
        """
        counts = self.child.ask({"wait": count, "seconds": RUN_SECONDS}, seconds=RUN_SECONDS + 10)
        if counts["distinct"] < count:
            raise BenchmarkError(f"of {count} messages only {counts['distinct']} were accepted by the lab: {counts}")
        return counts


def lab_of(bench: Bench) -> LabClient:
    """The lab, started by whoever asks for it first."""
    if bench.lab is None:
        bench.lab = LabClient(bench)
    return bench.lab


class ChannelBellwire(Bellwire):
    """The product with an account at every provider and people who are reached by one of them each."""

    name = "channels"
    keyspace = 10
    with_api = False

    def __init__(self, bench: Bench) -> None:
        self._lab = lab_of(bench)
        super().__init__(bench)

    def settings(self) -> dict[str, str]:
        """A database of its own, and the way to the lab."""
        return {**super().settings(), **self._lab.settings()}

    def set_up(self) -> None:
        """Make the people."""
        setup = self._child("setup", "-m", "bench.people", pipes=True)
        setup.ask({"browsers": self._lab.browsers}, seconds=60)

    def ready(self) -> None:
        """Have every process log in and import what it needs, so that a warm-up says how fast it is."""
        for kind in KINDS:
            self.run(Load(kind, 100 if kind == "email" else 400, 100))

    @property
    def other_end(self) -> Child:
        """Who receives."""
        return self._lab.child

    def reset(self, load: Load) -> None:
        """Tell the lab; begin with nothing stored, for a badge counts all that a user has not read."""
        self.bench.servers.execute(self.name, f"TRUNCATE {', '.join(WORK)}")
        self._lab.reset(load)

    def wait(self, load: Load) -> dict[str, Any]:
        """Wait for the lab."""
        return self._lab.wait(load.count)

    def check(self, load: Load, ending: dict[str, Any]) -> None:
        """As for webhooks; and connections were kept.

        Raises:
            BenchmarkError: the figures do not agree, or there were more connections than sends under way.
        """
        super().check(load, ending)
        self.check_connections(load, ending)

    def check_connections(self, load: Load, ending: dict[str, Any]) -> None:
        """Connections are kept: there are about as many as sends under way, and always fewer than messages.

        Raises:
            BenchmarkError: there are more.
        """
        channel, provider = KINDS[load.kind]
        bulkhead = PROVIDERS[channel][provider].capabilities.bulkhead
        each = bulkhead.concurrent if bulkhead.shared else PER_WAY
        # What has rested for a second and a half is opened anew, and on a busy machine a process does rest.
        most = max(each * Settings.model_construct().worker_processes, load.count * 3 // 4)
        _check_connections(load, ending, most)


class Library(Candidate):
    """The provider's own library: one process, one message after the other, nothing stored."""

    name = "library"
    keyspace = 10
    publisher_module = "bench.libraries"

    def __init__(self, bench: Bench) -> None:
        self._lab = lab_of(bench)
        super().__init__(bench)

    def settings(self) -> dict[str, str]:
        """The way to the lab."""
        return {**self._lab.settings(), "BENCH_BROWSERS": json.dumps(self._lab.browsers)}

    def processes(self) -> list[Child]:
        """None but the one that sends."""
        return []

    @property
    def other_end(self) -> Child:
        """Who receives."""
        return self._lab.child

    def prepare(self, load: Load) -> None:
        """Tell the lab."""
        self._lab.reset(load)

    def finish(self, load: Load) -> dict[str, Any]:
        """All was sent when the publisher said so."""
        return self._lab.wait(load.count)

    def check(self, load: Load, ending: dict[str, Any]) -> None:
        """Each was accepted once, over one connection.

        Raises:
            BenchmarkError: it was not.
        """
        if ending["requests"] != load.count:
            raise BenchmarkError(f"{load.count} messages were sent; the lab counted {ending}")
        _check_connections(load, ending, 1)


def _check_connections(load: Load, ending: dict[str, Any], most: int) -> None:
    if ending["connections"] > most:
        raise BenchmarkError(f"{load.kind}: {ending['connections']} connections were opened, {most} are enough")
