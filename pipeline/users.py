"""Users: who they are, how they are reached, which roles and customers lead to them; and how they are forgotten."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from channels.apprise import masked_address
from config.fields import check_text
from config.settings import SettingsError
from domain.recipients import ADDRESS_FIELDS
from domain.vocabulary import Reason
from pipeline.audit import record
from pipeline.contacts import check_user
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.moments import written
from pipeline.rehold import readdress, reconsider
from pipeline.sealing import opened, sealed

PLAIN: Final = ("name", "email", "phone", "telegram_chat_id", "whatsapp", "locale", "time_zone")
SHAPED: Final = ("quiet_hours", "digest")
WHEN: Final = ("time_zone", "quiet_hours", "digest", "disabled_channels")  # what decides how long something is held
TOLD: Final = ("roles", "customers", "disabled_channels")  # what the audit repeats

# Its row is locked until the end of the transaction, whether it was there or not.
ENSURE = text("""
INSERT INTO users (tenant, id) VALUES (:tenant, :id) ON CONFLICT (tenant, id) DO UPDATE SET updated_at = now()
""")
LOCK = text("SELECT id FROM users WHERE tenant = :tenant AND id = :id FOR UPDATE")
CHANGE = "UPDATE users SET {changes} WHERE tenant = :tenant AND id = :id"

DROP_ROLES = text("DELETE FROM user_roles WHERE tenant = :tenant AND user_id = :id AND role <> ALL(:values)")
ADD_ROLES = text("""
INSERT INTO user_roles (tenant, role, user_id) SELECT :tenant, role, :id FROM unnest(cast(:values AS text[])) AS role
ON CONFLICT DO NOTHING
""")
DROP_CUSTOMERS = text("""
DELETE FROM user_customers WHERE tenant = :tenant AND user_id = :id AND customer_id <> ALL(cast(:values AS uuid[]))
""")
ADD_CUSTOMERS = text("""
INSERT INTO user_customers (tenant, customer_id, user_id)
SELECT :tenant, customer, :id FROM unnest(cast(:values AS uuid[])) AS customer
ON CONFLICT DO NOTHING
""")

READ = """
SELECT u.*, ARRAY(SELECT role FROM user_roles r WHERE r.tenant = u.tenant AND r.user_id = u.id ORDER BY role) AS roles,
       ARRAY(SELECT customer_id::text FROM user_customers c WHERE c.tenant = u.tenant AND c.user_id = u.id
             ORDER BY customer_id) AS customers
FROM users u WHERE u.tenant = :tenant AND {which}
"""
READ_ONE = text(READ.format(which="u.id = :id"))
READ_MANY = text(READ.format(which="u.id > :after ORDER BY u.id LIMIT :most"))

# What is kept of a user who was erased: that something was sent, when and over which channel, under the platform's own
# id. Not where to, not by what name, not what it said.
ERASE = (
    text("""
UPDATE deliveries d SET status = 'cancelled', reason = :reason, due_at = NULL
FROM (SELECT d.id FROM notifications n JOIN deliveries d ON d.event_id = n.event_id AND d.notification_id = n.id
      WHERE n.tenant = :tenant AND n.user_id = :id AND d.status IN ('queued', 'held', 'failed', 'dead_letter')
      ORDER BY d.id FOR NO KEY UPDATE OF d) unsent
WHERE d.id = unsent.id
"""),
    text("""
WITH told AS (
    SELECT d.id FROM notifications n JOIN deliveries d ON d.event_id = n.event_id AND d.notification_id = n.id
    WHERE n.tenant = :tenant AND n.user_id = :id ORDER BY d.id
),
letters AS (DELETE FROM dead_letters l USING told WHERE l.delivery_id = told.id),
seen AS (DELETE FROM previews p USING told WHERE p.delivery_id = told.id),
heard AS (UPDATE receipts r SET address = NULL, detail = '' FROM told WHERE r.delivery_id = told.id),
answered AS (UPDATE attempts a SET detail = '' FROM told WHERE a.delivery_id = told.id)
UPDATE deliveries d SET address = CASE WHEN d.channel = 'in_app' THEN d.address ELSE '' END, name = NULL
FROM told WHERE d.id = told.id
"""),
    # What an event said belongs to the platform and to the others whom it told; if it told nobody else, to nobody.
    text("""
WITH own AS (
    SELECT DISTINCT n.event_id AS id FROM notifications n
    WHERE n.tenant = :tenant AND n.user_id = :id
      AND NOT EXISTS (SELECT FROM notifications o WHERE o.event_id = n.event_id AND o.user_id IS DISTINCT FROM :id)
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = n.event_id
                      AND (d.due_at IS NOT NULL
                           OR d.status IN ('queued', 'held', 'processing', 'failed', 'dead_letter')))
)
UPDATE events e SET data = '{}', recipients = NULL, attachments = NULL FROM own WHERE e.id = own.id
"""),
    text("""
UPDATE notifications SET title = '', content = '', link_url = NULL, link_text = NULL, ack_note = NULL,
       deleted_at = coalesce(deleted_at, now())
WHERE tenant = :tenant AND user_id = :id
"""),
    text("""
DELETE FROM moved_addresses m USING users u
WHERE u.tenant = :tenant AND u.id = :id AND m.tenant = u.tenant AND m.channel = 'telegram'
  AND m.address = u.telegram_chat_id
"""),
    text("""
DELETE FROM whatsapp_sessions s USING users u
WHERE u.tenant = :tenant AND u.id = :id AND s.account IN ('', u.tenant) AND s.phone IN (u.phone, u.whatsapp)
"""),
    text("DELETE FROM webhooks WHERE tenant = :tenant AND user_id = :id"),
    text("DELETE FROM users WHERE tenant = :tenant AND id = :id"),
)


def put_user(
    connection: Connection,
    *,
    tenant: str,
    user_id: str,
    body: object,
    actor: str,
    remote: str | None = None,
) -> dict[str, Any]:
    """Make a user, or change the fields that `body` names; null clears a field. Lists are replaced as a whole.

    Raises:
        InvalidInputError: naming the field.
    """
    check_text(user_id, "user_id")
    changes = check_user(body)
    connection.execute(ENSURE, {"tenant": tenant, "id": user_id})
    _change(connection, tenant, user_id, changes)
    moved = {channel: changes[field] for field, channel in ADDRESS_FIELDS.items() if field in changes}
    if moved:
        readdress(connection, tenant, user_id, moved)
    if not changes.keys().isdisjoint(WHEN):
        reconsider(connection, tenant, user_id)
    # Which fields, not which values: the audit outlives the user.
    after = {"changed": sorted(changes)} | {name: changes[name] for name in TOLD if name in changes}
    record(connection, tenant=tenant, actor=actor, action="user.put", subject=user_id, after=after, remote=remote)
    stored = get_user(connection, tenant=tenant, user_id=user_id)
    assert stored is not None  # its row is locked
    return stored


def get_user(connection: Connection, *, tenant: str, user_id: str) -> dict[str, Any] | None:
    """A user as the contract shows him, or None."""
    if "\0" in user_id:
        return None
    row = connection.execute(READ_ONE, {"tenant": tenant, "id": user_id}).first()
    return None if row is None else _user(row)


def delete_user(connection: Connection, *, tenant: str, user_id: str, actor: str, remote: str | None = None) -> bool:
    """Erase a user: his row, preferences and webhooks, the addresses and words of what he was told; withdraw the rest.

    False when there is no such user. Costs time in proportion to what he was told.
    """
    where = {"tenant": tenant, "id": user_id}
    if "\0" in user_id or connection.execute(LOCK, where).first() is None:
        return False
    for statement in ERASE:
        values = {**where, "reason": Reason.CANCELLED.value} if ":reason" in statement.text else where
        connection.execute(statement, values)
    record(connection, tenant=tenant, actor=actor, action="user.erase", subject=user_id, remote=remote)
    return True


def list_users(
    connection: Connection, *, tenant: str, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of users in the order of their ids, and the cursor of the next."""
    after = key_of(cursor) if cursor else ""
    most = check_limit(limit)
    rows = connection.execute(READ_MANY, {"tenant": tenant, "after": after, "most": most + 1}).all()
    following = cursor_after(rows[most - 1].id) if len(rows) > most else None
    return [_user(row) for row in rows[:most]], following


def _change(connection: Connection, tenant: str, user_id: str, changes: Mapping[str, Any]) -> None:
    parts, values = _columns(changes)
    if parts:
        named = {**values, "tenant": tenant, "id": user_id}
        connection.execute(text(CHANGE.format(changes=", ".join(parts))), named)
    if "roles" in changes:
        _replace(connection, (DROP_ROLES, ADD_ROLES), tenant, user_id, changes["roles"] or ())
    if "customers" in changes:
        _replace(connection, (DROP_CUSTOMERS, ADD_CUSTOMERS), tenant, user_id, changes["customers"] or ())


def _columns(changes: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """The assignments of an UPDATE and their values."""
    parts = [f"{name} = :{name}" for name in PLAIN if name in changes]
    values = {name: changes[name] for name in PLAIN if name in changes}
    for name in SHAPED:
        if name in changes:
            parts.append(f"{name} = cast(:{name} AS jsonb)")
            values[name] = None if changes[name] is None else json.dumps(changes[name])
    if "apprise" in changes:
        parts.append("apprise = :apprise")
        values["apprise"] = None if changes["apprise"] is None else sealed(changes["apprise"].encode())
    if "disabled_channels" in changes:
        parts.append("disabled_channels = cast(:disabled_channels AS text[])")
        values["disabled_channels"] = changes["disabled_channels"] or []
    return parts, values


def _replace(
    connection: Connection, statements: Sequence[Any], tenant: str, user_id: str, values: Sequence[str]
) -> None:
    for statement in statements:
        connection.execute(statement, {"tenant": tenant, "id": user_id, "values": list(values)})


def _user(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        **{name: getattr(row, name) for name in (*PLAIN, *SHAPED)},
        "apprise": _masked(row.apprise),
        "disabled_channels": list(row.disabled_channels),
        "roles": list(row.roles),
        "customers": list(row.customers),
        "created_at": written(row.created_at),
        "updated_at": written(row.updated_at),
    }


def _masked(stored: str | None) -> str | None:
    """The service of a sealed Apprise address; that the key to it is gone must not hide the rest of the user."""
    if stored is None:
        return None
    try:
        return masked_address(opened(stored).decode())
    except SettingsError:
        return masked_address(stored)
