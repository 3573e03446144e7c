"""What is measured, in the order in which every round measures it, and which ratios have a bar to clear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from bench.candidates import Load


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table.

    Attributes:
        name: for ``--only`` and the JSON.
        candidate: who runs it.
        load: what it is asked for; its count is a warm-up, then chosen so that a run takes `seconds`.
        most: the largest count, which bounds memory and time.
    """

    name: str
    title: str
    candidate: str
    unit: str
    load: Load
    seconds: float = 4.0
    most: int = 60_000

    def sized(self, rate: float, *, quick: bool) -> Load:
        """The load that takes `seconds` at `rate` units a second, in whole messages."""
        if self.load.rate:
            return replace(self.load, count=round(self.load.rate * self.seconds * (1 if quick else 3)))
        wanted = rate * self.seconds * (0.4 if quick else 1)
        messages = max(2, round(min(self.most, wanted) / self.load.batch))
        return replace(self.load, count=messages * self.load.batch)


# By the kind of load: how the table calls it.
CHANNELS: Final = {"email": "SMTP", "sms": "text messages", "web_push": "Web Push", "apns": "APNs", "fcm": "FCM"}


def _measurements(kind: str, title: str) -> Iterator[Measurement]:
    """A channel by the provider's own library and by Bellwire; the lab takes 50 ms over each message."""
    name = "smtp" if kind == "email" else kind
    yield Measurement(
        f"library_{name}", f"{title}, its library, 50 ms", "library", "messages", Load(kind, 20, delay=0.05), 3.0
    )
    yield Measurement(
        f"{name}_50ms",
        f"{title}, Bellwire, 50 ms",
        "channels",
        "messages",
        Load(kind, 100 if kind == "email" else 500, 100, delay=0.05),
        3.0,
    )


MEASUREMENTS: Final = (
    Measurement("celery", "Celery, chain of two empty tasks", "celery", "chains", Load("chain", 200)),
    Measurement(
        "celery_filled",
        "the same, its queue filled beforehand",
        "celery",
        "chains",
        Load("chain", 200, filled=True),
    ),
    Measurement("celery_single", "Celery, one empty task", "celery", "tasks", Load("single", 400)),
    Measurement("obvious", "obvious design", "obvious", "notifications", Load("obvious", 100)),
    Measurement("bellwire", "Bellwire, 100 events a message", "bellwire", "notifications", Load("bellwire", 3000, 100)),
    Measurement("bellwire_single", "Bellwire, one event a message", "bellwire", "notifications", Load("bellwire", 400)),
    Measurement("bellwire_http", "Bellwire, one event a request", "bellwire", "notifications", Load("http", 200)),
    Measurement(
        "obvious_50ms",
        "obvious design, receiver takes 50 ms",
        "obvious",
        "notifications",
        Load("obvious", 20, delay=0.05),
    ),
    Measurement(
        "bellwire_50ms",
        "Bellwire, receiver takes 50 ms",
        "bellwire",
        "notifications",
        Load("bellwire", 1000, 100, delay=0.05),
    ),
    *(one for kind, title in CHANNELS.items() for one in _measurements(kind, title)),
    Measurement(
        "bellwire_latency",
        "Bellwire, 20 single events a second",
        "bellwire",
        "notifications",
        Load("bellwire", 20, rate=20.0, measure=True),
    ),
    Measurement(
        "bellwire_empty",
        "Bellwire, empty database",
        "bellwire_empty",
        "notifications",
        Load("bellwire", 3000, 100),
    ),
    Measurement(
        "bellwire_million",
        "Bellwire, 1 million finished deliveries",
        "bellwire_million",
        "notifications",
        Load("bellwire", 3000, 100),
    ),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A ratio of two measurements of the same round, with what is asked of it.

    Attributes:
        of: ``rate`` (units a second) or ``cpu`` (CPU a unit).
        bar: what must hold: at least, or at most if `at_most`; `goal`: what is wanted beyond it.
    """

    name: str
    title: str
    over: str
    under: str
    bar: float
    goal: float | None = None
    of: str = "rate"
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` clears the bar."""
        return value <= self.bar if self.at_most else value >= self.bar


COMPARISONS: Final = (
    Comparison("over_celery", "Bellwire / Celery chain", "bellwire", "celery", 7, 12),
    Comparison("over_celery_filled", "Bellwire / Celery chain, queue filled", "bellwire", "celery_filled", 7, 12),
    Comparison("over_obvious", "Bellwire / obvious design", "bellwire", "obvious", 20, 35),
    Comparison("single", "one event a message / empty Celery task", "bellwire_single", "celery_single", 0.6),
    Comparison("slow_receiver", "50 ms receiver: Bellwire / obvious", "bellwire_50ms", "obvious_50ms", 15),
    # Five at a time over all workers, by design, where a library sends one: at 50 ms no more than five times as fast.
    Comparison("smtp", "SMTP, 50 ms: Bellwire / smtplib", "smtp_50ms", "library_smtp", 3),
    Comparison("sms", "text messages, 50 ms: Bellwire / twilio", "sms_50ms", "library_sms", 15),
    Comparison("web_push", "Web Push, 50 ms: Bellwire / pywebpush", "web_push_50ms", "library_web_push", 15),
    Comparison("apns", "APNs, 50 ms: Bellwire / aioapns", "apns_50ms", "library_apns", 15),
    Comparison("fcm", "FCM, 50 ms: Bellwire / google-auth", "fcm_50ms", "library_fcm", 15),
    Comparison(
        "million_cpu",
        "1 million finished: CPU each / empty",
        "bellwire_million",
        "bellwire_empty",
        1.15,
        of="cpu",
        at_most=True,
    ),
    Comparison(
        "million_time",
        "1 million finished: time each / empty",
        "bellwire_million",
        "bellwire_empty",
        1.15,
        of="time",
        at_most=True,
    ),
)
