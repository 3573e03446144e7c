"""Metrics for Prometheus: deliveries from the database, right over all processes; requests of this process."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from time import perf_counter
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.intake import Intake
from api.probe import Probe
from api.probes import Servers
from channels.breaker import Breakers
from config.connections import redis_client
from config.settings import settings
from domain.deliverability import DEACTIVATED, SEGMENTS
from models.scope import unscoped_transaction
from pipeline.deliverability import Sums, Totals
from pipeline.overview import overview

log = structlog.get_logger(__name__)
router = APIRouter(tags=["health"])

PATIENCE: Final = 4.0  # seconds for the database's figures
QUEUES_PATIENCE: Final = 0.5  # seconds for the broker's
BREAKERS_PATIENCE: Final = 0.5
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads

REQUESTS: Final = Counter(
    "bellwire_http_requests", "Requests that this process answered.", ("method", "path", "status"), registry=None
)
LATENCY: Final = Histogram(
    "bellwire_http_request_seconds",
    "From the first byte of a request to the last of its answer, in this process.",
    ("path",),
    registry=None,
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format. What does not answer in time is left out, and says so by its `_up`."""
    figures: Figures = request.app.state.figures
    families = [*await figures.of_database(), *await figures.of_queues(), *await figures.of_breakers()]
    intake: Intake = request.app.state.intake
    families.append(_gauge("bellwire_intake_waiting", "Requests here that wait for the next commit.", intake.waiting))
    families += request.app.state.live.metrics()
    registry = CollectorRegistry()
    registry.register(_Fixed([*families, *REQUESTS.collect(), *LATENCY.collect()]))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Figures:
    """Where the figures come from."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._totals = Totals()
        self._overview = Probe("figures-database", self._read)
        url = settings().redis_url
        self._breakers = Breakers(redis_client(url.get_secret_value(), "breakers") if url else None)
        self._standing = Probe("figures-breakers", self._breakers.states)

    async def of_database(self) -> list[Metric]:
        """Deliveries and events over all processes."""
        try:
            seen: Mapping[str, Any] = await self._overview.answer(PATIENCE)
        except Exception as error:
            log.warning("no_figures", of="database", problem=type(error).__name__)
            return [_up("database", False)]
        return [_up("database", True), *_families(seen)]

    def _read(self) -> dict[str, Any]:
        with unscoped_transaction() as connection:
            return {**overview(connection), "totals": self._totals.read(connection, datetime.now(UTC))}

    async def of_queues(self) -> list[Metric]:
        """Messages that wait in the broker."""
        depths = await self._servers.queue_depths(QUEUES_PATIENCE)
        gauge = GaugeMetricFamily("bellwire_queue_depth", "Bells that wait in the broker.", labels=["queue"])
        for queue, depth in depths.items():
            gauge.add_metric([queue], depth)
        return [_up("broker", bool(depths)), gauge]

    async def of_breakers(self) -> list[Metric]:
        """Breakers that are not closed: how many, by way and state. Whose they are is nobody's business here."""
        try:
            standing = await self._standing.answer(BREAKERS_PATIENCE)
        except TimeoutError:
            standing = {}
        counted = Tally((_way(key), one.state) for key, one in standing.items())
        gauge = GaugeMetricFamily("bellwire_breakers", "Breakers that are not closed.", labels=["way", "state"])
        for (way, state), count in counted.items():
            gauge.add_metric([way, state], count)
        return [gauge]


class CountRequests:
    """Counts requests and how long they took, by the pattern of their path; what matches none is one path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            path = getattr(scope.get("route"), "path_format", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            REQUESTS.labels(method, path, str(status)).inc()
            LATENCY.labels(path).observe(perf_counter() - began)


class _Fixed:
    """Families as a collector."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _families(seen: Mapping[str, Any]) -> Iterator[Metric]:
    finals = CounterMetricFamily(
        "bellwire_deliveries", "Deliveries that reached a status.", labels=["channel", "status", "reason"]
    )
    for row in seen["finals"]:
        finals.add_metric([row["channel"], row["status"], row["reason"]], row["count"])
    skipped = CounterMetricFamily(
        "bellwire_skipped", "Who or what was left out, by reason.", labels=["channel", "reason"]
    )
    for row in seen["skipped"]:
        skipped.add_metric([row["channel"], row["reason"]], row["count"])
    live = GaugeMetricFamily(
        "bellwire_live_deliveries", "Deliveries that wait or are sent.", labels=["channel", "status"]
    )
    for row in seen["live"]:
        live.add_metric([row["channel"], row["status"]], row["count"])
    dead = GaugeMetricFamily(
        "bellwire_dead_letters", "Dead letters that wait for a person.", labels=["channel", "reason"]
    )
    for row in seen["dead_letters"]:
        dead.add_metric([row["channel"], row["reason"]], row["count"])
    oldest = GaugeMetricFamily(
        "bellwire_oldest_due_seconds", "For how long the oldest due delivery waits.", labels=["channel"]
    )
    for channel, seconds in seen["oldest_due_seconds"]["by_channel"].items():
        oldest.add_metric([channel], seconds)
    yield from (finals, skipped, live, dead, oldest)
    events = seen["events"]
    yield _gauge("bellwire_unrouted_events", "Events that were accepted and are not routed yet.", events["accepted"])
    yield _gauge("bellwire_oldest_unrouted_seconds", "For how long the oldest waits.", events["oldest_seconds"])
    yield from _of_providers(seen["totals"])
    yield from _of_rates(seen["deliverability"])


def _of_providers(totals: Sums) -> Iterator[Metric]:
    """What providers were given and what became of it (E-47)."""
    messages = CounterMetricFamily(
        "bellwire_provider_messages", "What providers accepted and said of it.", labels=["channel", "provider", "kind"]
    )
    tokens = CounterMetricFamily(
        "bellwire_push_tokens_deactivated", "Push tokens that are no more.", labels=["channel", "provider"]
    )
    segments = CounterMetricFamily("bellwire_sms_segments", "Parts of text messages.", labels=["channel", "provider"])
    cost = CounterMetricFamily(
        "bellwire_cost", "What messages cost, as configured.", labels=["channel", "provider", "currency"]
    )
    spent: dict[tuple[str, str], Decimal] = {}
    for (channel, provider, kind), (count, price) in sorted(totals.items()):
        spent[channel, provider] = spent.get((channel, provider), Decimal(0)) + price
        if kind in (DEACTIVATED, SEGMENTS):
            (tokens if kind == DEACTIVATED else segments).add_metric([channel, provider], count)
        else:
            messages.add_metric([channel, provider, kind], count)
    for (channel, provider), total in spent.items():
        if total:
            cost.add_metric([channel, provider, settings().sms_currency], float(total))
    yield from (messages, tokens, segments, cost)


def _of_rates(figures: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    """Parts of 1 over the last day, of what was accepted by then."""
    for name, about in (
        ("bounce_rate", "The part of the last day's messages that bounced."),
        ("complaint_rate", "The part of the last day's messages that was complained about."),
    ):
        gauge = GaugeMetricFamily(f"bellwire_{name}", about, labels=["channel", "provider"])
        for row in figures:
            if row[name] is not None:
                gauge.add_metric([row["channel"], row["provider"]], row[name])
        yield gauge


def _up(server: str, answers: bool) -> Metric:
    return _gauge(f"bellwire_{server}_up", f"Whether the {server} answered.", int(answers))


def _gauge(name: str, about: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, about)
    gauge.add_metric([], value)
    return gauge


def _way(key: str) -> str:
    """``tenant:smtp`` is the way smtp, ``tenant:webhook:endpoint`` the way webhook; a tenant's name may hold colons."""
    parts = key.rsplit(":", 2)
    return parts[1] if len(parts) == 3 and parts[1] == "webhook" else parts[-1]
