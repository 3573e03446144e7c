"""Settle: store what came of a claim, in one statement whatever its size, guarded by the lease."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, text

from domain.verdict import Verdict
from domain.vocabulary import Outcome
from pipeline.counts import shard
from pipeline.document import document
from pipeline.looks import Made
from pipeline.push_tokens import deactivate
from pipeline.suppressions import Suppressed, suppress

LONGEST_MESSAGE_ID: Final = 255  # characters; it is indexed, and receipts name it no longer
UNSTORABLE: Final = "what the provider answered cannot be stored"
WITHOUT_ACCOUNTS: Final = frozenset({"webhook", "in_app"})  # no provider of ours stands between us and the recipient

# Guarded by the lease token: a worker that lost its lease changes nothing. A lost attempt has no lease to settle.
_SETTLE = """
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:results AS jsonb)) AS r(
        id uuid, status text, reason text, wait double precision, outcome text, failures integer, provider text,
        started_at timestamptz, duration_ms integer, detail text, message_id text, moved_to text{fields})
),
settled AS (
    UPDATE deliveries d SET status = r.status, reason = r.reason, failures = r.failures,
        due_at = CASE WHEN r.wait IS NOT NULL THEN now() + r.wait * interval '1 second' END,
        lease_until = NULL, lease_token = NULL, crashes = CASE WHEN r.outcome IS NULL THEN d.crashes ELSE 0 END,
        -- Whoever may have sent it stays known until somebody certainly did.
        provider = CASE WHEN d.unsure AND r.outcome = 'failed' THEN d.provider
                        ELSE coalesce(r.provider, d.provider) END,
        attempts = d.attempts + CASE WHEN r.outcome IS NULL THEN 0 ELSE 1 END,
        sent_at = CASE WHEN r.status = 'sent' THEN now() ELSE d.sent_at END,
        failed_at = CASE WHEN r.outcome <> 'sent' THEN now() ELSE d.failed_at END,
        unsure = d.unsure OR coalesce(r.outcome = 'unknown', false){made}
    FROM r WHERE d.id = r.id AND d.status = 'processing' AND d.lease_token = :token
    RETURNING d.id, d.tenant, d.channel, d.status, d.reason, d.notification_id, d.event_id, d.attempts, d.address
),
tried AS (
    INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail, message_id{more})
    SELECT s.id, s.attempts, r.provider, r.started_at, r.duration_ms, r.outcome, r.detail, r.message_id{more_of_r}
    FROM settled s JOIN r ON r.id = s.id WHERE r.outcome IS NOT NULL
),
arrived AS (
    SELECT n.id FROM notifications n
    WHERE n.id IN (SELECT s.notification_id FROM settled s WHERE s.status = 'sent'{along}) AND n.status = 'created'
    ORDER BY n.id FOR NO KEY UPDATE
),
told AS (UPDATE notifications n SET status = 'delivered' FROM arrived WHERE n.id = arrived.id),
dead AS (
    INSERT INTO dead_letters (delivery_id, tenant, channel, event, reason, detail)
    SELECT s.id, s.tenant, s.channel, e.type, s.reason, coalesce(r.detail, '')
    FROM settled s JOIN r ON r.id = s.id JOIN events e ON e.id = s.event_id WHERE s.status = 'dead_letter'
    ON CONFLICT (delivery_id) DO UPDATE SET
        reason = excluded.reason, detail = excluded.detail, created_at = excluded.created_at, announced_at = NULL
),
moved AS (
    INSERT INTO moved_addresses (tenant, channel, address, moved_to, delivery_id)
    SELECT DISTINCT ON (s.tenant, s.channel, s.address) s.tenant, s.channel, s.address, r.moved_to, s.id
    FROM settled s JOIN r ON r.id = s.id WHERE r.moved_to IS NOT NULL
    ORDER BY s.tenant, s.channel, s.address
    ON CONFLICT (tenant, channel, address) DO UPDATE SET moved_to = excluded.moved_to
),
counted AS (
    INSERT INTO statistics AS s (hour, tenant, channel, status, reason, shard, count)
    SELECT date_trunc('hour', now(), 'UTC'), tenant, channel, status, coalesce(reason, ''),
           cast(:shard AS smallint), count(*)
    FROM settled GROUP BY tenant, channel, status, reason ORDER BY tenant, channel, status, coalesce(reason, '')
    ON CONFLICT (hour, tenant, channel, status, reason, shard) DO UPDATE SET count = s.count + excluded.count
){counts}
SELECT id::text, status FROM settled
"""

# How well a provider's messages arrive is counted from what it accepted. A webhook's endpoint is no provider of ours,
# and most deliveries go there: they do without.
_ACCEPTED = """,
accepted AS (
    INSERT INTO deliverability AS a (hour, tenant, channel, provider, kind, shard, count, cost)
    SELECT date_trunc('hour', now(), 'UTC'), s.tenant, s.channel, r.provider, k.kind, cast(:shard AS smallint),
           sum(k.amount), sum(k.cost)
    FROM settled s JOIN r ON r.id = s.id, LATERAL (VALUES
        ('accepted', CASE WHEN r.outcome = 'sent' THEN 1 END, coalesce(r.cost, 0)),
        ('segments', CASE WHEN r.outcome = 'sent' THEN r.segments END, 0),
        ('deactivated', CASE WHEN r.outcome = 'refused' AND s.reason = 'no_tokens' THEN 1 END, 0)
    ) AS k(kind, amount, cost) WHERE k.amount IS NOT NULL
    GROUP BY s.tenant, s.channel, r.provider, k.kind ORDER BY s.tenant, s.channel, r.provider, k.kind
    ON CONFLICT (hour, tenant, channel, provider, kind, shard) DO UPDATE SET
        count = a.count + excluded.count, cost = a.cost + excluded.cost
)"""

# What was folded into a message is told with it.
_ALONG = """
        UNION ALL SELECT f.notification_id FROM settled s JOIN deliveries f ON f.folded_into = s.id
        WHERE s.status = 'sent'"""

# What its words were made of, so that another attempt says the same; what could not be said says it anew when mended.
_MADE = """,
        brand_version = CASE WHEN r.reason = 'not_rendered' THEN NULL
                             ELSE coalesce(r.brand_version, d.brand_version) END,
        template_version = CASE WHEN r.reason = 'not_rendered' THEN NULL
                                WHEN r.brand_version IS NULL THEN d.template_version ELSE r.template_version END"""

SETTLE: Final = text(_SETTLE.format(fields="", more="", more_of_r="", counts="", along="", made=""))
SETTLE_WITH_ACCOUNTS: Final = text(
    _SETTLE.format(
        fields=", segments smallint, cost numeric, brand_version integer, template_version uuid",
        more=", segments, cost",
        more_of_r=", r.segments, r.cost",
        counts=_ACCEPTED,
        along=_ALONG,
        made=_MADE,
    )
)

# Attempts by providers that certainly did not send, before the one that decided.
RECORD_EARLIER: Final = text("""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:earlier AS jsonb)) AS r(
        id uuid, position integer, provider text, started_at timestamptz, duration_ms integer, outcome text,
        detail text)
),
ours AS (
    SELECT d.id FROM deliveries d
    WHERE d.id IN (SELECT id FROM r) AND d.status = 'processing' AND d.lease_token = :token
    ORDER BY d.id FOR NO KEY UPDATE
),
counted AS (
    UPDATE deliveries d SET attempts = d.attempts + of_one.tries
    FROM (SELECT r.id, count(*) AS tries FROM r JOIN ours ON ours.id = r.id GROUP BY r.id) of_one
    WHERE d.id = of_one.id
    RETURNING d.id, d.attempts - of_one.tries AS before
)
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail)
SELECT c.id, c.before + r.position, r.provider, r.started_at, r.duration_ms, r.outcome, r.detail
FROM counted c JOIN r ON r.id = c.id
""")

STORE_PREVIEWS = text("""
INSERT INTO previews (delivery_id, tenant, channel, address, title, text, html)
SELECT delivery_id, tenant, channel, address, title, text, html
FROM jsonb_to_recordset(cast(:previews AS jsonb)) AS p(
    delivery_id uuid, tenant text, channel text, address text, title text, text text, html text)
ON CONFLICT (delivery_id) DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Earlier:
    """An attempt by a provider that certainly did not send, after which another one was tried."""

    provider: str
    started_at: datetime
    duration_ms: int
    outcome: Outcome
    detail: str


@dataclass(slots=True)
class Result:
    """What came of one claimed delivery; what `settle` stores.

    Attributes:
        earlier: attempts in the same turn by providers before this one.
        segments, cost: of a text message, in parts and units of the configured currency.
        suppress: the address goes on the suppression list, because the provider says so for good.
        deactivate: the push token that is no more.
        made: what the words were made of; None where none were said.
    """

    delivery_id: str
    verdict: Verdict
    provider: str | None = None
    started_at: datetime | None = None
    duration_ms: int = 0
    detail: str = ""
    message_id: str | None = None
    moved_to: str | None = None
    preview: dict[str, Any] | None = None
    earlier: list[Earlier] = field(default_factory=list)
    segments: int | None = None
    cost: Decimal | None = None
    suppress: Suppressed | None = None
    deactivate: str | None = None
    made: Made | None = None

    @property
    def is_bare(self) -> bool:
        """Whether there is nothing left of what the other side said."""
        return self.detail == UNSTORABLE

    def bare(self) -> Result:
        """The same without what the other side said: rather that is lost than what came of the delivery."""
        return Result(
            self.delivery_id, self.verdict, self.provider, self.started_at, self.duration_ms, UNSTORABLE, made=self.made
        )


def settle(connection: Connection, token: int, results: Sequence[Result], channel: str = "webhook") -> dict[str, str]:
    """Store what came of a claim. Returns the new status of each delivery whose lease was still ours."""
    if not results:
        return {}
    # In the order of their ids, as everybody locks deliveries: a worker whose lease was taken over waits in no circle.
    in_order = sorted(results, key=lambda result: result.delivery_id)
    _record_earlier(connection, token, in_order)
    plain = channel in WITHOUT_ACCOUNTS
    stored = document([_result_row(result) if plain else _paid_row(result) for result in in_order])
    statement = SETTLE if plain else SETTLE_WITH_ACCOUNTS
    rows = connection.execute(statement, {"results": stored, "token": token, "shard": shard()}).all()
    settled: dict[str, str] = {row.id: row.status for row in rows}
    if not plain:
        _follow(connection, [result for result in in_order if result.delivery_id in settled])
    previews = [result.preview for result in results if result.preview is not None]
    if previews:
        connection.execute(STORE_PREVIEWS, {"previews": json.dumps(previews)})
    return settled


def _record_earlier(connection: Connection, token: int, results: Sequence[Result]) -> None:
    rows = [
        {
            "id": result.delivery_id,
            "position": position,
            "provider": one.provider,
            "started_at": one.started_at.isoformat(),
            "duration_ms": one.duration_ms,
            "outcome": one.outcome,
            "detail": _storable(one.detail),
        }
        for result in results
        for position, one in enumerate(result.earlier, 1)
    ]
    if rows:
        connection.execute(RECORD_EARLIER, {"earlier": document(rows), "token": token})


def _follow(connection: Connection, results: Sequence[Result]) -> None:
    """What a provider said of addresses takes effect with its answer."""
    suppressed = [result.suppress for result in results if result.suppress is not None]
    if suppressed:
        suppress(connection, suppressed)
    gone = [result.deactivate for result in results if result.deactivate is not None]
    if gone:
        deactivate(connection, gone)


def _result_row(result: Result) -> dict[str, Any]:
    verdict = result.verdict
    return {
        "id": result.delivery_id,
        "status": verdict.status,
        "reason": verdict.reason,
        "wait": verdict.wait,
        "outcome": verdict.outcome,
        "failures": verdict.failures,
        "provider": result.provider,
        "started_at": result.started_at and result.started_at.isoformat(),
        "duration_ms": result.duration_ms,
        "detail": _storable(result.detail),
        "message_id": result.message_id and _storable(result.message_id)[:LONGEST_MESSAGE_ID],
        "moved_to": result.moved_to and _storable(result.moved_to),
    }


def _paid_row(result: Result) -> dict[str, Any]:
    cost = None if result.cost is None else str(result.cost)
    brand, template = (None, None) if result.made is None else (result.made.brand, result.made.template)
    return {
        **_result_row(result),
        "segments": result.segments,
        "cost": cost,
        "brand_version": brand and brand.version,
        "template_version": template and template.id,
    }


def _storable(said: str) -> str:
    """What the other side said, without what a column of text refuses: it must not cost the whole batch its results."""
    if said.isprintable():
        return said
    return said.replace("\x00", "").encode("utf-8", "replace").decode()
