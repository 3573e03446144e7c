"""Sends a template to somebody for a look: a delivery like any other, made of one version and for one channel only."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, text
from uuid_utils import uuid7

from config.fields import Fields, check_text
from domain.errors import InvalidInputError
from domain.event import Person
from domain.recipients import ADDRESS_FIELDS, Wish
from domain.vocabulary import PRIORITIES, Priority
from pipeline.audit import record
from pipeline.contacts import check_address
from pipeline.document import document
from pipeline.people import find_people
from pipeline.published import Place, Published
from pipeline.secrets_of_events import STORE, hide
from pipeline.template_trial import Background, Happened

ADDRESSES: Final = {channel: field for field, channel in ADDRESS_FIELDS.items()}
MOST_DEVICES: Final = 20

ADD_EVENT = text("""
INSERT INTO events (id, tenant, type, status, condition, severity, fingerprint, branch, data, occurred_at)
VALUES (:id, :tenant, :type, 'routed', :condition, :severity, :fingerprint, :branch, cast(:data AS jsonb), :occurred_at)
""")
ADD_NOTIFICATION = text("""
INSERT INTO notifications (id, tenant, event_id, user_id, recipient, audience, event, group_name, title, content,
                           priority, severity)
VALUES (:id, :tenant, :event_id, :user_id, :recipient, 'admin', :event, :group, :title, '', 'high', :severity)
""")
ADD_DELIVERIES = text("""
INSERT INTO deliveries (id, tenant, event_id, notification_id, channel, address, name, template, priority, status,
                        due_at, template_version, brand_version)
SELECT id, :tenant, :event_id, :notification_id, :channel, address, :name, :template, :priority, 'queued', now(),
       cast(:version AS uuid), :brand
FROM jsonb_to_recordset(cast(:deliveries AS jsonb)) AS d(id uuid, address text)
""")


def read_recipient(channel: str, body: object) -> tuple[str | None, str | None]:
    """A user's id, or an address: ``{"user": "ana"}``, ``{"email": "ana@example.org"}``, ``{"phone": ...}``.

    Raises:
        InvalidInputError: naming the field.
    """
    field = ADDRESSES.get(channel)
    known = ("user", field) if field else ("user",)
    fields = Fields(body, "to", known)
    if field is None or "user" in fields:
        return check_text(fields.required("user"), "to.user"), None
    return None, check_address({field: str(fields.required(field))}, "to")[field]


def send_test(
    connection: Connection,
    *,
    tenant: str,
    place: Place,
    version: Published | None,
    to: tuple[str | None, str | None],
    what: Happened,
    background: Background,
    actor: str,
    remote: str | None = None,
) -> dict[str, Any]:
    """Store an event of the type, and deliveries of it to one person; the caller rings. Preferences are not asked.

    Args:
        version: None for the shipped template.

    Raises:
        InvalidInputError: there is no such user, or none with an address on this channel.
    """
    event, channel, _ = place
    if channel == "in_app":
        raise InvalidInputError("channel", "shows what it shows in the preview; an inbox takes no tests")
    listed = background.listed
    person = _person(connection, tenant, channel, to)
    event_id, notification_id = str(uuid7()), str(uuid7())
    _add_event(connection, tenant, event, event_id, what, listed.secret)
    connection.execute(
        ADD_NOTIFICATION,
        {
            "id": notification_id,
            "tenant": tenant,
            "event_id": event_id,
            "user_id": person.user_id,
            "recipient": person.label,
            "event": event,
            "group": listed.group,
            "title": "A test of a template",
            "severity": what.severity,
        },
    )
    rows = [{"id": str(uuid7()), "address": address} for address in _addresses(person, channel)]
    connection.execute(
        ADD_DELIVERIES,
        {
            "tenant": tenant,
            "event_id": event_id,
            "notification_id": notification_id,
            "channel": channel,
            "name": person.name,
            "template": listed.template,
            "priority": PRIORITIES.index(Priority.HIGH),
            "version": version and version.id,
            "brand": background.brand.version,
            "deliveries": document(rows),
        },
    )
    sent = {"version": version and version.number, "to": person.label, "event_id": event_id}
    subject = "/".join(part for part in place if part)
    noted = {"action": "template.test", "subject": subject, "remote": remote}
    record(connection, tenant=tenant, actor=actor, after=sent, **noted)  # type: ignore[arg-type]
    return {"event_id": event_id, "version": sent["version"], "deliveries": [row["id"] for row in rows]}


def _person(connection: Connection, tenant: str, channel: str, to: tuple[str | None, str | None]) -> Person:
    user, address = to
    if user is None:
        return Person(None, None, None, {channel: address or ""})
    wish = Wish("user", user)
    found = find_people(connection, [(tenant, wish)]).get((tenant, wish), [])
    if not found:
        raise InvalidInputError("to.user", "does not exist")
    if not _addresses(found[0], channel):
        raise InvalidInputError("to.user", f"has no address for {channel}")
    return found[0]


def _addresses(person: Person, channel: str) -> list[str]:
    if channel == "push":
        return list(person.push_tokens[:MOST_DEVICES])
    address = person.addresses.get(channel)
    return [address] if address else []


def _add_event(connection: Connection, tenant: str, event: str, event_id: str, what: Happened, secret: Any) -> None:
    hidden = hide(dict(what.data), secret) if secret else None
    connection.execute(
        ADD_EVENT,
        {
            "id": event_id,
            "tenant": tenant,
            "type": event,
            "condition": what.condition,
            "severity": what.severity,
            "fingerprint": sha256(f"test\n{event_id}".encode()).digest(),  # nobody else's issue
            "branch": what.branch,
            "data": document(dict(what.data) if hidden is None else hidden.data),
            "occurred_at": what.occurred_at,
        },
    )
    if hidden is not None:
        secrets = [{"event_id": event_id, "tenant": tenant, "sealed": hidden.sealed}]
        connection.execute(STORE, {"secrets": document(secrets)})
