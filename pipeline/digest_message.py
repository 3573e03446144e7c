"""The message of a digest: an event of its own, its notification and one delivery, all with ids that are derived."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.digest import DIGEST, Item, derived_id, summary
from domain.event import Condition, Event, Person
from domain.states import DeliveryStatus, EventStatus, NotificationStatus
from domain.vocabulary import Priority, Severity
from pipeline.document import document
from pipeline.inbox import words

# Of a period that has its digest already nothing is stored.
STORE: Final = text("""
WITH r AS (
    SELECT * FROM jsonb_to_recordset(cast(:digests AS jsonb)) AS r(
        event uuid, notification uuid, delivery uuid, tenant text, user_id text, name text, channel text, address text,
        fingerprint text, occurred_at timestamptz, data jsonb, title text, content text, link_url text, link_text text)
),
new AS (
    INSERT INTO events (id, tenant, type, status, condition, severity, fingerprint, recipients, data, occurred_at)
    SELECT event, tenant, :type, :event_status, :condition, :severity, decode(fingerprint, 'hex'),
           jsonb_build_array(user_id), data, occurred_at
    FROM r ON CONFLICT (id) DO NOTHING RETURNING id
),
told AS (
    INSERT INTO notifications (id, tenant, event_id, user_id, recipient, audience, event, group_name, title, content,
                               link_url, link_text, priority, severity, status)
    SELECT notification, tenant, event, user_id, user_id, 'customer', :type, :type, title, content, link_url,
           link_text, :priority, :severity, :notification_status
    FROM r JOIN new ON new.id = r.event
)
INSERT INTO deliveries (id, tenant, event_id, notification_id, channel, address, name, template, priority, status,
                        due_at)
SELECT delivery, tenant, event, notification, channel, address, name, :type, cast(:rank AS smallint), :status, now()
FROM r JOIN new ON new.id = r.event RETURNING id::text
""")

CONSTANT: Final = {
    "type": DIGEST,
    "event_status": EventStatus.ROUTED.value,
    "condition": Condition.FIRING.value,
    "severity": Severity.LOW.value,
    "priority": Priority.LOW.value,
    "rank": Priority.LOW.rank,
    "notification_status": NotificationStatus.CREATED.value,
    "status": DeliveryStatus.QUEUED.value,
}


@dataclass(frozen=True)
class DigestOf:
    """What one user is told on one channel at one address. `person`: the user's row."""

    person: Row[Any]
    channel: str
    address: str
    rows: Sequence[Row[Any]]

    @cached_property
    def at(self) -> datetime:
        """The time that it was due, which is its period: two rounds that come to the same one make one digest."""
        latest: datetime = max(row.release_at for row in self.rows)
        return latest.astimezone(UTC)

    @cached_property
    def delivery_id(self) -> str:
        """The id of its delivery."""
        return self._id("delivery")

    def row(self) -> dict[str, Any]:
        """What is stored of it."""
        person, data = self.person, summary((_item(row) for row in self.rows), self.at)
        event = self._event(data)
        said = words(event, DIGEST, Person(person.id, person.name, person.locale, {}, time_zone=person.time_zone))
        return {
            "event": event.id,
            "notification": self._id("notification"),
            "delivery": self.delivery_id,
            "tenant": person.tenant,
            "user_id": person.id,
            "name": person.name,
            "channel": self.channel,
            "address": self.address,
            "fingerprint": event.fingerprint.hex(),
            "occurred_at": self.at.isoformat(),
            "data": data,
            "title": said.title,
            "content": said.content,
            "link_url": said.link_url,
            "link_text": said.link_text,
        }

    def _event(self, data: dict[str, Any]) -> Event:
        id_ = self._id("event")
        return Event(
            id=id_,
            tenant=self.person.tenant,
            type=DIGEST,
            condition=Condition.FIRING,
            severity=Severity.LOW,
            data=data,
            data_json=json.dumps(data),
            fingerprint=sha256(id_.encode()).digest(),
            dedupe_window=0,
            occurred_at=self.at,
        )

    def _id(self, of: str) -> str:
        return str(derived_id(self.at, of, self.person.tenant, self.person.id, self.channel, self.address))


def store_digests(connection: Connection, wanted: Sequence[DigestOf]) -> set[str]:
    """Store digests, one statement; the ids of the deliveries of those that are new."""
    rows = document([one.row() for one in wanted])
    return set(connection.execute(STORE, {"digests": rows, **CONSTANT}).scalars())


def _item(row: Row[Any]) -> Item:
    return Item(
        fingerprint=bytes(row.fingerprint),
        group=row.group_name,
        severity=Severity(row.severity),
        title=row.title,
        at=row.occurred_at,
        link_url=row.link_url,
        repeats=row.repeats,
    )
