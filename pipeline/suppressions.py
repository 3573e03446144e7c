"""Suppressions: addresses that are told no more, and why. The claim looks here, so what is added counts at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from config.catalogue import check_event_name
from config.fields import Fields, check_text, check_word
from domain.errors import InvalidInputError
from domain.event import masked
from domain.vocabulary import CHANNEL_ALIASES, CHANNELS, Suppression
from pipeline.audit import record
from pipeline.contacts import check_address
from pipeline.document import document
from pipeline.filters import Conditions, Filter, conditions
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.moments import written

LONGEST_ADDRESS: Final = 320  # characters, of an email address (RFC 3696)
LONGEST_NOTE: Final = 500  # characters

CONTACTS: Final = {"email": "email", "sms": "phone", "whatsapp": "whatsapp", "telegram": "telegram_chat_id"}
"""The channels whose addresses a person may suppress, and what such an address is called among a user's fields."""

STRENGTH: Final = (
    Suppression.SPAM_COMPLAINT,
    Suppression.UNSUBSCRIBED,
    Suppression.MANUAL,
    Suppression.PERMANENT_BOUNCE,
    Suppression.REPEATED_SOFT_BOUNCES,
)
"""The strongest first: what somebody wants outweighs what a mailbox answered."""

COLUMNS = "tenant, channel, address, event, reason, source, provider, delivery_id::text, created_at"

# In the database's own lower case, for that is what the claim compares with.
STORED = "lower({address})"


def why_suppressed(delivery: str) -> str:
    """The reason for which the address of a delivery is told no more, as SQL; null where it may be told.

    Asked as a value, not with EXISTS: the planner would read the whole list into a hash table.

    Args:
        delivery: the alias of the delivery's row; that of its event is ``e``.
    """
    return f"""(SELECT s.reason FROM suppressions s
        WHERE s.tenant = {delivery}.tenant AND s.channel = {delivery}.channel
        AND s.address = lower({delivery}.address) AND s.event IN ('', e.type) LIMIT 1)"""


# A tenant that is gone must not cost the others their rows. In the order of the key, so that two batches with the same
# addresses never wait for each other in a circle.
SUPPRESS = text(f"""
WITH given AS (
    SELECT DISTINCT ON (g.tenant, g.channel, stored, g.event)
           g.*, {STORED.format(address="g.address")} AS stored
    FROM jsonb_to_recordset(cast(:rows AS jsonb)) AS g(
        tenant text, channel text, address text, event text, reason text, source text, provider text, delivery_id uuid)
    JOIN tenants t ON t.id = g.tenant
    ORDER BY g.tenant, g.channel, stored, g.event, array_position(cast(:strength AS text[]), g.reason)
)
INSERT INTO suppressions AS s (tenant, channel, address, event, reason, source, provider, delivery_id)
SELECT tenant, channel, stored, event, reason, source, provider, delivery_id FROM given
ORDER BY tenant, channel, stored, event
ON CONFLICT (tenant, channel, address, event) DO UPDATE SET
    reason = excluded.reason, source = excluded.source, provider = excluded.provider,
    delivery_id = excluded.delivery_id, created_at = now()
WHERE array_position(cast(:strength AS text[]), excluded.reason)
    < array_position(cast(:strength AS text[]), s.reason)
""")

OF_ADDRESS = f"""
tenant = :tenant AND channel = :channel AND event = :event
AND address = ANY(SELECT {STORED.format(address="a")} FROM unnest(cast(:addresses AS text[])) AS a)
"""
READ = text(f"SELECT {COLUMNS} FROM suppressions WHERE {OF_ADDRESS}")
LIFT = text(f"DELETE FROM suppressions WHERE {OF_ADDRESS} RETURNING {COLUMNS}")
LIST = f"SELECT {COLUMNS} FROM suppressions WHERE {{conditions}} ORDER BY tenant, channel, address, event LIMIT :most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """An address and why it is told no more.

    Attributes:
        event: the type that it is not told of; empty for all.
        source: ``webhook`` (a receipt), ``refusal``, ``unsubscribe``, or who added it by hand.
        provider: who reported it.
        delivery_id: the delivery that it followed from.
    """

    tenant: str
    channel: str
    address: str
    reason: Suppression
    source: str
    event: str = ""
    provider: str | None = None
    delivery_id: str | None = None


def suppress(connection: Connection, rows: Sequence[Suppressed]) -> int:
    """Add addresses in one statement. One that is there already keeps the stronger reason (`STRENGTH`).

    Returns:
        How many are new or have a stronger reason now.
    """
    if not rows:
        return 0
    values = {"rows": document([asdict(row) for row in rows]), "strength": [word.value for word in STRENGTH]}
    return connection.execute(SUPPRESS, values).rowcount


def add_suppression(
    connection: Connection, *, tenant: str, body: object, actor: str, remote: str | None = None
) -> dict[str, Any]:
    """Suppress an address by hand.

    Returns:
        What the list shows of it now; with another reason than ``manual`` when it was there for a stronger one.

    Raises:
        InvalidInputError: naming the field.
    """
    fields = Fields(body, "", ("channel", "address", "event", "note"))
    channel = check_word(fields.required("channel"), "channel", tuple(CONTACTS))
    address = _address(channel, fields.required("address"))
    event, note = _event(fields), fields.text("note", "", length=LONGEST_NOTE)
    where = {"tenant": tenant, "channel": channel, "addresses": [address], "event": event}
    before = connection.execute(READ, where).first()
    row = Suppressed(
        tenant=tenant, channel=channel, address=address, event=event, reason=Suppression.MANUAL, source=actor
    )
    changed = suppress(connection, [row])
    now = connection.execute(READ, where).one()
    if changed:
        record(
            connection,
            tenant=tenant,
            actor=actor,
            action="suppression.add",
            subject=_subject(now),
            before=None if before is None else _recorded(before),
            after={"event": now.event or None, "reason": now.reason} | ({"note": note} if note else {}),
            remote=remote,
        )
    return _shown(now)


def lift(connection: Connection, *, tenant: str, body: object, actor: str, remote: str | None = None) -> bool:
    """Take an address off the list, for one event type or (without `event`) for all; never more than that one entry.

    Returns:
        False when it is not on it.

    Raises:
        InvalidInputError: naming the field.
    """
    fields = Fields(body, "", ("channel", "address", "event"))
    channel = check_word(fields.required("channel"), "channel", CHANNELS)
    address = check_text(fields.required("address"), "address", length=LONGEST_ADDRESS)
    where = {"tenant": tenant, "channel": channel, "addresses": _spellings(address), "event": _event(fields)}
    gone = connection.execute(LIFT, where).first()
    if gone is None:
        return False
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action="suppression.lift",
        subject=_subject(gone),
        before=_recorded(gone),
        remote=remote,
    )
    return True


def list_suppressions(
    connection: Connection,
    *,
    tenant: str | None,
    filters: Mapping[str, Any] | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of addresses in their order, and the cursor of the next. See `FILTERS`.

    Raises:
        InvalidInputError: naming the filter, or the cursor.
    """
    asked = conditions(filters, FILTERS)
    most = check_limit(limit)
    wanted, values = ["true", *asked.rest], {**asked.values, "most": most + 1}
    if tenant is not None:
        wanted.append("tenant = :tenant")
        values["tenant"] = tenant
    if cursor is not None:
        wanted.append("(tenant, channel, address, event) > (:c0, :c1, :c2, :c3)")
        values |= {f"c{place}": part for place, part in enumerate(_parts(cursor))}
    rows = connection.execute(text(LIST.format(conditions=" AND ".join(wanted))), values).all()
    following = cursor_after(json.dumps(list(rows[most - 1][:4]))) if len(rows) > most else None
    return [_shown(row) for row in rows[:most]], following


def _address(channel: str, value: object) -> str:
    """In the form in which a user's would be stored."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InvalidInputError("address", "must be text")
    name = CONTACTS[channel]
    try:
        return check_address({name: str(value)}, "")[name]
    except InvalidInputError as error:
        raise InvalidInputError("address", error.problem) from None


def _event(fields: Fields) -> str:
    return check_event_name(fields.raw("event"), "event") if "event" in fields else ""


def _spellings(address: str) -> list[str]:
    """As it was given, and as it would be stored were it of one of the channels: nobody knows an E.164 by heart."""
    found = {address}
    for channel in CONTACTS:
        try:
            found.add(_address(channel, address))
        except InvalidInputError:
            continue
    return sorted(found)


def _of_channel(name: str, value: str, into: Conditions) -> None:
    into.rest.append("channel = :channel")
    into.values[name] = CHANNEL_ALIASES.get(value) or check_word(value, name, CHANNELS)


def _of_address(name: str, value: str, into: Conditions) -> None:
    into.rest.append("(address = ANY(:addresses) OR channel = 'email' AND address = lower(:address))")
    into.values |= {name: value, "addresses": _spellings(value)}


def _of_reason(name: str, value: str, into: Conditions) -> None:
    into.rest.append("reason = :reason")
    into.values[name] = check_word(value, name, Suppression).value


FILTERS: Final[Mapping[str, Filter]] = {"channel": _of_channel, "address": _of_address, "reason": _of_reason}


def _parts(cursor: str) -> list[str]:
    """What the last entry of a page was known by. Raises InvalidInputError when no list has answered that."""
    try:
        parts = json.loads(key_of(cursor))
    except (ValueError, RecursionError):
        parts = None
    if isinstance(parts, list) and len(parts) == 4 and all(isinstance(part, str) for part in parts):
        return [part.replace("\0", "").encode("utf-8", "replace").decode() for part in parts]
    raise InvalidInputError("cursor", "is none that a list has answered")


def _subject(row: Row[Any]) -> str:
    """The audit outlives the person: only somebody who knows the address recognises it."""
    return f"{row.channel} {masked(row.address)}"


def _recorded(row: Row[Any]) -> dict[str, Any]:
    return {"event": row.event or None, "reason": row.reason, "source": row.source}


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "tenant": row.tenant,
        "channel": row.channel,
        "address": row.address,
        "event": row.event or None,
        "reason": row.reason,
        "source": row.source,
        "provider": row.provider,
        "delivery_id": row.delivery_id,
        "created_at": written(row.created_at),
    }
