"""The API: `uvicorn api.app:app`."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware

from api import (
    audit,
    branding,
    description,
    digest,
    errors,
    event_types,
    events,
    health,
    inbox_page,
    links,
    live_sending,
    live_socketio,
    live_sse,
    live_tickets,
    live_websocket,
    me,
    metrics,
    notifications,
    operators,
    people,
    preferences,
    providers,
    push_tokens,
    receipts,
    routes,
    statistics,
    suppressions,
    template_trials,
    templates,
    trigger,
    webhooks,
)
from api.intake import Intake
from api.live import Live
from api.probes import Servers
from config.logging import configure
from config.settings import settings
from models.scope import dispose
from tasks.bells import ringer

log = structlog.get_logger(__name__)

# As many as have a connection of either pool (15), less those of the intake and of the metrics.
THREADS: Final = 12
LAST_COMMIT: Final = 5.0  # seconds for what was taken when the process is asked to end

EXPOSED: Final = ("Idempotency-Replayed", "Retry-After")


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    """What lives as long as the process. Nothing here needs the servers: they may come later."""
    current_default_thread_limiter().total_tokens = THREADS
    app.state.servers = Servers()
    app.state.figures = metrics.Figures(app.state.servers)
    app.state.intake = intake = Intake()
    app.state.live = live = Live(settings())
    live.start()
    _spare_the_collector()
    log.info("started")
    yield
    await live.stop()
    await run_in_threadpool(intake.stop, LAST_COMMIT)
    await run_in_threadpool(ringer().flush, 2)
    dispose()
    log.info("stopped")


def _spare_the_collector() -> None:
    """What was imported stays; looking through it for garbage stops every request for tens of milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _make() -> FastAPI:
    configure(settings().log_level)
    made = FastAPI(
        title="Bellwire", docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=_running, openapi_tags=None
    )
    made.add_middleware(metrics.CountRequests)
    made.add_middleware(
        CORSMiddleware,
        allow_origins=settings().cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
    )
    errors.install(made)
    for room in (
        events,
        live_sse,  # before {notification_id}, as the next
        live_tickets,
        live_sending,
        live_websocket,
        preferences,  # before {notification_id}
        notifications,
        push_tokens,
        me,  # before {user_id}
        people,
        event_types,
        routes,
        template_trials,
        templates,
        webhooks,
        receipts,
        suppressions,
        providers,
        branding,
        digest,
        operators,
        statistics,
        audit,
        trigger,
        links,
        inbox_page,
        health,
        metrics,
    ):
        made.include_router(room.router)
    live_socketio.mount(made)
    description.install(made)
    return made


app = _make()
