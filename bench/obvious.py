"""Candidate (b): the obvious design, as a good engineer writes it at first: a task per event, the ORM, requests.

Session per task, engine and HTTP session per process, an index for every query; one retry policy, one signature.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from celery import Celery
from celery.signals import worker_process_init
from sqlalchemy import JSON, Engine, Index, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

DEDUPE_WINDOW = timedelta(seconds=300)
SECRET = b"an obvious secret of 32 bytes..."

app = Celery("obvious", broker=os.environ.get("BENCH_BROKER_URL"))
_engine: list[Engine] = []
_http: list[requests.Session] = []


class Base(DeclarativeBase):
    """The tables of this candidate."""


class Notification(Base):
    """One event and what became of it."""

    __tablename__ = "notifications"
    __table_args__ = (Index("notifications_fingerprint", "fingerprint", "created_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    tenant: Mapped[str] = mapped_column(String(64))
    type: Mapped[str] = mapped_column(String(64))
    severity: Mapped[str] = mapped_column(String(16))
    fingerprint: Mapped[str] = mapped_column(String(64))
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String(16), default="queued")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column()
    sent_at: Mapped[datetime | None] = mapped_column()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def open_connections(**_: Any) -> None:
    """An engine and an HTTP session for this pool process."""
    _engine[:] = [create_engine(os.environ["BENCH_DATABASE_URL"])]
    _http[:] = [requests.Session()]


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def fingerprint(event: dict[str, Any]) -> str:
    """The identity of the same issue."""
    parts = [event["tenant"], event["type"], event["data"]["host"]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@app.task(name="obvious.ingest")  # type: ignore[untyped-decorator]
def ingest(event: dict[str, Any]) -> None:
    """Store an event unless it is a repetition, and have it delivered."""
    identity = fingerprint(event)
    with Session(_engine[0]) as session:
        repeated = session.scalar(
            select(Notification.id)
            .where(Notification.fingerprint == identity, Notification.created_at > _now() - DEDUPE_WINDOW)
            .limit(1)
        )
        if repeated is not None:
            return
        notification = Notification(
            tenant=event["tenant"],
            type=event["type"],
            severity=event["severity"],
            fingerprint=identity,
            data=event["data"],
            created_at=_now(),
        )
        session.add(notification)
        session.commit()
        deliver.delay(str(notification.id))


@app.task(name="obvious.deliver", bind=True, max_retries=5)  # type: ignore[untyped-decorator]
def deliver(self: Any, notification_id: str) -> None:
    """Send a stored notification to the webhook and note that it was sent."""
    with Session(_engine[0]) as session:
        notification = session.get(Notification, uuid.UUID(notification_id))
        if notification is None or notification.status == "sent":
            return
        notification.attempts += 1
        try:
            _post(notification)
        except requests.RequestException as error:
            notification.status = "failed"
            session.commit()
            raise self.retry(exc=error, countdown=60) from None
        notification.status = "sent"
        notification.sent_at = _now()
        session.commit()


def _post(notification: Notification) -> None:
    body = json.dumps({"id": str(notification.id), "type": notification.type, "data": notification.data}).encode()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": str(notification.id),
        "X-Webhook-Signature": "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest(),
    }
    _http[0].post(os.environ["BENCH_WEBHOOK_URL"], data=body, headers=headers, timeout=10).raise_for_status()


def create_tables(url: str) -> None:
    """Make this candidate's table in an empty database."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()
