"""Alarms: what Bellwire itself has to say to a tenant's people, published like any other event."""

from __future__ import annotations

from time import monotonic
from typing import Final

import structlog

from config.catalogue import shipped
from models.engine import transaction
from pipeline.envelope import parse_many
from pipeline.publish import accept_only
from tasks.bells import ring_ingest

log = structlog.get_logger(__name__)

EVENT: Final = "bellwire.account-rejected"
SILENT: Final = 300.0  # seconds; the event's own window folds what other processes say in the same hour


class Alarms:
    """Raised from one thread. Ten thousand failures are one alarm."""

    def __init__(self) -> None:
        self._raised: dict[tuple[str, str], float] = {}

    def raise_(self, tenant: str, channel: str, provider: str, detail: str) -> None:
        """Say that a provider does not accept the account. Never raises."""
        key, now = (tenant, provider), monotonic()
        if now - self._raised.get(key, -SILENT) < SILENT:
            return
        self._raised[key] = now
        log.error("account_rejected", tenant=tenant, channel=channel, provider=provider, detail=detail)
        try:
            event = {"type": EVENT, "data": {"provider": provider, "channel": channel, "problem": detail}}
            with transaction() as connection:
                events = parse_many([event], tenant=tenant, catalogue=shipped().event_types)
                accepted = [one.id for one in accept_only(connection, events)]
        except Exception:  # the log has said it
            log.exception("alarm_not_raised", tenant=tenant, provider=provider)
            return
        ring_ingest(accepted)
