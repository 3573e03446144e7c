"""What receipts mean for addresses: who is told no more, and whose email is switched off, each with an audit row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.settings import settings
from domain.receipts import SOFT_BOUNCES, SUPPRESSIONS
from domain.vocabulary import ReceiptKind, Suppression
from pipeline.document import document
from pipeline.suppressions import STRENGTH, SUPPRESS, Suppressed

SOURCE: Final = "webhook"
COUNTED_SOURCE: Final = "auto_suppression"  # nobody said so; we counted

# Two calls at once with the fourth and the fifth bounce would both count four.
COUNT_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('bellwire soft bounces'))")

TOO_MANY = text("""
SELECT s.tenant, s.address, s.provider, s.delivery_id
FROM jsonb_to_recordset(cast(:bounced AS jsonb)) AS s(tenant text, address text, provider text, delivery_id text)
WHERE :most <= (SELECT count(*) FROM (
    SELECT FROM receipts r
    WHERE r.kind = 'bounced' AND NOT r.permanent AND r.tenant = s.tenant AND r.address = s.address
      AND r.occurred_at > now() - :seconds * interval '1 second' AND r.applied_at IS NOT NULL
    LIMIT :most) AS found)
""")

# The audit outlives the person, so it names the delivery and no address.
SUPPRESS_AND_RECORD = text(f"""
WITH changed AS ({SUPPRESS.text} RETURNING s.tenant, s.channel, s.reason, s.source, s.provider, s.delivery_id)
INSERT INTO audit (tenant, actor, action, subject, after)
SELECT tenant, 'receipt:' || provider, 'suppression.add', coalesce(delivery_id::text, channel),
       jsonb_build_object('channel', channel, 'reason', reason, 'source', source)
FROM changed
""")

# In the order of the key, as everybody locks users.
SWITCH_OFF = text("""
WITH wanted AS (
    SELECT u.tenant, u.id, u.disabled_channels, c.provider, c.delivery_id
    FROM (SELECT DISTINCT ON (tenant, user_id) * FROM jsonb_to_recordset(cast(:complaints AS jsonb)) AS c(
              tenant text, user_id text, provider text, delivery_id text) ORDER BY tenant, user_id) AS c
    JOIN users u ON u.tenant = c.tenant AND u.id = c.user_id
    WHERE NOT 'email' = ANY(u.disabled_channels) ORDER BY u.tenant, u.id FOR NO KEY UPDATE OF u
),
changed AS (
    UPDATE users u SET disabled_channels = array_append(u.disabled_channels, 'email'), updated_at = now()
    FROM wanted w WHERE u.tenant = w.tenant AND u.id = w.id
)
INSERT INTO audit (tenant, actor, action, subject, before, after)
SELECT tenant, 'receipt:' || provider, 'user.email_off', id, jsonb_build_object('disabled_channels', disabled_channels),
       jsonb_build_object('disabled_channels', array_append(disabled_channels, 'email'), 'delivery_id', delivery_id)
FROM wanted
""")

# Who said STOP to the number or the sender that all tenants share said it to those who know the address. Looks at all
# users, because few people ever do this; an address that only an event named is refused by the provider itself.
KNOWN_TO = text("""
SELECT DISTINCT u.tenant, a.channel, a.address, a.provider
FROM jsonb_to_recordset(cast(:addresses AS jsonb)) AS a(channel text, address text, provider text)
JOIN users u ON CASE a.channel WHEN 'sms' THEN u.phone = a.address ELSE lower(u.email) = lower(a.address) END
""")


@dataclass(frozen=True, slots=True)
class Told:
    """A receipt and the delivery that it speaks of, whose row is locked."""

    receipt: Row[Any]
    delivery: Row[Any]

    @property
    def address(self) -> str | None:
        """The delivery's own; only where that was erased, what the provider says. None: it is not about the address."""
        return None if self.receipt.address == "" else self.delivery.address or self.receipt.address

    @property
    def soft_bounce(self) -> str | None:
        """The address that a temporary bounce counts against; a telephone that is off for a week is no reason."""
        counts = self.receipt.kind == ReceiptKind.BOUNCED and not self.receipt.permanent
        return self.address if counts and self.delivery.channel == "email" else None


def follow_up(connection: Connection, told: Sequence[Told], stops: Sequence[Row[Any]]) -> None:
    """Suppress and switch off what the receipts say, in a fixed number of statements.

    Args:
        told: applied and marked, so that they are counted.
        stops: wishes to hear no more that name an address and no message.
    """
    rows = [row for one in told if (row := _suppressed(one))]
    rows += _too_many(connection, told)
    rows += _stopped(connection, stops)
    if rows:
        values = {"rows": document([asdict(row) for row in rows]), "strength": [word.value for word in STRENGTH]}
        connection.execute(SUPPRESS_AND_RECORD, values)
    _switch_off(connection, told)


def _suppressed(one: Told) -> Suppressed | None:
    reason = SUPPRESSIONS.get((ReceiptKind(one.receipt.kind), one.receipt.permanent))
    if reason is None or not one.address:
        return None
    return Suppressed(
        tenant=one.delivery.tenant,
        channel=one.delivery.channel,
        address=one.address,
        reason=reason,
        source=SOURCE,
        provider=one.receipt.provider,
        delivery_id=one.delivery.id,
    )


def _too_many(connection: Connection, told: Iterable[Told]) -> list[Suppressed]:
    """Addresses whose temporary bounces have become too many with these."""
    bounced = {
        (one.delivery.tenant, one.soft_bounce): {"provider": one.receipt.provider, "delivery_id": one.delivery.id}
        for one in told
        if one.soft_bounce
    }
    if not bounced:
        return []
    connection.execute(COUNT_ALONE)
    given = [{"tenant": tenant, "address": address, **about} for (tenant, address), about in bounced.items()]
    values = {"bounced": document(given), "most": SOFT_BOUNCES, "seconds": settings().soft_bounce_seconds}
    return [
        Suppressed(
            tenant=row.tenant,
            channel="email",
            address=row.address,
            reason=Suppression.REPEATED_SOFT_BOUNCES,
            source=COUNTED_SOURCE,
            provider=row.provider,
            delivery_id=row.delivery_id,
        )
        for row in connection.execute(TOO_MANY, values)
    ]


def _stopped(connection: Connection, stops: Iterable[Row[Any]]) -> list[Suppressed]:
    """For a tenant's own account that tenant, for the installation's all who know the address."""
    own, shared = [], []
    for row in stops:
        about = {"channel": "sms" if row.provider == "twilio" else "email", "address": row.address}
        if row.account:
            own.append({**about, "tenant": row.account, "provider": row.provider})
        else:
            shared.append({**about, "provider": row.provider})
    if shared:
        own += [dict(row) for row in connection.execute(KNOWN_TO, {"addresses": document(shared)}).mappings()]
    return [Suppressed(reason=Suppression.UNSUBSCRIBED, source=SOURCE, **one) for one in own]


def _switch_off(connection: Connection, told: Iterable[Told]) -> None:
    """Who complains about an email gets none any more, at whatever address."""
    complaints = [
        {
            "tenant": one.delivery.tenant,
            "user_id": one.delivery.user_id,
            "provider": one.receipt.provider,
            "delivery_id": one.delivery.id,
        }
        for one in told
        if one.receipt.kind == ReceiptKind.COMPLAINED and one.delivery.channel == "email" and one.delivery.user_id
    ]
    if complaints:
        connection.execute(SWITCH_OFF, {"complaints": document(complaints)})
