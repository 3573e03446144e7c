"""Unsubscribe: somebody without a login wants no more of an event type, or of its whole group, on a channel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text
from uuid_utils import uuid7

from domain.event import masked
from domain.vocabulary import Suppression
from pipeline.audit import record
from pipeline.event_types import EventTypes, event_types_of
from pipeline.links import Unsubscribe
from pipeline.suppressions import CONTACTS, Suppressed, suppress
from pipeline.wording import label

ACTOR: Final = "unsubscribe link"
SOURCE: Final = "unsubscribe"

FIND = text("SELECT email, phone, telegram_chat_id, whatsapp FROM users WHERE tenant = :tenant AND id = :user_id")

# Whoever erases the user waits until the preference is stored, and then erases it too.
KEEP = text("SELECT id FROM users WHERE tenant = :tenant AND id = :user_id FOR KEY SHARE")

# What the same entry says of other channels stays.
SWITCH_OFF = text("""
INSERT INTO preferences AS p (id, tenant, user_id, group_name, event, channels)
VALUES (:id, :tenant, :user_id, :group, :event, cast(:channels AS jsonb))
ON CONFLICT (tenant, user_id, group_name, coalesce(event, ''),
             coalesce(customer_id, '00000000-0000-0000-0000-000000000000'::uuid))
DO UPDATE SET channels = p.channels || excluded.channels, updated_at = now()
WHERE (p.channels ->> :channel) IS DISTINCT FROM 'false'
""")

# The most specific entry wins, so one for a customer (or, of a whole group, for an event) would let messages through.
OVERRULE = text("""
UPDATE preferences SET channels = channels || cast(:channels AS jsonb), updated_at = now()
WHERE tenant = :tenant AND user_id = :user_id AND group_name = :group AND channels ->> :channel = 'true'
  AND (cast(:event AS text) IS NULL OR event = :event)
RETURNING event, customer_id::text
""")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link is about, in words: who would get no more of what.

    `who`: the masked address; None when there is none any more. `group` is None when it is no more than the event.
    """

    tenant: str
    channel: str
    who: str | None
    event: str
    group: str | None


def offer(connection: Connection, link: Unsubscribe) -> Offer:
    """What following a link would do. Changes nothing."""
    types = event_types_of(connection, link.tenant)
    event, group = label(link.event), label(types.entry(link.event).group)
    wider = group != event and (link.address is None or len(_events(link, types, whole_group=True)) > 1)
    return Offer(link.tenant, link.channel, _who(connection, link), event, group if wider else None)


def unsubscribe(connection: Connection, link: Unsubscribe, *, whole_group: bool, remote: str | None = None) -> bool:
    """Do what a link says; it counts from the next claim on (E-46).

    A user gets an entry among the preferences, an address one on the suppression list. What is owed to the recipient
    (`transactional`) is sent all the same.

    Returns:
        Whether anything changed: it does not the second time, nor for a user who was erased meanwhile.
    """
    if link.user_id is None:
        return _suppress(connection, link, whole_group, remote)
    return _prefer(connection, link, whole_group, remote)


def _prefer(connection: Connection, link: Unsubscribe, whole_group: bool, remote: str | None) -> bool:
    owner = {"tenant": link.tenant, "user_id": link.user_id}
    if connection.execute(KEEP, owner).first() is None:
        return False
    group = event_types_of(connection, link.tenant).entry(link.event).group
    event, channels = None if whole_group else link.event, {link.channel: False}
    values = {**owner, "group": group, "event": event, "channel": link.channel, "channels": json.dumps(channels)}
    overruled = [row._asdict() for row in connection.execute(OVERRULE, values)]
    switched = connection.execute(SWITCH_OFF, {**values, "id": str(uuid7())}).rowcount
    if not overruled and not switched:
        return False
    record(
        connection,
        tenant=link.tenant,
        actor=ACTOR,
        action="preference.unsubscribe",
        subject=str(link.user_id),
        before={"switched_on": overruled} if overruled else None,
        after={"group": group, "event": event, "channels": channels},
        remote=remote,
    )
    return True


def _suppress(connection: Connection, link: Unsubscribe, whole_group: bool, remote: str | None) -> bool:
    address = str(link.address)
    events = _events(link, event_types_of(connection, link.tenant), whole_group=whole_group)
    rows = [
        Suppressed(
            tenant=link.tenant,
            channel=link.channel,
            address=address,
            event=event,
            reason=Suppression.UNSUBSCRIBED,
            source=SOURCE,
        )
        for event in events
    ]
    if not suppress(connection, rows):
        return False
    record(
        connection,
        tenant=link.tenant,
        actor=ACTOR,
        action="suppression.add",
        subject=f"{link.channel} {masked(address)}",
        after={"events": events, "reason": Suppression.UNSUBSCRIBED.value},
        remote=remote,
    )
    return True


def _events(link: Unsubscribe, event_types: EventTypes, *, whole_group: bool) -> list[str]:
    """An address has no preferences, so each event type of a group is suppressed by itself."""
    found = {link.event}
    if whole_group:
        group = event_types.entry(link.event).group
        found |= {one.name for one in event_types.all() if one.group == group and not one.transactional}
    return sorted(found)


def _who(connection: Connection, link: Unsubscribe) -> str | None:
    address: Any = link.address
    if link.user_id is not None:
        row = connection.execute(FIND, {"tenant": link.tenant, "user_id": link.user_id}).first()
        address = getattr(row, CONTACTS.get(link.channel, ""), None)
    return masked(address) if address else None
