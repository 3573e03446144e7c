"""Claim: take what is due on a channel under a lease, together with all that is needed to send it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, TextClause, text

from domain.vocabulary import CHANNELS
from pipeline.bulkhead import Slots
from pipeline.event_types import EventTypes
from pipeline.fold import More
from pipeline.looks import Made
from pipeline.suppressions import why_suppressed

# The four priorities one after the other: each is one range of the index, so what is due in an hour costs nothing.
_PICK = """
picked_{rank} AS (
    SELECT id, status, reason FROM deliveries
    WHERE channel = :channel AND priority = {rank} AND due_at <= now()
      AND (lease_until IS NULL OR lease_until < now()) AND NOT (status = 'processing' AND crashes > 0) {only}
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


def _picks(only: str) -> str:
    parts, less = [], ""
    for rank in (3, 2, 1, 0):
        parts.append(_PICK.format(rank=rank, less=less, only=only))
        less += f" - (SELECT count(*) FROM picked_{rank})"
    return ",".join([*parts, _UNITED])


# Nothing indexed changes in a claim, so it is a heap-only update. Whether its issue is resolved is asked of a delivery
# that may have missed its withdrawal because a worker was sending it; a new one has not lived through that, and one
# that a person replays is wanted all the same. Asked with EXISTS, the planner would read all issues into a hash table.
# Of preferences, the entries of whole groups that only say yes are left out: they decide nothing, and everybody who
# ever looked at his has a dozen of them.
_CLAIM = """
WITH {picks},
claimed AS (
    UPDATE deliveries d SET status = 'processing', reason = NULL, lease_token = :token,
        lease_until = now() + :lease * interval '1 second',
        crashes = d.crashes + CASE WHEN p.status = 'processing' THEN 1 ELSE 0 END
    FROM picked p WHERE d.id = p.id
    RETURNING d.*, p.status = 'processing' AS was_lost, p.reason AS earlier_reason
)
SELECT c.id::text, c.tenant, c.event_id::text, c.notification_id::text, c.webhook_id::text, c.address, c.name,
       c.template, c.attempts, c.failures, c.crashes, c.was_lost, c.provider, c.unsure, c.earlier_reason, c.priority,
       e.type, e.severity, e.condition, e.branch, e.customer_id::text, e.data::text AS data_json, e.occurred_at,
       e.expires_at, n.user_id, {locale} AS locale, u.time_zone,
       coalesce(c.channel = ANY(u.disabled_channels), false) AS disabled,
       h.secret, h.previous_secret, h.previous_until, h.headers::text AS headers_json, h.url,
       (SELECT jsonb_agg(jsonb_build_array(p.group_name, p.event, p.customer_id, p.channels)) FROM preferences p
        WHERE p.tenant = c.tenant AND p.user_id = n.user_id
          AND (p.event IS NOT NULL OR p.customer_id IS NOT NULL OR p.channels -> c.channel = 'false')) AS preferences,
       EXISTS (SELECT FROM acknowledgements a WHERE a.tenant = c.tenant AND a.fingerprint = e.fingerprint
               AND a.user_id IN ('', coalesce(n.user_id, '')) AND a.until > now() AND e.condition = 'firing')
       AS acknowledged,
       CASE WHEN c.replayed_at IS NULL AND (c.failures > 0 OR c.was_lost OR c.earlier_reason IS NOT NULL
                 OR c.created_at < now() - interval '5 seconds') THEN
           e.condition = 'firing' AND coalesce((SELECT i.status = 'resolved' FROM issues i
               WHERE i.tenant = c.tenant AND i.fingerprint = e.fingerprint), false) ELSE false END AS resolved,
       m.moved_to, e.status = 'cancelled' AND c.replayed_at IS NULL AS cancelled, {suppressed} AS suppressed,
       {only_if} AS only_if, c.brand_version, c.template_version::text{columns}
FROM claimed c
JOIN events e ON e.id = c.event_id
LEFT JOIN notifications n ON n.id = c.notification_id
LEFT JOIN users u ON u.tenant = c.tenant AND u.id = n.user_id
LEFT JOIN webhooks h ON h.id = c.webhook_id
LEFT JOIN moved_addresses m ON m.tenant = c.tenant AND m.channel = c.channel AND m.address = c.address{joins}
"""
# What a condition asks for, as one document. Nobody's condition holds up what a person sends again, nor what was folded
# into a delivery and is told by nothing else.
_ONLY_IF: Final = """CASE WHEN c.only_if IS NOT NULL AND c.replayed_at IS NULL
                 AND (SELECT true FROM deliveries f WHERE f.folded_into = c.id LIMIT 1) IS NULL THEN jsonb_build_object(
           'only_if', c.only_if, 'seen', coalesce(n.read_at, n.ack_at, n.deleted_at) IS NOT NULL,
           'shown_at', (SELECT extract(epoch FROM min(o.delivered_at)) FROM deliveries o
               WHERE o.event_id = c.event_id AND o.notification_id = c.notification_id AND o.channel = 'in_app'),
           'age', extract(epoch FROM now() - greatest(c.created_at, e.send_at)),
           'others', (SELECT jsonb_object_agg(s.channel, s.statuses) FROM (
               SELECT o.channel, jsonb_agg(DISTINCT o.status) AS statuses FROM deliveries o
               WHERE o.event_id = c.event_id AND o.notification_id = c.notification_id AND o.id <> c.id
               GROUP BY o.channel) AS s)) END"""
# An address that the event named has the language that stands beside it.
_LOCALE: Final = """coalesce(u.locale, CASE WHEN n.user_id IS NULL AND c.webhook_id IS NULL THEN
           jsonb_path_query_first(e.recipients,
               '$[*] ? (@.email == $to || @.phone == $to || @.telegram_chat_id == $to || @.whatsapp == $to).locale',
               jsonb_build_object('to', c.address)) #>> '{}' END)"""
_SUPPRESSIBLE: Final = frozenset({"email", "sms", "telegram", "whatsapp"})

# What a channel must know beyond what all do, as columns and joins. Webhooks, which are the most, ask for nothing.
_MORE: Final[dict[str, tuple[str, str]]] = {
    "email": (
        ", e.attachments, (SELECT x.sealed FROM event_secrets x WHERE x.event_id = c.event_id) AS sealed",
        "",
    ),
    "whatsapp": (
        """,
       coalesce(shared.at > now() - interval '24 hours', false) AS in_session,
       coalesce(own.at > now() - interval '24 hours', false) AS in_own_session""",
        """
LEFT JOIN whatsapp_sessions shared ON shared.account = '' AND shared.phone = c.address
LEFT JOIN whatsapp_sessions own ON own.account = c.tenant AND own.phone = c.address""",
    ),
    # The badge stops at 999: no phone shows more, and the count must not grow with what somebody never read.
    "push": (
        """,
       t.token, t.platform, coalesce(t.is_active AND t.user_id = n.user_id, false) AS token_is_good,
       (SELECT count(*) FROM (SELECT FROM notifications unread WHERE unread.tenant = c.tenant
                              AND unread.user_id = n.user_id AND unread.sequence IS NOT NULL
                              AND unread.read_at IS NULL
                              AND unread.deleted_at IS NULL LIMIT 999) AS counted) AS badge""",
        """
LEFT JOIN push_tokens t ON t.id = cast(nullif(c.address, '') AS uuid)""",
    ),
    "apprise": (", u.apprise", ""),
}


def _statement(channel: str, picks: str) -> TextClause:
    columns, joins = _MORE.get(channel, ("", ""))
    suppressed = why_suppressed("c") if channel in _SUPPRESSIBLE else "NULL"
    only_if = "NULL" if channel == "in_app" else _ONLY_IF
    return text(
        _CLAIM.format(picks=picks, suppressed=suppressed, only_if=only_if, locale=_LOCALE, columns=columns, joins=joins)
    )


_OF_ALL: Final = _picks("")
# Where the installation has no provider, only those whose tenant has one of its own, and what a worker died with when
# there was one; the others go on waiting.
_OF_ACCOUNTS: Final = _picks(
    "AND (status = 'processing' OR tenant IN (SELECT a.tenant FROM provider_accounts a WHERE a.channel = :channel))"
)
CLAIM: Final = {channel: _statement(channel, _OF_ALL) for channel in CHANNELS}
CLAIM_OF_ACCOUNTS: Final = {channel: _statement(channel, _OF_ACCOUNTS) for channel in CHANNELS}
CLAIM_ALONE: Final = {channel: _statement(channel, _ALONE) for channel in CHANNELS}

# An attempt whose worker died: it has a number of its own and moves the delivery nowhere.
RECORD_LOST = text("""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:lost AS jsonb)) AS r(id uuid, provider text)
),
numbered AS (
    UPDATE deliveries d SET attempts = d.attempts + 1, unsure = true FROM r WHERE d.id = r.id AND d.lease_token = :token
    RETURNING d.id, d.attempts, r.provider
)
INSERT INTO attempts (delivery_id, number, provider, started_at, duration_ms, outcome, detail)
SELECT id, attempts, provider, now(), 0, 'lost', 'the worker stopped before it could say what happened' FROM numbered
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries that this worker may send until `expires` (the clock of time.monotonic).

    `more`: what was folded into some of them, `made`: what their words are made of, by delivery id. `present`: those of
    their users, as tenant and id, who have a live connection, as far as a condition asks. `event_types`: by tenant, as
    far as anything asks; the shipped ones for the others.
    """

    token: int
    expires: float
    rows: Sequence[Row[Any]]
    slots: Slots | None = None
    more: Mapping[str, More] = field(default_factory=dict)
    present: Mapping[tuple[str, str], float] = field(default_factory=dict)
    made: Mapping[str, Made] = field(default_factory=dict)
    event_types: Mapping[str, EventTypes] = field(default_factory=dict)


def claim(
    connection: Connection, channel: str, most: int, lease_seconds: float, now: float, *, of_accounts: bool = False
) -> Claim:
    """Take what is due on a channel, the most urgent and oldest first.

    Args:
        most: at most 1,000.
        of_accounts: only what belongs to tenants with an account of their own on this channel.
        now: time.monotonic() from before this call, so that our idea of the lease ends before the database's.
    """
    statement = (CLAIM_OF_ACCOUNTS if of_accounts else CLAIM)[channel]
    return _claim(connection, statement, {"channel": channel, "most": most, "lease": lease_seconds}, now)


def claim_alone(connection: Connection, channel: str, lease_seconds: float, now: float) -> Claim:
    """Take one delivery that was under way when a process died, and had been before."""
    return _claim(connection, CLAIM_ALONE[channel], {"channel": channel, "lease": lease_seconds}, now)


def _claim(connection: Connection, statement: TextClause, values: dict[str, Any], now: float) -> Claim:
    token = secrets.randbits(62)
    rows = connection.execute(statement, {**values, "token": token}).all()
    lost = [{"id": row.id, "provider": row.provider or values["channel"]} for row in rows if row.was_lost]
    if lost:
        connection.execute(RECORD_LOST, {"lost": json.dumps(lost), "token": token})
    return Claim(token, now + values["lease"], rows)
