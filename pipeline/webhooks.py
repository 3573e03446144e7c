"""Webhooks: endpoints that a tenant or a user registers, with a secret that signs what is sent to them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from uuid_utils import uuid7

from channels.guard import Guard, check_url
from channels.webhook import check_headers
from config.catalogue import check_event_pattern
from config.fields import Fields, check_list, check_text
from config.settings import settings
from domain.errors import InvalidInputError
from domain.event import masked
from pipeline.audit import record
from pipeline.identifiers import check_limit, cursor_after, key_of
from pipeline.moments import written
from pipeline.sealing import opened, sealed, webhook_secret_bytes, webhook_secret_text
from pipeline.setup import note_change

SECRET_BYTES: Final = 32
MOST_PATTERNS: Final = 100
MOST_HEADERS: Final = 20

OWNER = "tenant = :tenant AND coalesce(user_id, '') = coalesce(cast(:user_id AS text), '')"
COLUMNS = "id::text, user_id, name, url, events, headers, secret, previous_until, created_at, updated_at"

READ = text(f"SELECT {COLUMNS} FROM webhooks WHERE {OWNER} AND name = :name")
READ_MANY = text(f"SELECT {COLUMNS} FROM webhooks WHERE {OWNER} AND name > :after ORDER BY name LIMIT :most")
# A user's token is proof enough that the platform knows him, though nobody has put an address of his yet.
ENSURE_USER = text("INSERT INTO users (tenant, id) VALUES (:tenant, :user_id) ON CONFLICT DO NOTHING")
# A row that was inserted has no xmax; one that was there has.
PUT = text(f"""
INSERT INTO webhooks (id, tenant, user_id, name, url, events, headers, secret)
VALUES (:id, :tenant, :user_id, :name, :url, :events, cast(:headers AS jsonb), :secret)
ON CONFLICT (tenant, coalesce(user_id, ''), name) DO UPDATE SET
    url = excluded.url, events = excluded.events, headers = excluded.headers, updated_at = now()
RETURNING {COLUMNS}, xmax = 0 AS made
""")
ROTATE = text(f"""
UPDATE webhooks SET secret = :secret, previous_secret = secret, previous_until = now() + interval '24 hours',
       updated_at = now()
WHERE {OWNER} AND name = :name RETURNING {COLUMNS}
""")
DELETE = text(f"DELETE FROM webhooks WHERE {OWNER} AND name = :name RETURNING user_id, url, events")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A body that was checked. `secret`: the signing key if one was given."""

    url: str
    events: list[str]
    headers: dict[str, str]
    secret: bytes | None


def put_webhook(
    connection: Connection,
    *,
    tenant: str,
    user_id: str | None,
    name: str,
    body: object,
    actor: str,
    remote: str | None = None,
) -> dict[str, Any]:
    """Register an endpoint, or replace what is known of it. It keeps its id and, unless one is given, its secret.

    Args:
        user_id: whose it is; None for the tenant's.

    Returns:
        The webhook; with its ``secret`` when that is new, which is the only time that it is shown.

    Raises:
        InvalidInputError: naming the field.
    """
    check_text(name, "name")
    wanted = _check(body)
    owner = {"tenant": tenant, "user_id": user_id, "name": name}
    values = {"url": wanted.url, "events": wanted.events, "headers": json.dumps(wanted.headers)}
    if user_id is not None:
        connection.execute(ENSURE_USER, owner)
    secret = wanted.secret or secrets.token_bytes(SECRET_BYTES)
    before = connection.execute(READ, owner).first()
    row = connection.execute(PUT, {**owner, **values, "id": str(uuid7()), "secret": sealed(secret)}).one()
    made = row.made
    if not made and wanted.secret is not None and opened(row.secret) != wanted.secret:
        row, made = connection.execute(ROTATE, {**owner, "secret": sealed(wanted.secret)}).one(), True
    _note(connection, owner, actor, "webhook.put", remote, before, row)
    return _shown(row, secret if made else None)


def get_webhook(connection: Connection, *, tenant: str, user_id: str | None, name: str) -> dict[str, Any] | None:
    """A webhook without its secret, or None."""
    if "\0" in name:
        return None
    row = connection.execute(READ, {"tenant": tenant, "user_id": user_id, "name": name}).first()
    return None if row is None else _shown(row)


def list_webhooks(
    connection: Connection, *, tenant: str, user_id: str | None, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of the tenant's webhooks (`user_id` None) or of one user's by name, and the cursor of the next."""
    after, most = key_of(cursor) if cursor else "", check_limit(limit)
    rows = connection.execute(READ_MANY, {"tenant": tenant, "user_id": user_id, "after": after, "most": most + 1}).all()
    following = cursor_after(rows[most - 1].name) if len(rows) > most else None
    return [_shown(row) for row in rows[:most]], following


def delete_webhook(
    connection: Connection, *, tenant: str, user_id: str | None, name: str, actor: str, remote: str | None = None
) -> bool:
    """Remove an endpoint; what waits for it is cancelled when its turn comes. False when there is none."""
    owner = {"tenant": tenant, "user_id": user_id, "name": name}
    gone = None if "\0" in name else connection.execute(DELETE, owner).first()
    if gone is None:
        return False
    _note(connection, owner, actor, "webhook.delete", remote, gone, None)
    return True


def rotate_webhook(
    connection: Connection, *, tenant: str, user_id: str | None, name: str, actor: str, remote: str | None = None
) -> dict[str, Any] | None:
    """Give an endpoint a new secret and answer it; for 24 hours messages are signed with the old one too."""
    owner = {"tenant": tenant, "user_id": user_id, "name": name}
    secret = secrets.token_bytes(SECRET_BYTES)
    row = None if "\0" in name else connection.execute(ROTATE, {**owner, "secret": sealed(secret)}).first()
    if row is None:
        return None
    _note(connection, owner, actor, "webhook.rotate", remote, None, None)
    return _shown(row, secret)


def _check(body: object) -> _Wanted:
    fields = Fields(body, "", ("name", "url", "events", "headers", "secret"))
    url = fields.required("url")
    if not isinstance(url, str):
        raise InvalidInputError("url", "must be text")
    check_url(url, Guard(settings().webhook_allow_networks))
    patterns = check_list(fields.raw("events") or [], "events", length=MOST_PATTERNS)
    events = list(dict.fromkeys(check_event_pattern(pattern, at) for at, pattern in patterns))
    return _Wanted(url, events, _headers(fields.raw("headers")), _secret(fields.raw("secret")))


def _headers(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(part, str) for pair in given.items() for part in pair):
        raise InvalidInputError("headers", "must be an object of names and texts")
    if len(given) > MOST_HEADERS:
        raise InvalidInputError("headers", f"must be at most {MOST_HEADERS}")
    check_headers(given)
    return dict(given)


def _secret(given: object) -> bytes | None:
    if given is None:
        return None
    try:
        return webhook_secret_bytes(given if isinstance(given, str) else "")
    except ValueError:
        raise InvalidInputError("secret", "must be whsec_ and 24 to 64 bytes in base64") from None


def _note(
    connection: Connection,
    owner: Mapping[str, Any],
    actor: str,
    action: str,
    remote: str | None,
    before: Row[Any] | None,
    after: Row[Any] | None,
) -> None:
    """Routing learns of it, and the audit: whose it is and where it listens, without path, headers or secret."""
    tenant = owner["tenant"]
    note_change(connection, tenant)
    record(
        connection,
        tenant=tenant,
        actor=actor,
        action=action,
        subject=owner["name"] if owner["user_id"] is None else f"{owner['user_id']}/{owner['name']}",
        before=before and _recorded(before),
        after=after and _recorded(after),
        remote=remote,
    )


def _recorded(row: Row[Any]) -> dict[str, Any]:
    """For the audit. A user's own host says who he is, and the audit outlives him."""
    where = {} if row.user_id is not None else {"url": masked(row.url)}
    return {**where, "events": list(row.events)}


def _shown(row: Row[Any], secret: bytes | None = None) -> dict[str, Any]:
    shown = {
        "id": row.id,
        "name": row.name,
        "user_id": row.user_id,
        "url": row.url,
        "events": list(row.events),
        "headers": row.headers,
        "previous_secret_until": written(row.previous_until),
        "created_at": written(row.created_at),
        "updated_at": written(row.updated_at),
    }
    return shown if secret is None else {**shown, "secret": webhook_secret_text(secret)}
