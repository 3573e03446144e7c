"""Alarms: what Bellwire itself has to say to a tenant's people, published like any other event, and when it is over."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from models.engine import transaction
from pipeline.envelope import parse_many
from pipeline.event_types import event_types_of
from pipeline.publish import accept_only
from pipeline.rejected_accounts import note_accepted, note_rejected, rejected_accounts
from tasks.bells import ring_ingest

log = structlog.get_logger(__name__)

EVENT: Final = "bellwire.account-rejected"
SILENT: Final = 300.0  # seconds; the event's own window folds what other processes say in the same hour


class Alarms:
    """Raised and ended from one thread; `standing` may be read from any. Ten thousand failures are one alarm."""

    def __init__(self) -> None:
        self._raised: dict[tuple[str, str], float] = {}
        self.standing: frozenset[tuple[str, str]] = frozenset()

    def look(self) -> None:
        """Learn which accounts are rejected, whichever process found that out."""
        with transaction() as connection:
            self.standing = frozenset((one["tenant"], one["provider"]) for one in rejected_accounts(connection))

    def reject(self, tenant: str, channel: str, provider: str, problem: str) -> None:
        """Say that a provider does not accept the account. Never raises."""
        key, now = (tenant, provider), monotonic()
        if now - self._raised.get(key, -SILENT) < SILENT:
            return
        self._raised[key] = now
        log.error("account_rejected", tenant=tenant, channel=channel, provider=provider, detail=problem)
        try:
            with transaction() as connection:
                note_rejected(connection, tenant=tenant, provider=provider, channel=channel, problem=problem)
                data = {"provider": provider, "channel": channel, "problem": problem}
                accepted = _published(connection, tenant, "firing", data)
        except Exception:  # the log has said it
            log.exception("alarm_not_raised", tenant=tenant, provider=provider)
            return
        self.standing |= {key}
        ring_ingest(accepted)

    def accept(self, tenant: str, provider: str) -> None:
        """Say that it accepts the account again; one process does. Never raises."""
        key = tenant, provider
        self.standing -= {key}
        self._raised.pop(key, None)
        try:
            with transaction() as connection:
                over = note_accepted(connection, tenant=tenant, provider=provider)
                accepted = [] if over is None else _published(connection, tenant, "resolved", over)
        except Exception:  # it stands in the table, and the next message tries again
            log.exception("alarm_not_ended", tenant=tenant, provider=provider)
            return
        ring_ingest(accepted)


def _published(connection: Connection, tenant: str, status: str, data: dict[str, Any]) -> list[str]:
    event = {"type": EVENT, "status": status, "data": data}
    events = parse_many([event], tenant=tenant, catalogue=event_types_of(connection, tenant))
    return [one.id for one in accept_only(connection, events)]
