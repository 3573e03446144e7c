"""Deliver: claim under a lease, look once more, say it in the channel's words, settle what came of it.

Two short transactions with none in between: no connection is held while a provider thinks.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from channels.base import Address, Attachment, Message
from config.catalogue import shipped
from domain.preferences import wants
from domain.recheck import no_longer_wanted
from domain.states import DeliveryStatus
from domain.verdict import Verdict, withdrawn
from domain.vocabulary import Reason, Severity
from pipeline.bulkhead import Slots
from pipeline.context import context
from pipeline.counts import shard
from pipeline.document import document
from pipeline.envelope import unlisted
from pipeline.people import preference_entries
from pipeline.render import render
from pipeline.sealing import opened
from pipeline.wording import mask

# The four priorities one after the other: each is one range of the index, so what is due in an hour costs nothing.
_PICK = """
picked_{rank} AS (
    SELECT id, status, reason FROM deliveries
    WHERE channel = :channel AND priority = {rank} AND due_at <= now()
      AND (lease_until IS NULL OR lease_until < now()) AND NOT (status = 'processing' AND crashes > 0)
    ORDER BY due_at LIMIT (cast(:most AS integer){less}) FOR UPDATE SKIP LOCKED
)"""


# The planner cannot see the limits above and would expect a tenth of all that is due, and read whole tables for it. The
# last limit, a number, changes nothing else: no claim asks for more.
_UNITED = """
picked AS (
    (SELECT * FROM picked_3 UNION ALL SELECT * FROM picked_2 UNION ALL SELECT * FROM picked_1
     UNION ALL SELECT * FROM picked_0) LIMIT 1000
)"""

# What two processes have died with is taken alone: if it is the cause, it takes no other with it.
_ALONE = """
picked AS (
    SELECT id, status, reason FROM deliveries
    WHERE channel = :channel AND due_at <= now() AND lease_until < now() AND status = 'processing' AND crashes > 0
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)"""


def _picks() -> str:
    parts, less = [], ""
    for rank in (3, 2, 1, 0):
        parts.append(_PICK.format(rank=rank, less=less))
        less += f" - (SELECT count(*) FROM picked_{rank})"
    return ",".join([*parts, _UNITED])


# Nothing indexed changes in a claim, so it is a heap-only update. Whether its issue is resolved is asked of a delivery
# that may have missed its withdrawal because a worker was sending it; a new one has not lived through that, and one
# that a person replays is wanted all the same. Asked with EXISTS, the planner would read all issues into a hash table.
_CLAIM = """
WITH {picks},
claimed AS (
    UPDATE deliveries d SET status = 'processing', reason = NULL, lease_token = :token,
        lease_until = now() + :lease * interval '1 second',
        crashes = d.crashes + CASE WHEN p.status = 'processing' THEN 1 ELSE 0 END
    FROM picked p WHERE d.id = p.id
    RETURNING d.*, p.status = 'processing' AS was_lost, p.reason IS NOT NULL AS was_postponed
)
SELECT c.id::text, c.tenant, c.event_id::text, c.notification_id::text, c.webhook_id::text, c.address, c.name,
       c.template, c.attempts, c.failures, c.crashes, c.was_lost, c.provider,
       e.type, e.severity, e.condition, e.branch, e.customer_id::text, e.data::text AS data_json, e.occurred_at,
       e.expires_at, CASE WHEN :channel = 'email' THEN e.attachments END AS attachments,
       n.user_id, u.locale, h.secret, h.previous_secret, h.previous_until, h.headers::text AS headers_json, h.url,
       (SELECT jsonb_agg(jsonb_build_array(p.group_name, p.event, p.customer_id, p.channels)) FROM preferences p
        WHERE p.tenant = c.tenant AND p.user_id = n.user_id) AS preferences,
       EXISTS (SELECT FROM acknowledgements a WHERE a.tenant = c.tenant AND a.fingerprint = e.fingerprint
               AND a.user_id IN ('', coalesce(n.user_id, '')) AND a.until > now() AND e.condition = 'firing')
       AS acknowledged,
       CASE WHEN c.replayed_at IS NULL AND (c.failures > 0 OR c.was_lost OR c.was_postponed
                 OR c.created_at < now() - interval '5 seconds') THEN
           e.condition = 'firing' AND coalesce((SELECT i.status = 'resolved' FROM issues i
               WHERE i.tenant = c.tenant AND i.fingerprint = e.fingerprint), false) ELSE false END AS resolved,
       m.moved_to
FROM claimed c
JOIN events e ON e.id = c.event_id
LEFT JOIN notifications n ON n.id = c.notification_id
LEFT JOIN users u ON u.tenant = c.tenant AND u.id = n.user_id
LEFT JOIN webhooks h ON h.id = c.webhook_id
LEFT JOIN moved_addresses m ON m.tenant = c.tenant AND m.channel = c.channel AND m.address = c.address
"""
CLAIM = text(_CLAIM.format(picks=_picks()))
CLAIM_ALONE = text(_CLAIM.format(picks=_ALONE))

# Guarded by the lease token: a worker that lost its lease changes nothing. A lost attempt has no lease to settle.
SETTLE = text("""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:results AS jsonb)) AS r(
        id uuid, status text, reason text, wait double precision, outcome text, failures integer, provider text,
        started_at timestamptz, duration_ms integer, detail text, message_id text, moved_to text)
),
settled AS (
    UPDATE deliveries d SET status = r.status, reason = r.reason, failures = r.failures,
        due_at = CASE WHEN r.wait IS NOT NULL THEN now() + r.wait * interval '1 second' END,
        lease_until = NULL, lease_token = NULL, provider = coalesce(r.provider, d.provider),
        attempts = d.attempts + CASE WHEN r.outcome IS NULL THEN 0 ELSE 1 END,
        sent_at = CASE WHEN r.status = 'sent' THEN now() ELSE d.sent_at END,
        failed_at = CASE WHEN r.outcome <> 'sent' THEN now() ELSE d.failed_at END
    FROM r WHERE d.id = r.id AND d.status = 'processing' AND d.lease_token = :token
    RETURNING d.id, d.tenant, d.channel, d.status, d.reason, d.notification_id, d.event_id, d.attempts, d.address
),
tried AS (
    INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail, message_id)
    SELECT s.id, s.attempts, r.provider, r.started_at, r.duration_ms, r.outcome, r.detail, r.message_id
    FROM settled s JOIN r ON r.id = s.id WHERE r.outcome IS NOT NULL
),
arrived AS (
    SELECT n.id FROM notifications n
    WHERE n.id IN (SELECT s.notification_id FROM settled s WHERE s.status = 'sent') AND n.status = 'created'
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
)
SELECT id::text, status FROM settled
""")

# An attempt whose worker died: it has a number of its own and moves the delivery nowhere.
RECORD_LOST = text("""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:lost AS jsonb)) AS r(id uuid, provider text)
),
numbered AS (
    UPDATE deliveries d SET attempts = d.attempts + 1 FROM r WHERE d.id = r.id AND d.lease_token = :token
    RETURNING d.id, d.attempts, r.provider
)
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail)
SELECT id, attempts, provider, now(), 0, 'lost', 'the worker stopped before it could say what happened' FROM numbered
""")

STORE_PREVIEWS = text("""
INSERT INTO previews (delivery_id, tenant, channel, address, title, text, html)
SELECT delivery_id, tenant, channel, address, title, text, html
FROM jsonb_to_recordset(cast(:previews AS jsonb)) AS p(
    delivery_id uuid, tenant text, channel text, address text, title text, text text, html text)
ON CONFLICT (delivery_id) DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries that this worker may send until `expires` (the clock of time.monotonic)."""

    token: int
    expires: float
    rows: Sequence[Row[Any]]
    slots: Slots | None = None


@dataclass(slots=True)
class Result:
    """What came of one claimed delivery; what `settle` stores."""

    delivery_id: str
    verdict: Verdict
    provider: str | None = None
    started_at: datetime | None = None
    duration_ms: int = 0
    detail: str = ""
    message_id: str | None = None
    moved_to: str | None = None
    preview: dict[str, Any] | None = None


def claim(connection: Connection, channel: str, most: int, lease_seconds: float, now: float) -> Claim:
    """Take what is due on a channel, the most urgent and oldest first.

    Args:
        most: at most 1,000.
        now: time.monotonic() from before this call, so that our idea of the lease ends before the database's.
    """
    return _claim(connection, CLAIM, {"channel": channel, "most": most, "lease": lease_seconds}, now)


def claim_alone(connection: Connection, channel: str, lease_seconds: float, now: float) -> Claim:
    """Take one delivery that was under way when a process died, and had been before."""
    return _claim(connection, CLAIM_ALONE, {"channel": channel, "lease": lease_seconds}, now)


def _claim(connection: Connection, statement: TextClause, values: dict[str, Any], now: float) -> Claim:
    token = secrets.randbits(62)
    rows = connection.execute(statement, {**values, "token": token}).all()
    lost = [{"id": row.id, "provider": row.provider or values["channel"]} for row in rows if row.was_lost]
    if lost:
        connection.execute(RECORD_LOST, {"lost": json.dumps(lost), "token": token})
    return Claim(token, now + values["lease"], rows)


def settle(connection: Connection, token: int, results: Sequence[Result]) -> dict[str, str]:
    """Store what came of a claim. Returns the new status of each delivery whose lease was still ours."""
    if not results:
        return {}
    # In the order of their ids, as everybody locks deliveries: a worker whose lease was taken over waits in no circle.
    in_order = sorted(results, key=lambda result: result.delivery_id)
    stored = document([_result_row(result) for result in in_order])
    rows = connection.execute(SETTLE, {"results": stored, "token": token, "shard": shard()}).all()
    previews = [result.preview for result in results if result.preview is not None]
    if previews:
        connection.execute(STORE_PREVIEWS, {"previews": json.dumps(previews)})
    return {row.id: row.status for row in rows}


def look_again(row: Row[Any], channel: str, now: datetime) -> Verdict | None:
    """What a claimed delivery comes to if it is no longer wanted; None when it is to be sent."""
    if row.url is None and row.webhook_id is not None:
        return withdrawn(row.failures, DeliveryStatus.CANCELLED, Reason.NO_WEBHOOKS_CONFIGURED)
    if row.expires_at is None and not row.acknowledged and not row.resolved and row.preferences is None:
        return None
    listed = shipped().event_types.get(row.type) or unlisted(row.type)
    wanted = listed.transactional or wants(
        preference_entries(row.preferences),
        group=listed.group,
        event=row.type,
        customer_id=row.customer_id,
        channel=channel,
    )
    going = no_longer_wanted(
        now=now, expires_at=row.expires_at, resolved=row.resolved, acknowledged=row.acknowledged, wanted=wanted
    )
    return None if going is None else withdrawn(row.failures, *going)


def message(row: Row[Any], channel: str) -> Message:
    """The words of one delivery. Raises RenderError when a template is wrong."""
    if channel == "webhook":
        return Message(row.id, row.tenant, row.event_id, row.type, row.notification_id, body=webhook_body(row))
    said = render(
        channel,
        row.template,
        context(
            event_id=row.event_id,
            event_type=row.type,
            severity=Severity(row.severity),
            condition=row.condition,
            occurred_at=row.occurred_at,
            branch=row.branch,
            data=json.loads(row.data_json),
            tenant=row.tenant,
            user_id=row.user_id,
            name=row.name,
            locale=row.locale,
        ),
    )
    return Message(
        row.id,
        row.tenant,
        row.event_id,
        row.type,
        row.notification_id,
        title=said.title,
        text=said.text,
        html=said.html,
        attachments=tuple(
            Attachment(one["filename"], one["content_type"], b64decode(one["content"])) for one in row.attachments or ()
        ),
    )


def webhook_body(row: Row[Any]) -> bytes:
    """The request of a webhook: the same bytes at every attempt, so that its signature and id stay comparable.

    `data` is spliced in as the database wrote it; reading and writing it again would cost more than the signature.
    """
    at = row.occurred_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    user = "null" if row.user_id is None else json.dumps(row.user_id, ensure_ascii=False)
    listed = shipped().event_types.get(row.type)
    data = row.data_json if listed is None or not listed.secret else _masked(row.data_json, listed.secret)
    return (
        f'{{"id":"{row.notification_id or row.event_id}","type":"{row.type}","userId":{user},'
        f'"data":{data},"timestamp":"{at}"}}'
    ).encode()


def _masked(data_json: str, secret: tuple[str, ...]) -> str:
    """Secrets go out by email only."""
    return json.dumps(mask(json.loads(data_json), secret), ensure_ascii=False)


def address(row: Row[Any], now: datetime) -> Address:
    """Where one delivery goes, as of now: a webhook's URL and secret, the group that a chat moved to."""
    if row.webhook_id is None:
        return Address(row.moved_to or row.address, row.name)
    keys = [row.secret]
    if row.previous_secret is not None and row.previous_until is not None and row.previous_until > now:
        keys.append(row.previous_secret)
    headers = {} if row.headers_json == "{}" else json.loads(row.headers_json)
    return Address(row.url, row.name, row.webhook_id, tuple(opened(key) for key in keys), headers)


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
        "message_id": result.message_id and _storable(result.message_id),
        "moved_to": result.moved_to and _storable(result.moved_to),
    }


def _storable(said: str) -> str:
    """What the other side said, without what a column of text refuses: it must not cost the whole batch its results."""
    if said.isprintable():
        return said
    return said.replace("\x00", "").encode("utf-8", "replace").decode()
