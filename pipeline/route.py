"""Route: from accepted events to notifications and deliveries, a fixed number of statements a batch.

What the database is told is one JSON document a table: an array of 100 rows costs it a fiftieth of 100 inserts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text
from uuid_utils import uuid7

from config.settings import settings
from domain.catalogue import EventType
from domain.catalogue import Plan as RoutePlan
from domain.event import Condition, Event, Person
from domain.hold import Hold, Subject, hold
from domain.plan import Holding, Plan, PlannedDelivery, PlannedNotification, plan
from domain.recipients import Wish, wishes
from domain.routing import Routing
from domain.states import DeliveryStatus, EventStatus, NotificationStatus
from domain.vocabulary import Reason
from pipeline.accept import Accepted
from pipeline.counts import COUNT, Counts, counts_document
from pipeline.directory import Tenant, route_events
from pipeline.document import document
from pipeline.inbox import Allowance, Frame, Words, likeness, notification_frame, words
from pipeline.looks import Look
from pipeline.number import NUMBER
from pipeline.people import find_people
from pipeline.withdraw import withdraw_issues

_DELIVERIES: Final = """
INSERT INTO deliveries (id, tenant, event_id, notification_id, webhook_id, channel, address, name, template,
                        priority, status, reason, only_if, due_at, sent_at)
SELECT id, tenant, event_id, notification_id, webhook_id, channel, address, name, template, priority, status, reason,
       only_if, CASE WHEN status <> 'sent' AND release_at IS NULL THEN coalesce(due_at, now()) END,
       CASE WHEN status = 'sent' THEN now() END
FROM jsonb_to_recordset(cast(:deliveries AS jsonb)) AS d(
    id uuid, tenant text, event_id uuid, notification_id uuid, webhook_id uuid, channel text, address text, name text,
    template text, priority smallint, status text, reason text, only_if text, due_at timestamptz,
    release_at timestamptz)
"""

# Only where something waits: it costs the database a second look at the document.
_HOLDS: Final = """
waiting AS (
    INSERT INTO holds (delivery_id, tenant, user_id, channel, address, reason, release_at, not_before)
    SELECT id, tenant, user_id, channel, address, reason, release_at, not_before
    FROM jsonb_to_recordset(cast(:deliveries AS jsonb)) AS h(
        id uuid, tenant text, user_id text, channel text, address text, reason text, release_at timestamptz,
        not_before timestamptz)
    WHERE release_at IS NOT NULL
),"""

# Of what goes to webhooks only there is nothing to number.
STORE: Final = text(f"WITH counted AS ({COUNT}) {_DELIVERIES}")
_STORE_AND_NUMBER: Final = f"""
WITH {{holds}} given AS (
    SELECT * FROM jsonb_to_recordset(cast(:notifications AS jsonb)) AS n(
        id uuid, tenant text, event_id uuid, user_id text, recipient text, audience text, event text, group_name text,
        customer_id uuid, title text, content text, link_url text, link_text text, priority text, severity text,
        status text, in_inbox boolean)
),
shown AS (SELECT id, tenant, user_id FROM given WHERE in_inbox),
{NUMBER},
told AS (
    INSERT INTO notifications (id, tenant, event_id, user_id, recipient, audience, event, group_name, customer_id,
                               title, content, link_url, link_text, priority, severity, status, sequence)
    SELECT g.id, tenant, event_id, user_id, recipient, audience, event, group_name, customer_id,
           title, content, link_url, link_text, priority, severity, status, d.sequence
    FROM given g LEFT JOIN numbered d ON d.id = g.id
),
counted AS ({COUNT}),
stored AS ({_DELIVERIES})
SELECT id::text, sequence FROM numbered
"""
STORE_AND_NUMBER: Final = text(_STORE_AND_NUMBER.format(holds=""))
STORE_AND_HOLD: Final = text(_STORE_AND_NUMBER.format(holds=_HOLDS))


@dataclass(slots=True)
class Told:
    """What routing one event came to.

    Attributes:
        notifications, deliveries: rows to be stored.
        frames: what live clients are shown once it is stored and numbered.
    """

    tenant: str
    status: EventStatus
    reason: str | None
    routing_id: UUID
    skipped: list[dict[str, Any]]
    notifications: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)


@dataclass(slots=True)
class Bells:
    """What to do once the transaction has committed."""

    due: dict[str, list[str]] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)


def route(
    connection: Connection, tenants: Mapping[str, Tenant], accepted: Sequence[Accepted], built: Mapping[str, bool]
) -> dict[str, Told]:
    """Decide for every new event of a batch who is told; nothing is stored yet.

    Args:
        built: the channels that exist here, and whether a provider is configured for each.

    Returns:
        What came of each, by event id.
    """
    new = [one for one in accepted if one.is_new]
    routings = route_events(connection, tenants, [one.event for one in new])
    people = find_people(connection, _wanted(new, routings))
    told, allowance = {}, Allowance()
    for one, (routing, routing_id) in zip(new, routings, strict=True):
        if one.over:
            told[one.event.id] = Told(one.event.tenant, EventStatus.UNROUTED, Reason.RESOLVED, routing_id, [])
            continue
        tenant = tenants[one.event.tenant]
        event_type = tenant.event_type(one.event.type)
        decided = plan(
            one.event,
            event_type,
            routing,
            find=lambda wish, owner=tenant.id: people.get((owner, wish), ()),  # type: ignore[misc]
            tenant_webhooks=tenant.webhooks,
            silenced=one.silenced,
            built=built if not tenant.channels else {**built, **dict.fromkeys(tenant.channels, True)},
            holding=_holding(one.event, event_type, routing, tenant),
        )
        told[one.event.id] = _told(
            one.event, event_type.group, event_type.template, tenant.look, routing, routing_id, decided, allowance
        )
    return told


def _holding(event: Event, event_type: EventType, routing: Routing, tenant: Tenant) -> Holding | None:
    """Whether deliveries of this event wait, counted from when it is to be told."""
    batch = settings().batch_wait if routing.plan is RoutePlan.STAGED else 0
    subject = Subject(event.severity, event_type.transactional, event_type.group, event.type, event.customer_id, batch)
    if not subject.may_wait:
        return None
    now = datetime.now(UTC)
    start = max(now, event.send_at or now)

    def holding(person: Person, channel: str, wait: float) -> Hold | None:
        # What an email alone may say cannot be told in a digest, nor along with others.
        says_secrets = channel == "email" and event_type.secret
        return None if says_secrets else hold(subject, person, channel, start + timedelta(seconds=wait), tenant.digest)

    return holding


def store(connection: Connection, told: Iterable[Told], accepted: Sequence[Accepted]) -> Bells:
    """Store notifications, deliveries and counts of a batch in one statement; withdraw what resolved events end."""
    told = list(told)
    notifications = [row for one in told for row in one.notifications]
    deliveries = [row for one in told for row in one.deliveries]
    values = {"deliveries": document(deliveries), "counts": counts_document(_counts(told))}
    numbers: dict[str, int] = {}
    if notifications:
        statement = STORE_AND_HOLD if any("release_at" in row for row in deliveries) else STORE_AND_NUMBER
        rows = connection.execute(statement, {**values, "notifications": document(notifications)})
        numbers = {row.id: row.sequence for row in rows}
    elif told:
        connection.execute(STORE, values)
    _withdraw_resolved(connection, accepted)
    bells = Bells(
        frames=[replace(frame, sequence=numbers[frame.notification["id"]]) for one in told for frame in one.frames]
    )
    for row in deliveries:
        if row["status"] == DeliveryStatus.QUEUED and row["reason"] is None:
            bells.due.setdefault(row["channel"], []).append(row["id"])
    return bells


def _wanted(new: Sequence[Accepted], routings: Sequence[tuple[Routing, UUID]]) -> Iterable[tuple[str, Wish]]:
    for one, (routing, _) in zip(new, routings, strict=True):
        for matched in routing.matched:
            for resolver in matched.recipients:
                for wish in wishes(resolver, one.event)[0]:
                    yield one.event.tenant, wish


def _told(
    event: Event,
    group: str,
    template: str,
    look: Look,
    routing: Routing,
    routing_id: UUID,
    decided: Plan,
    allowance: Allowance,
) -> Told:
    status = EventStatus.ROUTED
    if decided.reason is not None:
        status = EventStatus.UNROUTED
    elif event.condition is Condition.RESOLVED:
        status = EventStatus.RESOLVED
    result = Told(
        event.tenant,
        status,
        decided.reason,
        routing_id,
        [{"recipient": s.recipient, "channel": s.channel, "reason": s.reason} for s in decided.skipped],
    )
    said: dict[Hashable, Words] = {}
    for notification in decided.notifications:
        person, kind = notification.person, notification.template or template
        alike = likeness(event, kind, person, look)
        if alike not in said:
            said[alike] = words(event, kind, person, look, allowance)
        _add_notification(result, event, group, kind, routing, notification, said[alike])
    for delivery in decided.deliveries:
        result.deliveries.append(_delivery(event, None, None, delivery, template, routing))
    return result


def _add_notification(
    result: Told,
    event: Event,
    group: str,
    template: str,
    routing: Routing,
    planned: PlannedNotification,
    said: Words,
) -> None:
    at_once = event.send_at is None or event.send_at <= datetime.now(UTC)
    in_app = at_once and not _is_over(event) and any(delivery.channel == "in_app" for delivery in planned.deliveries)
    row: dict[str, Any] = {
        "id": str(uuid7()),
        "tenant": event.tenant,
        "event_id": event.id,
        "user_id": planned.person.user_id,
        "recipient": planned.person.label,
        "audience": planned.audience,
        "event": event.type,
        "group_name": group,
        "customer_id": event.customer_id,
        "title": said.title,
        "content": said.content,
        "link_url": said.link_url,
        "link_text": said.link_text,
        "priority": routing.priority,
        "severity": event.severity,
        "status": NotificationStatus.DELIVERED if in_app else NotificationStatus.CREATED,
        "in_inbox": in_app and planned.person.user_id is not None,
    }
    result.notifications.append(row)
    for delivery in planned.deliveries:
        result.deliveries.append(_delivery(event, row["id"], planned.person.user_id, delivery, template, routing))
    if in_app and planned.person.user_id is not None:
        shown = notification_frame(row, datetime.now(UTC))
        result.frames.append(Frame(event.tenant, planned.person.user_id, 0, shown))


def _delivery(
    event: Event,
    notification_id: str | None,
    user_id: str | None,
    planned: PlannedDelivery,
    template: str,
    routing: Routing,
) -> dict[str, Any]:
    status, reason, due_at, held = DeliveryStatus.QUEUED, planned.reason, None, {}
    if planned.hold is not None:
        status, reason = DeliveryStatus.HELD, planned.hold.reason
        held = {"user_id": user_id, "release_at": planned.hold.until.isoformat()}
        if planned.when is not None and planned.when.wait:
            now = datetime.now(UTC)
            held["not_before"] = _after(max(now, event.send_at or now), planned)
    elif event.send_at is not None and event.send_at > datetime.now(UTC):
        status, reason, due_at = DeliveryStatus.HELD, Reason.SCHEDULED, _after(event.send_at, planned)
    elif planned.channel == "in_app" and _is_over(event):
        status, reason = DeliveryStatus.EXPIRED, Reason.EXPIRED
    elif planned.channel == "in_app":
        status = DeliveryStatus.SENT  # it is in the inbox the moment this commits
    elif planned.when is not None and planned.when.wait:
        status, reason, due_at = DeliveryStatus.HELD, Reason.CONDITION, _after(datetime.now(UTC), planned)
    return {
        "id": str(uuid7()),
        "tenant": event.tenant,
        "event_id": event.id,
        "notification_id": notification_id,
        "webhook_id": planned.webhook and planned.webhook.id,
        "channel": planned.channel,
        "address": planned.address,
        "name": planned.name,
        "template": template,
        "priority": routing.priority.rank,
        "status": status,
        "reason": reason,
        "only_if": planned.when and planned.when.only_if,
        "due_at": due_at,
        **held,
    }


def _is_over(event: Event) -> bool:
    """Whether it came too late to be told; what a provider carries is looked at again when it is claimed."""
    return event.expires_at is not None and event.expires_at <= datetime.now(UTC)


def _after(told_at: datetime, planned: PlannedDelivery) -> str:
    """When a delivery is due whose notification appears at `told_at`."""
    return (told_at + timedelta(seconds=planned.when.wait if planned.when else 0)).isoformat()


def _counts(told: Iterable[Told]) -> Counts:
    counts: Counts = Counter()
    for one in told:
        for row in one.deliveries:
            if row["status"] in (DeliveryStatus.SENT, DeliveryStatus.EXPIRED):
                counts[one.tenant, row["channel"], row["status"], row["reason"] or ""] += 1
        for left_out in one.skipped:
            counts[one.tenant, left_out["channel"] or "", "skipped", left_out["reason"]] += 1
    return counts


def _withdraw_resolved(connection: Connection, accepted: Sequence[Accepted]) -> None:
    over = [
        (one.event.tenant, one.previous)
        for one in accepted
        if one.is_new and one.previous and one.event.condition is Condition.RESOLVED
    ]
    if over:
        withdraw_issues(connection, over, Reason.RESOLVED)
